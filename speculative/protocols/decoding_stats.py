"""Everything the engine counts while it answers a request."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class DraftFault:
    """A draft that broke its contract and was disabled for the rest of the request.

    Attributes:
        draft: its name.
        round: the round, counted from 0.
        reason: what it did.
    """

    draft: str
    round: int
    reason: str


@dataclass(slots=True)
class DecodingStats:
    """Counts and seconds of one request. Cuts (end of text, token limit) come before counting.

    In a batch, the seconds of shared work are divided evenly among its requests; drafting is each one's own.

    Attributes:
        n_prompt: prompt tokens.
        n_cached: those of them that were not read: another request had the same first tokens.
        n_new: generated tokens, the prefill's one included.
        actions: arm index of each round.
        proposed: draft tokens proposed in each round.
        accepted: those accepted; the target's own `next_token` is not counted.
        n_caught_up: tokens that a draft idle in the round before had to read first.
        faults: drafts disabled, in order.
        prefill_s: seconds of the prompt's pass.
        draft_s: seconds of drafting.
        verify_s: seconds of verifying.
        select_s: seconds of choosing; the selector's learning is in
            select_s.
        catch_up_s: the part of draft_s spent on the `n_caught_up` tokens.
        host_s: seconds of the engine's own bookkeeping.
    """

    n_prompt: int = 0
    n_cached: int = 0
    n_new: int = 0
    actions: list[int] = field(default_factory=list)
    proposed: list[int] = field(default_factory=list)
    accepted: list[int] = field(default_factory=list)
    n_caught_up: int = 0
    faults: list[DraftFault] = field(default_factory=list)
    prefill_s: float = 0.0
    select_s: float = 0.0
    draft_s: float = 0.0
    catch_up_s: float = 0.0
    verify_s: float = 0.0
    host_s: float = 0.0

    @property
    def n_rounds(self) -> int:
        """Draft-verify cycles; the prefill is none."""
        return len(self.proposed)

    @property
    def n_proposed(self) -> int:
        """Draft tokens proposed, over all rounds."""
        return sum(self.proposed)

    @property
    def n_accepted(self) -> int:
        """Draft tokens accepted, over all rounds."""
        return sum(self.accepted)

    @property
    def seconds(self) -> float:
        """All seconds of the request."""
        parts = (self.prefill_s, self.select_s, self.draft_s, self.verify_s, self.host_s)
        return sum(parts)

    def accepted_by_position(self) -> list[tuple[int, int]]:
        """For each draft position i: (rounds that proposed an i-th token, rounds that accepted it)."""
        width = max(self.proposed, default=0)
        return [(sum(p > i for p in self.proposed), sum(a > i for a in self.accepted)) for i in range(width)]
