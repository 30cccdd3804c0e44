"""Hybrid Verified Decoding: a cache draft where enough of it is expected to be accepted, else a model's."""

import numpy as np

from arms.checks import at_least, not_negative
from speculative.protocols.selector import RoundContext
from speculative.rounds.acceptance_model import AcceptanceModel
from speculative.rounds.record import RoundRecord
from speculative.rounds.round_selector import RoundSelector


class HybridVerified(RoundSelector):
    """The look-up where its expected accepted length reaches a threshold, else the other arm.

    action = cache where sum over i of P(accepted >= i | record) >= threshold, else other

    It weighs lengths, not seconds.

    Args:
        model: fitted on the arms' drafts; it predicts the cache draft's accepted length.
        cache: index of the look-up's arm.
        other: index of the arm of a draft model, or of no draft.
        threshold: accepted tokens, >= 0; the mean accepted length of the other arm makes it the longer of two drafts.

    Raises:
        ValueError: if the threshold is negative, or the cache arm has no draft.

    Source: Su et al. 2026, Hybrid Verified Decoding (arXiv:2606.01019): a learned predictor of a cache draft's accepted
    length chooses between it and EAGLE-3. Ours predicts from round records instead of its features.
    """

    def __init__(self, model: AcceptanceModel, cache: int, other: int, *, threshold: float) -> None:
        super().__init__(model.layout)
        for name, action in (("cache", cache), ("other", other)):
            if at_least(action, 0, name) >= len(model.layout.arms):
                raise ValueError(f"{name} must be one of {len(model.layout.arms)} arms, got {action}")
        draft = model.layout.draft_of[cache]
        if draft is None:
            raise ValueError(f"cache must be the arm of a look-up, got {list(model.layout.arms)[cache]!r}")
        self._draft, self._length = draft, model.layout.lengths[cache]
        self.model, self.cache, self.other = model, cache, other
        self.threshold = not_negative(threshold, "threshold")

    def choose(self, round_: RoundContext, record: RoundRecord) -> int:
        """Compare the expected length with the threshold."""
        if not round_.available[self.cache] or not record.match_lengths[self._draft]:
            return self.other
        expected = float(np.sum(self.model.survival(record, max(1, self._length))[self._draft]))
        return self.cache if expected >= self.threshold else self.other
