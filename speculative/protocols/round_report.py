"""What a round of a request was: known before, picked, and given."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from speculative.sampling.certainty import Certainty


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundReport:
    """One draft-verify round, told where a request asks for it (`SamplingParams.rounds`).

    Attributes:
        arm: the arm that was picked.
        drafted_by: the fixed arm that drafted: that arm, or the one which it took in this round if it is a rule.
        draft: name of its draft.
        match_lengths: known before; of each look-up among the arms' drafts, by name, how many last tokens of the text
            it had found elsewhere.
        certainty: known before; how sure the target was of the last token; None where its logits are not held.
        proposed_ids: draft tokens; those after an accepted end of text are left out.
        n_accepted: the first so many of them were accepted.
        token_ids: new tokens: those accepted, then the target's own one unless the text ended before it.
        n_caught_up: tokens that a draft idle in the round before had to read first.
        select_s: seconds of choosing, and of the selector's learning.
        draft_s: seconds of drafting.
        verify_s: seconds of verifying; in a batch, the request's share.
        host_s: seconds of the engine's own bookkeeping.
    """

    arm: str
    drafted_by: str
    draft: str
    match_lengths: Mapping[str, int]
    certainty: Certainty | None
    proposed_ids: tuple[int, ...]
    n_accepted: int
    token_ids: tuple[int, ...]
    n_caught_up: int
    select_s: float
    draft_s: float
    verify_s: float
    host_s: float

    @property
    def n_proposed(self) -> int:
        """Draft tokens."""
        return len(self.proposed_ids)

    @property
    def seconds(self) -> float:
        """All seconds of the round."""
        return self.select_s + self.draft_s + self.verify_s + self.host_s


def accepted_of_proposed(rounds: Iterable[RoundReport]) -> dict[str, tuple[int, int]]:
    """Return, of each draft that proposed anything in these rounds, how many tokens were accepted, of how many."""
    counts: dict[str, tuple[int, int]] = {}
    for one in rounds:
        if one.n_proposed:
            accepted, proposed = counts.get(one.draft, (0, 0))
            counts[one.draft] = accepted + one.n_accepted, proposed + one.n_proposed
    return counts
