"""An arm that answers a query by speculative decoding with one draft."""

from collections.abc import Iterable
from dataclasses import replace

from arms import Arm, Observation, Query
from arms.checks import at_least
from arms.fingerprint import digest, fingerprint
from speculative.drafts.no_draft import NoDraft
from speculative.engine.generate import generate
from speculative.protocols.draft import Draft
from speculative.sampling.sampling_params import SamplingParams
from speculative.targets.target import GREEDY, Target


class SpeculativeArm(Arm):
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
        if isinstance(draft, NoDraft) != (draft_length == 0):
            raise ValueError(
                f"draft_length must be 0 for NoDraft and >= 1 for a draft, got {draft_length} for {draft.name!r}"
            )
        at_least(draft_length, 0, "draft_length")
        self.name = name or (f"{draft.name}_{draft_length}" if draft_length else draft.name)
        self.target, self.draft, self.draft_length, self.sampling = target, draft, draft_length, sampling

    def fingerprint(self) -> str:
        """Return a digest of the target, the draft with its length, and the sampling."""
        return digest(self.target.fingerprint(), fingerprint(self.draft), self.draft_length, self.sampling)

    def pull(self, query: Query, seed: int) -> Observation:
        """Generate the answer; the seed changes nothing of a greedy one."""
        sampling = self.sampling if self.sampling.greedy else replace(self.sampling, seed=seed)
        engine = self.target.engine([self], decode=bool(sampling.stop))
        generation = generate(engine, [self.target.request(query, sampling)])[0]
        text = self.target.text(generation.token_ids) if generation.text is None else generation.text
        return Observation(
            arm=self.name,
            query_id=query.id,
            text=text,
            n_tokens=len(generation.token_ids),
            seconds=generation.stats.seconds,
            proposed=tuple(generation.stats.proposed),
            accepted=tuple(generation.stats.accepted),
            own_text=text if isinstance(self.draft, NoDraft) else None,
        )


def drafts_of(arms: Iterable[SpeculativeArm]) -> list[Draft]:
    """Each draft once, in the order of the arms."""
    return list({arm.draft.name: arm.draft for arm in arms}.values())


def target_of(arms: Iterable[SpeculativeArm]) -> Target:
    """Return the one target that the arms answer with.

    Raises:
        ValueError: if there is no arm, or two have different targets.
    """
    targets = {id(arm.target): arm.target for arm in arms}
    if len(targets) != 1:
        names = [target.name for target in targets.values()]
        raise ValueError(f"arms must be at least one and share one target, got targets {names}")
    return next(iter(targets.values()))
