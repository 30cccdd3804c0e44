"""An arm that answers a query by speculative decoding with one draft."""

from collections.abc import Sequence

from arms.checks import at_least
from arms.fingerprint import digest, fingerprint
from speculative.drafts.no_draft import NoDraft
from speculative.protocols.draft import Draft
from speculative.protocols.drafting_rule import EngineArm
from speculative.sampling.sampling_params import SamplingParams
from speculative.targets.target import GREEDY, Target
from speculative.targets.target_arm import TargetArm


def default_name(draft: str, draft_length: int) -> str:
    """Return the name of an arm that is given none: its draft's, and the draft length, as in `prompt_lookup_7`."""
    return f"{draft}_{draft_length}" if draft_length else draft


class SpeculativeArm(TargetArm):
    """The target's own text, with one draft's help in every round.

    Args:
        target: the model that answers.
        draft: proposes tokens; `NoDraft()` for the target alone.
        draft_length: tokens proposed per round, >= 1; 0 with `NoDraft`.
        name: by default the draft's name and the draft length, as in `prompt_lookup_7`.
        sampling: how tokens are picked; greedy by default. A sampled text's noise comes from the seed of the pull.

    Raises:
        ValueError: if the draft length does not fit the draft.
    """

    def __init__(
        self,
        target: Target,
        draft: Draft,
        draft_length: int = 0,
        *,
        name: str | None = None,
        sampling: SamplingParams = GREEDY,
    ) -> None:
        draft_length = at_least(draft_length, 0, "draft_length")
        if isinstance(draft, NoDraft) != (draft_length == 0):
            raise ValueError(
                f"draft_length must be 0 for NoDraft and >= 1 for a draft, got {draft_length} for {draft.name!r}"
            )
        self.name = name or default_name(draft.name, draft_length)
        self.target, self.draft, self.draft_length, self.sampling = target, draft, draft_length, sampling

    def fingerprint(self) -> str:
        """Return a digest of the target, the draft with its length, and the sampling."""
        return digest(self.target.fingerprint(), fingerprint(self.draft), self.draft_length, self.sampling)

    @property
    def drafts(self) -> Sequence[Draft]:
        """The one draft."""
        return (self.draft,)

    def _engine_arm(self) -> EngineArm:
        return self
