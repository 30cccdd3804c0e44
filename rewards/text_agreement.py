"""The class to subclass for one more way to compare a draft's own text with the target's."""

from abc import abstractmethod
from dataclasses import dataclass

from arms import Observation
from rewards.with_stand_in import WithStandIn


@dataclass(frozen=True)
class TextAgreement(WithStandIn):
    """How far the text that a draft writes alone agrees with the target's; equal texts agree fully, at 1.

    A subclass writes `_agreement`. It needs `own_text`, which `collect` stores where it is asked for own texts, and
    `reference`.

    Args:
        missing: value of an observation without a text of its own, in [0, 1]; None rejects it.

    Raises:
        ValueError: if `missing` is outside [0, 1].
    """

    bounds = (0.0, 1.0)

    def _value(self, observation: Observation) -> float:
        """Compare `own_text` with `reference.text`.

        Raises:
            ValueError: if `own_text` is missing and no stand-in was given, or `reference` is missing.
        """
        own = observation.own_text
        if own is None:
            return self.stand_in(
                observation,
                "own_text (what the draft writes alone) is missing; collect it, or say what it is worth, as in "
                "rouge_l(missing=0)",
            )
        target = self.reference_of(observation).text
        return 1.0 if own == target else self._agreement(own, target)

    @abstractmethod
    def _agreement(self, own: str, target: str) -> float:
        """Compare two texts that differ.

        Args:
            own: what the draft writes alone.
            target: what the target writes.

        Returns:
            A number within `bounds`.
        """
