"""The modes of transformers that the demo is timed against: the same weights, the dtype that is faster here."""

import time
from dataclasses import replace
from typing import Any

import torch

from speculative.demo.modes import ASSISTED, LOOKUP, PLAIN
from speculative.drafts.draft_model import VOCABULARY_FILE, DraftModel
from speculative.measuring.wall_clock import Mode, transformers_mode
from speculative.models.settings import ModelSettings
from speculative.models.sources import resolve_model
from speculative.pools.arm_specs import ArmSpec
from speculative.pools.pool import Pool
from speculative.pools.spec import PoolSpec

_TRIED_TOKENS = 12


def peer_modes(spec: PoolSpec, pool: Pool) -> dict[str, Mode]:
    """Return transformers' greedy decoding, prompt lookup and, where the pool has a draft model, assisted generation.

    The target has dense weights. Where the pool's are dense, their dtype is taken, so that texts can be compared; else
    float32 or bfloat16, whichever decodes faster on this machine.

    Args:
        spec: what the pool was made from.
        pool: loaded.
    """
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    target = pool.target
    settings = replace(spec.model_settings(), weights="dense", dtype=target.model.dtype)
    if pool.target.settings.weights == "dense":
        model = _load(spec.target, settings)
    else:
        model = _faster(spec.target, settings, pool)
    modes = {
        PLAIN: transformers_mode(target, model, PLAIN),
        LOOKUP: transformers_mode(target, model, LOOKUP, prompt_lookup_num_tokens=7),
    }
    assistant = _assistant(spec, replace(settings, dtype=model.dtype))
    if assistant is not None:
        modes[ASSISTED] = transformers_mode(target, model, ASSISTED, assistant_model=assistant)
    return modes


def _load(name: str, settings: ModelSettings) -> Any:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(resolve_model(name, settings), dtype=settings.dtype)
    return model.to(settings.device)


def _faster(name: str, settings: ModelSettings, pool: Pool) -> Any:
    """Load the dtype that decodes a few tokens in less time; the second load replaces the first only if it wins."""
    best: tuple[float, Any] | None = None
    for dtype in (torch.float32, torch.bfloat16):
        model = _load(name, replace(settings, dtype=dtype))
        ids = torch.arange(5, 37, device=model.device)[None]
        options = {"do_sample": False, "attention_mask": torch.ones_like(ids), "pad_token_id": 0, "eos_token_id": None}
        model.generate(ids, max_new_tokens=2, **options)
        begin = time.perf_counter()
        model.generate(ids, max_new_tokens=_TRIED_TOKENS, **options)
        seconds = time.perf_counter() - begin
        if best is None or seconds < best[0]:
            best = seconds, model
    assert best is not None
    return best[1]


def _assistant(spec: PoolSpec, settings: ModelSettings) -> Any:
    """Load the pool's first draft model that speaks the target's whole vocabulary, or None."""
    for arm in spec.arms:
        if isinstance(arm, ArmSpec) and isinstance(arm.draft, DraftModel.Spec):
            folder = resolve_model(arm.draft.model, settings)
            if not (folder / VOCABULARY_FILE).is_file():
                return _load(arm.draft.model, settings)
    return None
