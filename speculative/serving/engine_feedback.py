"""What engines say of their speculation, each in its own form, as one record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

_MOST_TOKENS = 1_000_000_000  # of an answer: an engine that says more counts wrongly
_LONGEST_DRAFT = 1_024


@dataclass(frozen=True, slots=True)
class EngineFeedback:
    """Counts of one answer; None where the engine does not say.

    Attributes:
        engine: whose form it was.
        n_tokens: generated.
        n_rounds: draft-verify rounds.
        n_draft_tokens: proposed.
        n_accepted: of these.
        accepted_at: draft position, from 0, to how many tokens were accepted there.
    """

    engine: str
    n_tokens: int | None = None
    n_rounds: int | None = None
    n_draft_tokens: int | None = None
    n_accepted: int | None = None
    accepted_at: Mapping[int, int] = field(default_factory=dict)


def feedback_of(payload: Mapping[str, object]) -> EngineFeedback | None:
    """Return what an answer, or a chunk of one, says of speculation; None where it says nothing that can be read.

    Numbers that contradict themselves (negative, or more accepted than proposed) or that no answer reaches (more than
    a billion, or drafts of more than 1,024 tokens) are not taken.
    """
    for name, read in _FORMS.items():
        found = read(_table(payload[name])) if name in payload else None
        if found is not None and not _contradicts_itself(found):
            return found
    return None


def token_count(value: object, most: int = _MOST_TOKENS) -> int | None:
    """Return a count of tokens or rounds that an engine says; None for what can be none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most else None


def _contradicts_itself(found: EngineFeedback) -> bool:
    """Return whether more was accepted than proposed, where both are known."""
    drafted, accepted = found.n_draft_tokens, found.n_accepted
    return drafted is not None and accepted is not None and accepted > drafted


def _of_vllm(metrics: Mapping[str, object]) -> EngineFeedback | None:
    said = _table(metrics.get("speculative_decoding"))
    if not said:
        return None
    return EngineFeedback(
        "vllm",
        n_rounds=token_count(said.get("num_spec_steps")),
        n_draft_tokens=token_count(said.get("num_draft_tokens")),
        n_accepted=token_count(said.get("num_accepted_draft_tokens")),
        accepted_at=_accepted_at(said.get("per_step_accepted")),
    )


def _accepted_at(per_round: object) -> dict[int, int]:
    """Return how many tokens were accepted at each draft position, of the number accepted in each round."""
    if not isinstance(per_round, list):
        return {}
    rounds = Counter(token_count(n_accepted, _LONGEST_DRAFT) or 0 for n_accepted in per_round)
    at: dict[int, int] = {}
    n_rounds = 0
    for position in range(max(rounds, default=0) - 1, -1, -1):
        n_rounds += rounds[position + 1]
        at[position] = n_rounds
    return dict(sorted(at.items()))


def _of_llama_cpp(said: Mapping[str, object]) -> EngineFeedback | None:
    if not said:
        return None
    drafted = token_count(said.get("draft_n"))
    accepted = token_count(said.get("draft_n_accepted"))
    # without speculation the two fields are missing, which says that nothing was drafted
    return EngineFeedback(
        "llama.cpp", token_count(said.get("predicted_n")), n_draft_tokens=drafted or 0, n_accepted=accepted or 0
    )


def _of_lm_studio(said: Mapping[str, object]) -> EngineFeedback | None:
    if not said:
        return None
    return EngineFeedback(
        "lm_studio",
        n_draft_tokens=token_count(said.get("total_draft_tokens_count")),
        n_accepted=token_count(said.get("accepted_draft_tokens_count")),
    )


def _of_sglang(said: Mapping[str, object]) -> EngineFeedback | None:
    rounds = token_count(said.get("spec_verify_ct"))
    if rounds is None:
        return None
    return EngineFeedback(
        "sglang",
        token_count(said.get("completion_tokens")),
        rounds,
        n_accepted=token_count(said.get("spec_num_correct_drafts")),
    )


def _table(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


_FORMS: Mapping[str, Callable[[Mapping[str, object]], EngineFeedback | None]] = {
    "metrics": _of_vllm,
    "timings": _of_llama_cpp,
    "stats": _of_lm_studio,
    "meta_info": _of_sglang,
}
"""How the field of each engine is read."""
