"""Accept a prefix of the draft so that the text stays the target's."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verification:
    """Outcome of a round: draft tokens accepted, and the one token the target adds."""

    n_accepted: int
    next_token: int


def verify_greedy(target_tokens: Sequence[int], draft_tokens: Sequence[int]) -> Verification:
    """Accept draft tokens while they equal the target's greedy choice.

    Args:
        target_tokens: (gamma + 1,) the target's best token after each draft prefix.
        draft_tokens: (gamma,) the proposal.

    Returns:
        n_accepted in [0, gamma]; next_token, the target's choice after the accepted prefix.

    Raises:
        ValueError: if the lengths disagree.

    Source: Stern et al. 2018, section 3 (arXiv:1811.03115).
    """
    if len(target_tokens) != len(draft_tokens) + 1:
        raise ValueError(f"{len(draft_tokens)} draft tokens need one more target token, got {len(target_tokens)}")
    n_accepted = 0
    while n_accepted < len(draft_tokens) and draft_tokens[n_accepted] == target_tokens[n_accepted]:
        n_accepted += 1
    return Verification(n_accepted, target_tokens[n_accepted])
