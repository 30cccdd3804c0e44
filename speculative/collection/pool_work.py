"""A step of a collection that works on parts of the queries with a pool, here or in other workers."""

import pickle
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Generic, Protocol, TypeVar

import torch

from arms import Executor, Query
from arms.executors import Failed
from arms.fingerprint import fingerprint
from bandits import ContextEncoder
from speculative.collection.arm_plan import plan_facts
from speculative.targets.rule_arm import PoolArm
from speculative.targets.target_arm import target_of

Made = TypeVar("Made")


class ArmsAndEncoder(Protocol):
    """What is collected from; a `Pool` is one."""

    @property
    def arms(self) -> Collection[PoolArm]:
        """Arms of one target."""

    @property
    def encoder(self) -> ContextEncoder:
        """Makes the contexts."""


def pool_facts(pool: ArmsAndEncoder) -> dict[str, object]:
    """Return what a manifest says of a pool: its target's digest and name, its encoder's digest, what each arm is."""
    target = target_of(pool.arms)
    return {
        "target": target.fingerprint(),
        "target_name": PurePath(target.name).name,
        "encoder": fingerprint(pool.encoder),
        "arms": [arm.name for arm in pool.arms],
        **{f"arm {arm.name}": plan_facts(arm) for arm in pool.arms},
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolWork(Generic[Made]):
    """Works on parts of the queries, wherever an executor runs it; its pool travels, or is loaded, once a worker.

    Attributes:
        pool: whose arms are looked at.
        facts: of the pool that is wanted, see `pool_facts`.
        step: what is done with the pool and the queries of a part, one result a query.
        threads: see `CollectSettings`.
    """

    pool: ArmsAndEncoder
    facts: Mapping[str, object]
    step: Callable[[ArmsAndEncoder, Sequence[Query]], list[Made]]
    threads: int | None = None

    def __reduce__(self) -> tuple[Callable[..., "PoolWork[Any]"], tuple[object, ...]]:
        """Travel with the pool still packed, since torch must have its threads before models are loaded."""
        return _arrive, (self.threads, pickle.dumps(self.pool), self.facts, self.step)

    def __call__(self, queries: Sequence[Query]) -> list[Made]:
        """Return the results of one part.

        Raises:
            ValueError: if the pool that was loaded here has another target, arm or encoder.
        """
        loaded = pool_facts(self.pool)
        other = [name for name, fact in self.facts.items() if loaded.get(name) != fact]
        if other:
            raise ValueError(
                f"this worker loaded another {', '.join(other)} than the process that asks: give all the same files, "
                "draftpick and number of threads and, where the pool says auto, a dtype"
            )
        return self.step(self.pool, queries)

    def over(self, parts: Sequence[Sequence[Query]], executor: Executor | None) -> Iterator[list[Made]]:
        """Yield the results of each part, in order.

        Raises:
            RuntimeError: if a part fails in an executor's worker, or its worker dies.
        """
        if executor is None:
            yield from (self.step(self.pool, part) for part in parts)  # on the pool that the facts are of
            return
        for part, result in zip(parts, executor.map(self, parts), strict=True):
            if isinstance(result, Failed):
                raise RuntimeError(
                    f"the part of queries {part[0].id!r} to {part[-1].id!r} failed: {result.reason}; what was written "
                    "is kept, and the same call goes on there"
                )
            yield result


def _arrive(
    threads: int | None,
    pool: bytes,
    facts: Mapping[str, object],
    step: Callable[[ArmsAndEncoder, Sequence[Query]], list[Made]],
) -> PoolWork[Made]:
    """Set torch's threads in a worker, and load the pool."""
    if threads is not None:
        torch.set_num_threads(threads)
    return PoolWork(pool=pickle.loads(pool), facts=facts, step=step, threads=threads)
