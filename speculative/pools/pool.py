"""A pool: a loaded target, the arms that may help it, and the encoder of queries."""

from collections.abc import Iterable
from pathlib import Path
from typing import Self

from arms import ArmSet
from bandits import ContextEncoder
from speculative.drafts import DraftSpec
from speculative.drafts.draft_model import VocabularyMismatchError
from speculative.models.settings import DEFAULT_CACHE
from speculative.pools.spec import PoolSpec, read_pool_spec
from speculative.protocols.draft import Draft
from speculative.targets.speculative_arm import SpeculativeArm, drafts_of, target_of
from speculative.targets.target import Target


class Pool:
    """A target with its arms and its encoder, read from a file (`Pool.load`) or put together from loaded objects.

    Args:
        target: the model whose text is kept.
        arms: ways to help it; each of this target.
        encoder: makes the contexts that a policy chooses by.

    Attributes:
        arms: an `ArmSet`: in order, by name or index.

    Raises:
        ValueError: if there is no arm, one is of another target, or two arms or two drafts share a name.
    """

    def __init__(self, target: Target, arms: Iterable[SpeculativeArm], encoder: ContextEncoder) -> None:
        self.target, self.arms, self.encoder = target, ArmSet(arms), encoder
        if target_of(self.arms) is not target:
            raise ValueError(f"the arms answer with {target_of(self.arms).name!r}, not with the target {target.name!r}")
        drafts: dict[str, Draft] = {}
        for arm in self.arms:  # traces and costs are filed under a draft's name
            if drafts.setdefault(arm.draft.name, arm.draft) is not arm.draft:
                raise ValueError(
                    f"arm {arm.name!r}: another draft of the pool has the name {arm.draft.name!r}; rename one, or let "
                    "the arms share one draft"
                )

    @classmethod
    def load(cls, path: str | Path, cache: Path = DEFAULT_CACHE) -> Self:
        """Read a pool file and load its models.

        Args:
            path: a pool.toml.
            cache: where converted weights are kept.

        Raises:
            ValueError: if the file breaks a rule, a model is missing, or two arms or drafts share a name.
        """
        return cls.of(read_pool_spec(Path(path)), cache)

    @classmethod
    def of(cls, spec: PoolSpec, cache: Path = DEFAULT_CACHE) -> Self:
        """Load the target and every draft that a specification names, each model once.

        Raises:
            ValueError: if a model is missing, a draft speaks other tokens, or two arms or drafts share a name.
        """
        target = load_target(spec, cache)
        drafts: dict[tuple[type[DraftSpec], str], Draft] = {}
        arms: dict[str, SpeculativeArm] = {}
        for i, arm in enumerate(spec.arms):
            where, key = f"{spec.origin}, arms.{i}", (type(arm.draft), arm.draft.model_dump_json())
            if key not in drafts:
                drafts[key] = _build(arm.draft, target, where)
                if any(drafts[key].name == other.draft.name for other in arms.values()):
                    raise ValueError(
                        f"{where}: an arm before it has another draft named {drafts[key].name!r}; rename one (a draft "
                        "model has the name of its folder or file)"
                    )
            made = SpeculativeArm(target, drafts[key], arm.draft_length, name=arm.name)
            if made.name in arms:
                raise ValueError(f"{where}: an arm before it is named {made.name!r}; give one another name")
            arms[made.name] = made
        return cls(target, arms.values(), spec.encoder.build(target))

    @property
    def drafts(self) -> list[Draft]:
        """Each draft once, in the order of the arms."""
        return drafts_of(self.arms)


def load_target(spec: PoolSpec, cache: Path = DEFAULT_CACHE) -> Target:
    """Load a pool's target alone.

    Raises:
        ValueError: if it cannot be found or read.
    """
    return Target.load(
        spec.target, spec.model_settings(cache), max_new_tokens=spec.max_new_tokens, max_batch=spec.max_batch
    )


def _build(spec: DraftSpec, target: Target, where: str) -> Draft:
    """Make a draft; what is wrong with it is said with the place in the pool file."""
    try:
        return spec.build(target)
    except VocabularyMismatchError as error:
        raise VocabularyMismatchError(f"{where}: {error}") from error
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error}") from error
