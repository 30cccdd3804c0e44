"""The modes of transformers that the demo is timed against: the same weights, the dtype that is faster here."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

from arms.atomic_file import write_file
from arms.input_file import read_text
from speculative.demo.modes import ASSISTED, LOOKUP, PLAIN
from speculative.drafts.draft_model import VOCABULARY_FILE, DraftModel
from speculative.measuring.wall_clock import Mode, transformers_mode
from speculative.models.settings import ModelSettings
from speculative.models.sources import resolve_model
from speculative.pools.arm_specs import ArmSpec
from speculative.pools.pool import Pool
from speculative.pools.spec import PoolSpec

_TRIED_TOKENS = 12
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def peer_modes(spec: PoolSpec, pool: Pool, out: Path) -> dict[str, Mode]:
    """Return transformers' greedy decoding, prompt lookup and, where the pool has a draft model, assisted generation.

    The target has dense weights. Where the pool's are dense, their dtype is taken, so that texts can be compared; else
    float32 or bfloat16, whichever decodes faster on this machine, as `peer.json` keeps it for a demo that goes on.
    Models are loaded when a mode first answers.

    Args:
        spec: what the pool was made from.
        pool: loaded.
        out: folder of `peer.json`.
    """
    target, plain = pool.target, replace(spec.model_settings(), weights="dense")

    @cache
    def settings() -> ModelSettings:
        dense = target.settings.weights == "dense"
        dtype = target.model.dtype if dense else _kept_dtype(spec.target, plain, out / "peer.json")
        return replace(plain, dtype=dtype)

    @cache
    def model() -> Any:
        return _load(spec.target, settings())

    modes = {
        PLAIN: _lazy(lambda: transformers_mode(target, model(), PLAIN)),
        LOOKUP: _lazy(lambda: transformers_mode(target, model(), LOOKUP, prompt_lookup_num_tokens=7)),
    }
    assistant = _assistant(spec, plain)
    if assistant is not None:
        modes[ASSISTED] = _lazy(
            lambda: transformers_mode(target, model(), ASSISTED, assistant_model=_load(assistant, settings()))
        )
    return modes


def _lazy(make: Callable[[], Mode]) -> Mode:
    """Return a mode that is made when it first answers: where every prompt was timed before, no model is loaded."""
    made = cache(make)
    return lambda query: made()(query)


def _load(name: str, settings: ModelSettings) -> Any:
    from transformers import AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    model = AutoModelForCausalLM.from_pretrained(resolve_model(name, settings), dtype=settings.dtype)
    return model.to(settings.device)


def _kept_dtype(name: str, settings: ModelSettings, file: Path) -> torch.dtype:
    """Return the dtype that a stopped demo was begun with, or choose one: all prompts are timed against one peer."""
    if not file.is_file():
        write_file(file, json.dumps({"dtype": min(_DTYPES, key=lambda dtype: _trial_s(name, settings, dtype))}))
    try:
        return _DTYPES[json.loads(read_text(file))["dtype"]]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"{file} is damaged ({error}): name another folder, or delete this one") from error


def _trial_s(name: str, settings: ModelSettings, dtype: str) -> float:
    """Return the seconds of a few tokens in a dtype; the model is let go, so that two never lie in memory."""
    model = _load(name, replace(settings, dtype=_DTYPES[dtype]))
    ids = torch.arange(5, 37, device=model.device)[None]
    options = {"do_sample": False, "attention_mask": torch.ones_like(ids), "pad_token_id": 0, "eos_token_id": None}
    model.generate(ids, max_new_tokens=2, **options)
    begin = time.perf_counter()
    model.generate(ids, max_new_tokens=_TRIED_TOKENS, **options)
    return time.perf_counter() - begin


def _assistant(spec: PoolSpec, settings: ModelSettings) -> str | None:
    """Return the name of the pool's first draft model that speaks the target's whole vocabulary, or None."""
    for arm in spec.arms:
        if isinstance(arm, ArmSpec) and isinstance(arm.draft, DraftModel.Spec):
            folder = resolve_model(arm.draft.model, settings)
            if not (folder / VOCABULARY_FILE).is_file():
                return arm.draft.model
    return None
