"""How answers are valued: on the scale on which this server's log was valued before."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from arms.atomic_file import write_file
from arms.input_file import read_text
from bandits import checks
from rewards import Reward, SecondsPerToken
from speculative.serving.settings import CallerReward, RewardSource, ServiceSettings
from speculative.serving.startup_probe import Probed

_KEPT = "service.json"
_SLOWER = 4.0  # than the incumbent was in the probe: what is slower than that is not told apart


def reward_of(folder: Path, settings: ServiceSettings, slowest: float | None, found: Sequence[Probed]) -> Reward:
    """Return what values answers: as in this folder before, else as asked for or probed now.

    Args:
        folder: of the server's state, which keeps it, since rewards of two scales cannot be learned from together.
        settings: say where rewards come from.
        slowest: seconds a token that count as the worst, where they were asked for.
        found: by the probe.

    Raises:
        ValueError: if the folder holds rewards of another kind or scale, is damaged, or the incumbent gave no tokens.
    """
    file = folder / _KEPT
    kept = _read(file)
    if kept is not None:
        source, before = kept
        if source != settings.rewards:
            raise ValueError(f"{folder} holds rewards of the kind {source!r}, got {settings.rewards!r}: use another")
        if None not in (before, slowest) and before != slowest:
            raise ValueError(f"{folder} holds rewards with slowest = {before:g}, got {slowest}: use another")
        slowest = before
    else:
        if settings.rewards == "caller":
            slowest = None
        elif slowest is None:
            slowest = _slowest(settings.incumbent, found)
        write_file(file, json.dumps({"rewards": settings.rewards, "slowest": slowest}))
    return CallerReward(settings.default_reward) if slowest is None else SecondsPerToken(slowest)


def _read(file: Path) -> tuple[RewardSource, float | None] | None:
    if not file.exists():
        return None
    try:
        kept = json.loads(read_text(file))
        source, slowest = kept["rewards"], kept["slowest"]
        if source not in ("own", "caller") or (source == "own") != (slowest is not None):
            raise ValueError("rewards and slowest do not agree")
        return source, None if slowest is None else checks.number(slowest, "slowest")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{file} is damaged ({error}): restore it, or begin another folder") from error


def _slowest(incumbent: str, found: Sequence[Probed]) -> float:
    measured = next((one.seconds_per_token for one in found if one.arm == incumbent), None)
    if measured is None:
        raise ValueError(
            f"the incumbent {incumbent!r} gave no tokens in the probe: start it, or give the seconds a token that "
            "count as slowest"
        )
    return float(f"{_SLOWER * measured:.2g}")
