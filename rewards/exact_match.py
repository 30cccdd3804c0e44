"""Agreement of texts, all or nothing."""

from dataclasses import dataclass

from rewards.text_agreement import TextAgreement


@dataclass(frozen=True)
class ExactMatch(TextAgreement):
    """1 where the draft's own text is the target's text, blanks at the ends aside, else 0."""

    def _agreement(self, own: str, target: str) -> float:
        return float(own.strip() == target.strip())
