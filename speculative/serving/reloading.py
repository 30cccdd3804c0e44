"""Reading the pool file again while the server runs: arms join and leave, and no request is lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from speculative.serving.learning import LearningThread
from speculative.serving.request_columns import lasting_order
from speculative.serving.served_arm import ServedArm
from speculative.serving.service import Service

LOGGER = logging.getLogger(__name__)


class PoolSource(Protocol):
    """Where the arms of a pool come from, and go to."""

    async def read(self, file: Path, serving: Mapping[str, ServedArm]) -> list[ServedArm]:
        """Return the arms that a pool file names now: of those that serve the same objects, others opened and probed.

        Raises:
            ValueError: if the file does not read, changes what cannot change while the server runs, or a new arm does
                not answer.
        """

    async def close(self, arms: Iterable[ServedArm]) -> None:
        """Let arms go that have left, or have not joined; answers under way end as they would."""


@dataclass(frozen=True, slots=True)
class ArmChange:
    """What reading a pool file again has changed.

    Attributes:
        joined: arms that serve from now on.
        left: arms that are chosen no more.
        arms: all that serve now.
    """

    joined: Sequence[str]
    left: Sequence[str]
    arms: Sequence[str]


class Reloading:
    """Lets arms join and leave as a pool file says now; where anything is wrong with it, all stays as it is.

    New arms are opened and probed first. Then log, learner and service change at one moment, between two decisions.
    Arms that leave answer what they were chosen for.

    Args:
        file: of the pool.
        source: of its arms.
        learning: changes what is learned along with what serves.
        service: serves the arms.
        order: file that keeps the columns of the arms, see `lasting_order`.
        new_arm_rows: see `Learner.keep_arms`.
    """

    def __init__(
        self,
        file: Path,
        source: PoolSource,
        learning: LearningThread,
        service: Service,
        order: Path,
        *,
        new_arm_rows: float = 0.0,
    ) -> None:
        self._file, self._source, self._learning, self._service = file, source, learning, service
        self._order, self._new_arm_rows = order, new_arm_rows
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def reload(self, cause: str) -> ArmChange:
        """Read the file and change the arms; return what has changed.

        Args:
            cause: why it is read again, for the log.

        Raises:
            ValueError: if the file does not read, an arm cannot join, or the incumbent would leave.
            OSError: if the log cannot be written. In either case nothing is changed.
        """
        async with self._lock:
            before = self._service.arms
            arms = await self._source.read(self._file, before)
            names = [arm.name for arm in arms]
            change = ArmChange([n for n in names if n not in before], [n for n in before if n not in names], names)
            if change.joined or change.left:
                try:
                    await asyncio.to_thread(self._change, arms, cause)
                except BaseException:
                    await self._source.close(arm for arm in arms if arm.name in change.joined)
                    raise
                await self._source.close(before[name] for name in change.left)
            return change

    def hangup(self) -> None:
        """Read the file because of a SIGHUP; what is wrong with it is told in this module's logger."""
        task = asyncio.get_running_loop().create_task(self._hung_up())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _hung_up(self) -> None:
        try:
            await self.reload("SIGHUP")
        except (ValueError, OSError) as error:
            LOGGER.error("the arms stay as they are: %s", error)

    def _change(self, arms: Sequence[ServedArm], cause: str) -> None:
        names, incumbent = [arm.name for arm in arms], self._service.settings.incumbent
        if incumbent not in names:
            raise ValueError(f"the incumbent {incumbent!r} cannot leave while the server runs: start it with another")
        self._learning.change_arms(arms, self._new_arm_rows, cause)
        try:  # not before: an arm that was refused would keep columns that the next start gives to another
            lasting_order(self._order, names)
        except (OSError, ValueError) as error:
            LOGGER.error("the order of the arms' columns cannot be saved: %s", error)
