"""No draft: the target alone."""

from collections.abc import Sequence
from typing import Literal

from speculative.drafts.spec import DraftedTarget, DraftSpec
from speculative.protocols.draft import Draft, DraftSession, Proposal
from speculative.protocols.shared_cache import SharedCache
from speculative.sampling.token_sampler import GREEDY, TokenSampler


class NoDraft(Draft):
    """Proposes nothing, so that every round is one plain decoding step of the target.

    Proposal: none. Availability: always. Lag: none. Cost: none.
    """

    name = "no_draft"

    class Spec(DraftSpec):
        """The settings in a pool file."""

        kind: Literal["no_draft"] = "no_draft"

        def build(self, target: DraftedTarget) -> Draft:
            """Make the draft."""
            return NoDraft()

    def open(self, prompt: Sequence[int], shared: SharedCache | None = None) -> DraftSession:
        """Make a session without state."""
        return _Silent()


class _Silent(DraftSession):
    def propose(self, prefix: Sequence[int], draft_length: int, sampler: TokenSampler = GREEDY) -> Proposal:
        return Proposal([])
