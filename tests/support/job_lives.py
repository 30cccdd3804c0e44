"""Lives of a job that reaches the disk: ended by a kill, begun from what a kill leaves, or undisturbed.

A job runs in a forked child, so that what is imported and loaded is there at once. The child counts what it does in
its folder: files opened for writing, flushed, renamed, removed; folders made and removed. Just before each of these
points a kill may come. What it would leave there is kept: what a process wrote is its system's, flushed or not, and
outlives it; what waits in its own buffers does not, and cannot be read from the folder. Clocks count how often they
are read, so that a life that is killed leaves to the byte what was kept. Lives do not depend on each other, so there
are as many at once as there are cores, each in a folder of its own.
"""

import hashlib
import json
import multiprocessing
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import torch

_WRITER = re.compile(r"(?<=\.)([0-9a-f]{8}\.)\d+\.\d+\.(?=partial|replaced)")  # in a temporary name: who writes it
_NOBODY = rf"\g<1>{2**30}.0."  # a process number that no system gives


@dataclass(frozen=True, slots=True)
class Job:
    """A job of some folder.

    Attributes:
        run: does the work, or what is left of it.
        outcome: what a reader gets of the folder, to compare; raises where there is nothing whole.
        before: puts into the folder what the job begins with.
        replaces: whether a reader may also get what stood there before.
    """

    run: Callable[[Path], object]
    outcome: Callable[[Path], object]
    before: Callable[[Path], object] = lambda folder: None
    replaces: bool = False


def state(folder: Path) -> dict[str, str | None]:
    """Return what is in a folder, with each file's digest, but not who writes or holds what."""
    paths = {_WRITER.sub("", path.relative_to(folder).as_posix()): path for path in sorted(folder.rglob("*"))}
    return {name: _digest(path) if path.is_file() else None for name, path in paths.items()}


def _digest(path: Path) -> str:
    return "" if path.name == "lock" else hashlib.sha256(path.read_bytes()).hexdigest()


def life(job: Job, folder: Path, before: Callable[[int], object] = lambda point: None) -> int:
    """Run the job in a child; return the signal that ended it, SIGTERM where it came to its end.

    Args:
        job: which.
        folder: where.
        before: called in the child with the number of each point, 1, 2, ..., just before it.
    """
    child = os.fork()
    if child == 0:
        _tell_points(folder, before)
        reads = count()
        time.perf_counter = time.monotonic = lambda: next(reads) / 1000
        torch.manual_seed(0)
        job.run(folder)
        os.kill(os.getpid(), signal.SIGTERM)  # no clean-up of what the parent still needs
    _, status = os.waitpid(child, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def _tell_points(folder: Path, before: Callable[[int], object]) -> None:
    points, flush, place = count(1), os.fsync, str(folder)

    def hear(event: str, arguments: tuple) -> None:
        writes = event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate")
        opens = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if (writes or opens) and place in str(arguments[0]):
            before(next(points))

    def fsync(descriptor: int) -> None:
        before(next(points))
        flush(descriptor)

    sys.addaudithook(hear)
    os.fsync = fsync


class States:
    """Keeps the states of a folder: those that are alike byte for byte once, under the number of the first point."""

    def __init__(self, folder: Path, place: Path) -> None:
        self._folder, self._place, self._kept = folder, place, dict[str, int]()
        place.mkdir()

    def keep(self, point: int) -> None:
        first = self._kept.setdefault(json.dumps(state(self._folder)), point)
        if first == point:
            shutil.copytree(self._folder, self._place / str(point))
            for path in sorted((self._place / str(point)).rglob("*"), reverse=True):  # what is in a folder before it
                path.rename(path.with_name(_WRITER.sub(_NOBODY, path.name)))
        with (self._place / "points").open("a") as file:
            file.write(f"{first}\n")


class Lives:
    """Ends a job at its points and finishes it, which must lead where an undisturbed life does.

    Whatever was left must not be readable as whole, or be the whole result; and at the end nothing else may be there.
    """

    def __init__(self, name: str, job: Job, place: Path) -> None:
        """Run the job undisturbed, and keep what a kill would leave at each point."""
        self._name, self._job = name, job
        self._processes = multiprocessing.get_context("fork")
        self._n_whole = self._processes.Value("i", 0)
        self._begun, self._folder, self._states = place / "begun", place / "work", place / "states"
        self._begun.mkdir(parents=True)
        if job.replaces:
            life(Job(job.before, job.outcome), self._begun)
        self._older = job.outcome(self._begun) if job.replaces else None
        shutil.copytree(self._begun, self._folder)
        if life(job, self._folder, States(self._folder, self._states).keep) != signal.SIGTERM:
            raise SystemExit(f"{name}: the undisturbed life did not come to its end")
        self._expected, self._names = job.outcome(self._folder), set(state(self._folder))
        self._points = [int(line) for line in (self._states / "points").read_text().split()]

    def go_on_from_every_state(self) -> None:
        """Finish the job from what a kill leaves, at every point; states that are alike byte for byte once."""

        def resume(kept: int) -> None:
            self._put_back(self._states / str(kept))
            self._go_on(f"as left at point {kept}")

        self._at_once(resume, sorted(set(self._points)))

    def kill(self, n_points: int) -> int:
        """Kill the job at so many points, 0 for all, compare with what was kept, and finish it; return how many."""
        points = list(range(1, len(self._points) + 1))
        if n_points:
            chosen = np.random.default_rng(0).choice(points, min(n_points, len(points)), replace=False)
            points = sorted(chosen.tolist())
        self._at_once(self._kill_at, points)
        return len(points)

    def _kill_at(self, point: int) -> None:
        def dying(now: int) -> None:
            if now == point:
                os.kill(os.getpid(), signal.SIGKILL)

        self._put_back(self._begun)
        if life(self._job, self._folder, dying) != signal.SIGKILL:
            raise SystemExit(f"{self._name}, point {point}: was not killed")
        left, kept = state(self._folder), state(self._states / str(self._points[point - 1]))
        if left != kept:
            differing = sorted(name for name in {*left, *kept} if left.get(name, 0) != kept.get(name, 0))
            raise SystemExit(f"{self._name}, point {point}: the kill left something else than was kept {differing}")
        self._go_on(f"killed at point {point}")

    def figures(self, n_killed: int) -> str:
        """Return what was done in a line."""
        counts = f"{len(self._points)} points, {len(set(self._points))} states, killed at {n_killed}"
        return f"{self._name}: {counts}, whole at {self._n_whole.value} of them"

    def _at_once(self, live: Callable[[int], object], points: Sequence[int]) -> None:
        n = len(os.sched_getaffinity(0))
        workers = [self._processes.Process(target=self._work, args=(live, points[i::n], i)) for i in range(n)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        if any(worker.exitcode for worker in workers):
            raise SystemExit(1)  # they have said why

    def _work(self, live: Callable[[int], object], points: Sequence[int], number: int) -> None:
        self._folder = self._folder.with_name(f"work-{number}")
        for point in points:
            live(point)

    def _put_back(self, folder: Path) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        shutil.copytree(folder, self._folder)

    def _go_on(self, when: str) -> None:
        try:
            left = self._job.outcome(self._folder)
        except (ValueError, OSError):
            pass
        else:
            with self._n_whole:
                self._n_whole.value += 1
            if left != self._expected and not (self._job.replaces and left == self._older):
                raise SystemExit(f"{self._name}, {when}: what was left was read as whole, and is not")
        if life(self._job, self._folder) != signal.SIGTERM:
            raise SystemExit(f"{self._name}, {when}: it did not go on")
        found = set(state(self._folder))
        if found != self._names or self._job.outcome(self._folder) != self._expected:
            extra = sorted(found ^ self._names)
            raise SystemExit(f"{self._name}, {when}: it ended elsewhere than an undisturbed life {extra}")
