"""How far the target would follow the draft in a round of a sampled text."""

from dataclasses import dataclass, field

import numpy as np

from arms import Observation
from arms.checks import at_least
from rewards.with_stand_in import WithStandIn


@dataclass(frozen=True)
class ExpectedAcceptanceLength(WithStandIn):
    """Expected new tokens of a round under rejection sampling, averaged over the text's positions.

        1 + sum_{i = 1 .. draft_length} prod_{j = 0 .. i - 1} overlap_{t + j}, averaged over t

    With the text's own tokens as the draft's prefix, so an estimate from one text; what would be drafted past its end
    does not count. It ignores what drafting costs.
    Source: Liu et al. 2025, HedgeSpec (arXiv:2510.20064), its estimator of the expected accepted length.

    Args:
        draft_length: tokens drafted a round, >= 1.
        missing: value of an observation without overlaps, in [1, draft_length + 1]; None rejects it.

    Raises:
        ValueError: if `draft_length` is below 1, or `missing` outside its bounds.
    """

    draft_length: int
    missing: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        at_least(self.draft_length, 1, "draft_length")
        super().__post_init__()

    @property
    def bounds(self) -> tuple[float, float]:  # type: ignore[override]  # follows from the draft length
        """Lowest and highest value possible."""
        return 1.0, self.draft_length + 1.0

    def _value(self, observation: Observation) -> float:
        """Add up the probabilities that 1, 2, ... draft tokens are accepted.

        Raises:
            ValueError: if the observation has no `overlaps` and no stand-in was given.
        """
        if not observation.overlaps:
            return self.stand_in(
                observation,
                "overlaps (of the draft's distribution with the target's) are missing; collect them, or say what "
                f"they are worth, as in expected_acceptance_length({self.draft_length}, missing=1)",
            )
        overlaps = np.asarray(observation.overlaps)
        accepted, total = np.ones(len(overlaps)), 1.0
        for n_before in range(min(self.draft_length, len(overlaps))):
            accepted = accepted[: len(overlaps) - n_before] * overlaps[n_before:]
            total += float(accepted.sum()) / len(overlaps)
        return total
