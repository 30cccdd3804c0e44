"""Whether a card computes what the CPU does: products of rounded weights, and a real model's greedy texts."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from gpu_bench.machine import Machine
from gpu_bench.stages import Cell, Row
from speculative.drafts.no_draft import NoDraft
from speculative.drafts.prompt_lookup import PromptLookup
from speculative.engine.engine import Engine
from speculative.engine.generate import generate
from speculative.measuring.text_equality import compare_texts
from speculative.models.decoder import Decoder
from speculative.models.fp8_linear import Fp8Linear
from speculative.models.linear import Int4Linear
from speculative.models.loading import load_decoder
from speculative.models.settings import ModelSettings
from speculative.models.sources import resolve_model
from speculative.models.tokenizer import load_tokenizer
from speculative.models.weight_blocks import WeightBlocks
from speculative.protocols.request import Request
from tests.support.tiny_models import Arm

PROMPTS = ("The three primary colours are red, yellow and", "def fibonacci(n):", "1, 2, 3, 1, 2, 3, 1, 2,")
ARMS = {"no draft": Arm(NoDraft(), 0), "prompt look-up": Arm(PromptLookup(3, min_ngram=1), 4)}
_N_NEW = 64


def products(machine: Machine) -> Iterator[Cell]:
    """How far a product by rounded weights is from the CPU's, relative to its size."""
    for form in ("int4", "int4, 8-bit blocks", "fp8"):
        yield Cell({"form": form}, lambda form=form: {"relative_error": _error(machine, form)})


def texts_of(model: Path | None, cache: Path) -> Callable[[Machine], Iterator[Cell]]:
    """Return the stage that compares a model's greedy texts on the card with the CPU's in float32; none for None."""

    def texts(machine: Machine) -> Iterator[Cell]:
        if model is None:
            return
        for dtype in ("float32", "bfloat16"):
            for arm in ARMS:
                what = {"model": model.name, "dtype": dtype, "draft": arm}
                yield Cell(what, lambda model=model, dtype=dtype, arm=arm: _equality(machine, model, cache, dtype, arm))

    return texts


def joined(parts: Sequence[Path], folder: Path) -> Path | None:
    """Return a model that is given in parts as one file, named by its first part; None for none.

    Raises:
        ValueError: if a part is missing.
    """
    for part in parts:
        if not part.exists():
            raise ValueError(f"--model must name a model, or its parts in order, got {part}, which is not there")
    if len(parts) < 2:
        return parts[0] if parts else None
    whole = folder / f"{parts[0].stem.removesuffix('.gguf')}.gguf"
    with whole.open("wb") as file:
        for part in parts:
            file.write(part.read_bytes())
    return whole


def _error(machine: Machine, form: str) -> float:
    generator = torch.Generator().manual_seed(0)
    sizes = (64, 128) if machine.dry else (4096, 2048)
    weight, x = torch.randn(sizes, generator=generator), torch.randn(5, sizes[1], generator=generator).bfloat16()
    if form == "fp8":
        here, there = Fp8Linear(weight), Fp8Linear(weight.to(machine.device))
        expected, found = here(x), there(x.to(machine.device)).cpu()
    else:
        blocks = WeightBlocks.quantise(weight, 8 if "8-bit" in form else 4)
        expected, found = Int4Linear(blocks)(x), Int4Linear(blocks.to(machine.device))(x.to(machine.device)).cpu()
    return round(float((found.float() - expected.float()).norm() / expected.float().norm()), 6)


def _equality(machine: Machine, model: Path, cache: Path, dtype: str, arm: str) -> Row:
    """Count the texts that are the CPU's, and those that part from it at a tie."""
    safe = ModelSettings(cache=cache, kernels="safe")  # nothing is timed on the CPU
    held = replace(safe, dtype=getattr(torch, dtype), device=machine.device)
    here, there = load_decoder(str(model), safe), load_decoder(str(model), held)
    tokenizer = load_tokenizer(resolve_model(str(model), safe))
    prompts = [tuple(tokenizer(text)["input_ids"]) for text in PROMPTS]
    kinds = [
        compare_texts(there, prompt, _text(here, "no draft", prompt), _text(there, arm, prompt)).kind
        for prompt in prompts
    ]
    return {kind: kinds.count(kind) for kind in ("identical", "tie", "different")}


def _text(model: Decoder, arm: str, prompt: tuple[int, ...]) -> tuple[int, ...]:
    [generation] = generate(Engine(model, [ARMS[arm]]), [Request("0", prompt, _N_NEW)])
    return generation.token_ids
