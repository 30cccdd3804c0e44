"""The drafts of a pool file that is read again while one engine runs them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from speculative.collection.look_ups import replayable_arms
from speculative.pools.pool import Pool
from speculative.pools.spec import read_pool_spec
from speculative.serving.engine_worker import EngineWorker
from speculative.serving.served_arm import ServedArm
from speculative.serving.startup_probe import check_probed, probe_arm


class EngineSource:
    """Loads the drafts that a pool file names beside the requests that run; a model that leaves stays in memory.

    Args:
        pool: as it was at the start, read from a file.
        worker: steps its engine.
        new_arm: makes what serves of an arm that the worker has.
        selectors: names of the arms that choose among the pool's at every round, as it was at the start.
        hindsight: whether look-ups are replayed on every answer.
    """

    def __init__(
        self,
        pool: Pool,
        worker: EngineWorker,
        new_arm: Callable[[str], ServedArm],
        *,
        selectors: Collection[str] = (),
        hindsight: bool = False,
    ) -> None:
        self._pool = self._read = pool  # that of the arms that serve, and that of the file read last
        self._worker, self._new_arm = worker, new_arm
        self._selectors, self._hindsight = tuple(selectors), hindsight

    async def read(self, file: Path, serving: Mapping[str, ServedArm]) -> list[ServedArm]:
        """Return the arms of a file, and those that choose at every round.

        Raises:
            ValueError: see `PoolSource.read`.
        """
        pool = await asyncio.to_thread(self._loaded, file, serving)
        joining = [arm for arm in pool.arms if arm.name not in serving]
        if joining:
            await asyncio.wrap_future(self._worker.add_arms(joining))
        new = {arm.name: self._new_arm(arm.name) for arm in joining}
        check_probed([await probe_arm(arm) for arm in new.values()], allow_unproven=True, all_must_answer=True)
        self._read, arms = pool, {**serving, **new}
        return [arms[name] for name in (*pool.arms.names, *self._selectors)]

    async def close(self, arms: Iterable[ServedArm]) -> None:
        """Leave the engine as it is: nobody chooses its arms any more."""

    def _loaded(self, file: Path, serving: Mapping[str, ServedArm]) -> Pool:
        spec = read_pool_spec(file)
        if set(self._read.arms.names) == set(serving) - set(self._selectors):  # else it was refused
            self._pool = self._read
        pool = self._pool.with_arms_of(spec)
        taken = [name for name in self._selectors if name in pool.arms.names]
        if taken:
            raise ValueError(f"{spec.origin}: arm {taken[0]!r} has the name of a choice at every round: rename it")
        left = [name for name in serving if name not in pool.arms.names and name not in self._selectors]
        if left and self._selectors:
            raise ValueError(
                f"{spec.origin}: {left[0]!r} cannot leave while {self._selectors[0]!r} may choose it in every round: "
                "start the server again"
            )
        told = replayable_arms(arm for arm in pool.arms if arm.name not in serving) if self._hindsight else []
        if told:
            raise ValueError(
                f"{spec.origin}: look-up {told[0].name!r} cannot join with hindsight, whose costs were measured "
                "before: start the server again"
            )
        return pool
