"""An arm that answers with a target's own text, whichever drafts help."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace

from arms import Arm, Observation, Query
from speculative.drafts.no_draft import NoDraft
from speculative.engine.generate import generate
from speculative.protocols.draft import Draft
from speculative.protocols.drafting_rule import EngineArm
from speculative.sampling.sampling_params import SamplingParams
from speculative.targets.target import Target


class TargetArm(Arm):
    """What fixed arms and rules share: a pull is one request to the target's engine.

    Attributes:
        target: the model that answers.
        draft_length: most tokens proposed per round; 0 for no draft.
        sampling: how tokens are picked. A sampled text's noise comes from the seed of the pull.
    """

    target: Target
    draft_length: int
    sampling: SamplingParams

    @property
    @abstractmethod
    def drafts(self) -> Sequence[Draft]:
        """Each draft that may draft, once."""

    @abstractmethod
    def _engine_arm(self) -> EngineArm:
        """Return the arm as the engine takes it."""

    def pull(self, query: Query, seed: int) -> Observation:
        """Generate the answer; the seed changes nothing of a greedy one."""
        sampling = self.sampling if self.sampling.greedy else replace(self.sampling, seed=seed)
        engine = self.target.engine([self._engine_arm()], decode=bool(sampling.stop))
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
            own_text=text if all(isinstance(draft, NoDraft) for draft in self.drafts) else None,
        )


def drafts_of(arms: Iterable[TargetArm]) -> list[Draft]:
    """Each draft once, in the order of the arms."""
    return list({draft.name: draft for arm in arms for draft in arm.drafts}.values())


def target_of(arms: Iterable[TargetArm]) -> Target:
    """Return the one target that the arms answer with.

    Raises:
        ValueError: if there is no arm, or two have different targets.
    """
    targets = {id(arm.target): arm.target for arm in arms}
    if len(targets) != 1:
        names = [target.name for target in targets.values()]
        raise ValueError(f"arms must be at least one and share one target, got targets {names}")
    return next(iter(targets.values()))
