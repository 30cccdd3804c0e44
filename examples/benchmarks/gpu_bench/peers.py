"""transformers beside it: the same random weights, greedy, alone and with the same draft as its assistant."""

import time
from collections.abc import Iterator
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from gpu_bench.machine import POSITIONS, Machine
from gpu_bench.rounds import DRAFT_LENGTH, make_arm, prompt
from gpu_bench.stages import Cell, Row
from speculative.engine.engine import Engine
from speculative.engine.generate import generate
from speculative.models.config import DecoderConfig
from speculative.protocols.request import Request

NAME = "SmolLM2-135M"
MODES = ("draftpick, no draft", "draftpick, 2 layers", "transformers", "transformers, 2 layers as assistant")


def peers(machine: Machine) -> Iterator[Cell]:
    """Tokens a second at batch 1 on 135M, greedy."""
    for mode in MODES:
        what = {"model": NAME, "batch": 1, "mode": mode}
        yield Cell(what, lambda mode=mode: (_ours if mode.startswith("draftpick") else _theirs)(machine, mode))


def _ours(machine: Machine, mode: str) -> Row:
    target, n_new = machine.model(NAME), _n_new(machine)
    arm = make_arm(machine, NAME, mode.removeprefix("draftpick, "))

    def run() -> tuple[int, ...]:
        [generation] = generate(Engine(target, [arm]), [Request("0", prompt(machine, target.n_vocab), n_new)])
        return generation.token_ids

    return _timed(machine, run)


def _theirs(machine: Machine, mode: str) -> Row:
    """Generate with `generate`; it drafts as many tokens a round as draftpick does, whatever it is sure of."""
    model, n_new = _twin(machine, machine.config(NAME)), _n_new(machine)
    more: dict[str, Any] = {}
    if mode.endswith("assistant"):
        assistant = _twin(machine, machine.config(NAME, n_layers=2))
        assistant.generation_config.num_assistant_tokens = DRAFT_LENGTH
        assistant.generation_config.num_assistant_tokens_schedule = "constant"
        assistant.generation_config.assistant_confidence_threshold = 0.0
        more["assistant_model"] = assistant
    ids = torch.tensor([prompt(machine, model.config.vocab_size)], device=machine.device)

    def run() -> tuple[int, ...]:
        output = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=n_new, do_sample=False, pad_token_id=0, **more
        )
        return tuple(output[0, ids.shape[1] :].tolist())

    return _timed(machine, run)


def _timed(machine: Machine, run: Any) -> Row:
    """Run twice, the second time with a clock."""
    run()
    machine.wait()
    begin = time.perf_counter()
    tokens = run()
    machine.wait()
    return {"tokens_s": round(len(tokens) / (time.perf_counter() - begin), 1), "n_new": len(tokens)}


def _n_new(machine: Machine) -> int:
    return 6 if machine.dry else 96


def _twin(machine: Machine, config: DecoderConfig) -> LlamaForCausalLM:
    """Return the model in transformers that has the weights of ours."""
    sizes = LlamaConfig(
        vocab_size=config.n_vocab,
        hidden_size=config.n_features,
        intermediate_size=config.n_intermediate,
        num_hidden_layers=config.n_layers,
        num_attention_heads=config.n_heads,
        num_key_value_heads=config.n_kv_heads,
        head_dim=config.head_dim,
        rms_norm_eps=config.rms_norm_eps,
        max_position_embeddings=POSITIONS,
        tie_word_embeddings=config.tied_head,
        bos_token_id=None,
        eos_token_id=None,
    )
    with machine.device:
        model = LlamaForCausalLM(sizes).to(machine.dtype).eval()
    ours = {name if name == "lm_head.weight" else f"model.{name}": w for name, w in machine.weights(config).items()}
    missing, unexpected = model.load_state_dict(ours, strict=False)
    if unexpected or set(missing) - {"lm_head.weight"}:
        raise RuntimeError(f"the twin must have the same tensors, got {missing} and {unexpected}")
    model.generation_config.eos_token_id = None
    return model
