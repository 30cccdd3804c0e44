"""Cost profiles on disk, one a machine, target and arithmetic; measured anew where they are missing or no good."""

import hashlib
import json
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from arms.atomic_file import write_file
from arms.input_file import read_text
from speculative.measuring.cost_measurement import measure_costs
from speculative.measuring.cost_profile import MAX_DRIFT, MAX_SPREAD, CostProfile
from speculative.protocols.causal_lm import CausalLM
from speculative.protocols.draft import Draft

MAX_AGE_DAYS = 30
FORM = 2  # goes up with every change of what a profile holds: earlier ones are then left alone


def profile_key(target_name: str, model: CausalLM) -> str:
    """Digest of all that a measured cost depends on, except the drafts."""
    facts = [
        FORM,
        target_name,
        model.arithmetic,
        str(model.dtype),
        torch.__version__,
        str(torch.get_num_threads()),
    ]
    facts += [platform.processor(), platform.node(), str(model.device)]
    if model.device.type == "cuda":
        facts.append(torch.cuda.get_device_name(model.device))
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def cached_costs(
    model: CausalLM,
    target_name: str,
    drafts: Sequence[Draft],
    folder: Path,
    *,
    refresh: bool = False,
    on_progress: Callable[[], None] | None = None,
) -> CostProfile:
    """Return the stored profile, or a new one where it is missing, old, noisy or short.

    Short is one that lacks a draft; what it knows of other drafts is kept.

    Args:
        model: the target.
        target_name: what it was loaded by.
        drafts: the pool's drafts.
        folder: holds `costs-KEY.json`, one a machine and target.
        refresh: measure in any case.
        on_progress: see `measure_costs`.

    Raises:
        ValueError: if the stored profile is unreadable; the message names the file.
    """
    key = profile_key(target_name, model)
    path = folder / f"costs-{key}.json"
    stored = None if refresh else _stored(path)
    if stored is not None and {draft.name for draft in drafts} <= set(stored.drafts):
        return stored
    profile = measure_costs(model, drafts, key=key, on_progress=on_progress)
    if stored is not None:
        profile = replace(profile, drafts={**stored.drafts, **profile.drafts})
    write_file(path, profile.to_json())
    return profile


def _stored(path: Path) -> CostProfile | None:
    """Return the profile on disk, unless there is none, or an old or noisy one."""
    if not path.exists():
        return None
    try:
        profile = CostProfile.from_json(read_text(path))
    except ValueError as error:
        raise ValueError(f"{path}: {error}; delete it and run again") from error
    fresh = time.time() - profile.measured_at < MAX_AGE_DAYS * 86_400
    return profile if fresh and profile.spread <= MAX_SPREAD and profile.drift <= MAX_DRIFT else None
