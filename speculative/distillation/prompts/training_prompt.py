"""One training prompt, how distinct ones are drawn, and on which side of a split each belongs."""

import hashlib
from collections.abc import Callable
from typing import Literal, TypedDict

from arms.checks import at_least, within

Draw = tuple[str, str]  # group, prompt
_MOST_REPEATS = 500  # consecutive repeats after which a source counts as used up


class TrainingPrompt(TypedDict):
    """A prompt for the target to answer, so that a draft learns from its text; readable as an `arms.Query`.

    `group` names what the prompt was made from (a problem template, a coding task, a function, a topic).
    """

    id: str
    domain: str
    prompt: str
    group: str


def _fraction(text: str) -> float:
    """Map text to [0, 1), the same in every process."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48


def draw_distinct(domain: str, n: int, draw: Callable[[], Draw]) -> list[TrainingPrompt]:
    """Call `draw` until it has given `n` different prompts; ids depend on the prompt alone.

    Raises:
        ValueError: if `n` is negative, or the source runs out of new prompts before `n`.
    """
    at_least(n, 0, "n")
    records: dict[str, TrainingPrompt] = {}
    repeats = 0
    while len(records) < n:
        group, prompt = draw()
        key = f"{domain}-{hashlib.sha256(prompt.encode()).hexdigest()[:16]}"
        repeats = repeats + 1 if key in records else 0
        if repeats > _MOST_REPEATS:
            raise ValueError(f"n must be at most about {len(records)} for the source {domain!r}, got {n}")
        records.setdefault(key, TrainingPrompt(id=key, domain=domain, prompt=prompt, group=group))
    return list(records.values())


def split(record: TrainingPrompt, held_out_share: float = 0.1) -> Literal["train", "held_out"]:
    """Say on which side a prompt falls, by a hash of its group.

    All prompts made from one template, task, function or topic fall on one side under every seed, so a
    held-out prompt shares none of them with a training prompt.

    Args:
        record: The prompt.
        held_out_share: Expected share of groups held out, in [0, 1].

    Returns:
        "train" or "held_out".

    Raises:
        ValueError: if `held_out_share` is outside [0, 1].
    """
    within(held_out_share, 0, 1, "held_out_share")
    return "held_out" if _fraction(f"{record['domain']}/{record['group']}") < held_out_share else "train"
