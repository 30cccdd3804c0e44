"""Every arm on every query: the loop between arms and data."""

from __future__ import annotations

import hashlib
import json
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from arms.arm import Arm
from arms.arm_set import ArmSet
from arms.checks import at_least, not_negative, positive
from arms.executors import Executor, Failed, SerialExecutor
from arms.folder_lock import FolderLock
from arms.manifest import check_manifest, digest_queries
from arms.observation import Observation
from arms.observation_parts import read_part, write_part
from arms.query import Query, check_is_query

MANIFEST_FILE = "pull_all.json"

Row = tuple[Observation, ...]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class PullSettings:
    """How `pull_all` pulls.

    Attributes:
        seed: of which each pull's seed is made, with the arm's name and the query's id: no order matters.
        retries: further attempts after one that raised or observed a failure, >= 0; all have the same seed.
        backoff_s: seconds before the first further attempt, doubled before each next one; >= 0.
        timeout_s: longest that an attempt may take; None waits for ever. An attempt that is given up may go on in its
            thread, so it is not retried; let the arm's own client time out earlier where a further attempt can help.
        part_size: queries a part of a resumable job, >= 1.

    Raises:
        ValueError: if one breaks its rule.
    """

    seed: int = 0
    retries: int = 0
    backoff_s: float = 1.0
    timeout_s: float | None = None
    part_size: int = 16

    def __post_init__(self) -> None:
        at_least(self.seed, 0, "seed")
        at_least(self.retries, 0, "retries")
        at_least(self.part_size, 1, "part_size")
        not_negative(self.backoff_s, "backoff_s")
        if self.timeout_s is not None:
            positive(self.timeout_s, "timeout_s")


def pull_all(
    arms: Iterable[Arm],
    queries: Iterable[Query],
    *,
    executor: Executor | None = None,
    settings: PullSettings | None = None,
    folder: str | Path | None = None,
    on_progress: Progress | None = None,
) -> list[Row]:
    """Pull every arm on every query.

    A pull that raises, is too late, or whose worker dies is an observation like any other, one that says so
    (`Observation.failure`). With a `folder`, each part of the queries is written once it is complete: a job that was
    stopped goes on there, and gives what an undisturbed one gives, measured times apart.

    Args:
        arms: at least one; their names must differ.
        queries: at least one; their ids must differ.
        executor: runs the pulls; one after another by default.
        settings: seed, retries, time limit and part size; `PullSettings()` by default.
        folder: for the parts and the job's manifest; None keeps nothing.
        on_progress: called with the number of pulls done and of all pulls, whenever the first grows.

    Returns:
        A row a query, in order, with an observation an arm, in order.

    Raises:
        ValueError: if arms or queries are none, unnamed or named twice; if the folder holds another job or a damaged
            part, which the message names; or if an arm's observation names another arm or query.
        TypeError: if a query is no `Query`, or an arm returns anything but an observation.
        RuntimeError: if the folder is in use, by another process or by another call of this one.
    """
    chosen, asked = ArmSet(arms), _checked_queries(queries)
    if len(chosen) == 0:
        raise ValueError("pull_all needs at least one arm, got none")
    settings = settings or PullSettings()
    job = _Job(chosen, settings, executor or SerialExecutor(), on_progress, n_pulls=len(chosen) * len(asked))
    if folder is None:
        return _rows(list(job.pull(asked)), len(chosen))
    with closing(FolderLock(Path(folder), "job")):
        return _pull_in_parts(job, asked, Path(folder))


def pull_once(arm: Arm, query: Query, seed: int, *, since: float | None = None) -> Observation:
    """Pull an arm; an exception that it raises becomes an observation of a pull that failed.

    Args:
        arm: to pull.
        query: that it answers.
        seed: of the pull.
        since: reading of `time.perf_counter()` that a failure's seconds count from; now by default.

    Returns:
        What the arm returned, or the failure.
    """
    begin = time.perf_counter() if since is None else since
    try:
        return arm.pull(query, seed)
    except Exception as error:
        return Observation.failed(arm.name, query.id, error, time.perf_counter() - begin)


def pull_seed(seed: int, arm: str, query_id: str) -> int:
    """Return the seed of an arm's pull for a query, in [0, 2**63): a digest of the three, so that no order matters."""
    digest = hashlib.sha256(json.dumps([at_least(seed, 0, "seed"), arm, query_id]).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


class _Job:
    """Pulls for some queries at a time, and counts them."""

    def __init__(
        self, arms: ArmSet[Arm], settings: PullSettings, executor: Executor, on_progress: Progress | None, n_pulls: int
    ) -> None:
        self.arms, self.settings = arms, settings
        self._executor, self._on_progress = executor, on_progress
        self._n_pulls, self._n_done = n_pulls, 0

    def pull(self, queries: Sequence[Query]) -> Iterator[Observation]:
        """Pull every arm on these queries, a query after the other."""
        tasks = [(index, query) for query in queries for index in range(len(self.arms))]
        results = self._executor.map(_Pull(tuple(self.arms), self.settings), tasks)
        for (index, query), result in zip(tasks, results, strict=True):
            observation = _checked(result, self.arms[index], query)
            self.done(1)
            yield observation

    def done(self, n_pulls: int) -> None:
        """Report that so many more pulls are done."""
        self._n_done += n_pulls
        if self._on_progress is not None:
            self._on_progress(self._n_done, self._n_pulls)


def _pull_in_parts(job: _Job, queries: list[Query], folder: Path) -> list[Row]:
    asked = {
        "arms": [[arm.name, arm.fingerprint()] for arm in job.arms],
        "queries": digest_queries(queries),
        "settings": asdict(job.settings),
    }
    check_manifest(folder / MANIFEST_FILE, asked)
    digest = hashlib.sha256(json.dumps(asked).encode()).hexdigest()
    size, n_arms = job.settings.part_size, len(job.arms)
    parts = {
        folder / f"part-{begin // size:05d}.jsonl": queries[begin : begin + size]
        for begin in range(0, len(queries), size)
    }
    observations: dict[Path, list[Observation]] = {}
    for path, part in parts.items():
        if path.exists():
            observations[path] = read_part(path, digest)
            _check_part(path, observations[path], job.arms, part)
            job.done(len(part) * n_arms)
    missing = {path: part for path, part in parts.items() if path not in observations}
    pulled = job.pull([query for part in missing.values() for query in part])
    for path, part in missing.items():
        observations[path] = list(islice(pulled, len(part) * n_arms))
        write_part(path, observations[path], digest)
    return _rows([observation for path in parts for observation in observations[path]], n_arms)


def _check_part(path: Path, observations: Sequence[Observation], arms: ArmSet[Arm], queries: Sequence[Query]) -> None:
    """Reject a part whose observations are not those of the arms and queries, in order: it was renamed."""
    found = [(observation.arm, observation.query_id) for observation in observations]
    if found != [(arm, query.id) for query in queries for arm in arms.names]:
        raise ValueError(f"{path} holds other pulls than its name says; delete it to pull again")


def _rows(observations: Sequence[Observation], n_arms: int) -> list[Row]:
    return [tuple(observations[begin : begin + n_arms]) for begin in range(0, len(observations), n_arms)]


def _checked_queries(queries: Iterable[Query]) -> list[Query]:
    asked = list(queries)
    if not asked:
        raise ValueError("pull_all needs at least one query, got none")
    for query in asked:
        check_is_query(query)
    query_id, n_times = Counter(query.id for query in asked).most_common(1)[0]
    if n_times > 1:
        raise ValueError(f"query ids must be unique, got {query_id!r} {n_times} times")
    return asked


def _checked(result: Observation | Failed, arm: Arm, query: Query) -> Observation:
    """Return the observation that a pull ended with, if it is one of that arm and query."""
    if isinstance(result, Failed):
        return Observation.failed(arm.name, query.id, result.reason, result.seconds)
    where = f"arm {arm.name!r} on query {query.id!r}"
    if not isinstance(result, Observation):
        raise TypeError(f"{where}: pull must return an Observation, got {result!r}")
    if (result.arm, result.query_id) != (arm.name, query.id):
        raise ValueError(f"{where}: pull must return an observation of that arm and query, got an {result}")
    return result


@dataclass(frozen=True, slots=True)
class _Pull:
    """One pull with its attempts, wherever an executor runs it."""

    arms: tuple[Arm, ...]
    settings: PullSettings

    def __call__(self, task: tuple[int, Query]) -> Observation:
        index, query = task
        arm, settings, begin = self.arms[index], self.settings, time.perf_counter()
        pull = partial(pull_once, arm, query, pull_seed(settings.seed, arm.name, query.id), since=begin)
        for attempt in range(settings.retries + 1):
            if attempt:
                time.sleep(settings.backoff_s * 2 ** (attempt - 1))
            try:
                observation = _within(settings.timeout_s, pull)
            except TimeoutError as late:  # not retried: it may go on in its thread
                return Observation.failed(arm.name, query.id, late, time.perf_counter() - begin)
            if not isinstance(observation, Observation) or observation.failure is None:
                break
        return observation


def _within(timeout_s: float | None, pull: Callable[[], Observation]) -> Observation:
    """Pull, in a thread of its own where there is a time limit.

    Raises:
        TimeoutError: if there is no answer in time; `pull` itself raises nothing.
    """
    if timeout_s is None:
        return pull()
    answers: queue.SimpleQueue[Observation] = queue.SimpleQueue()
    threading.Thread(target=lambda: answers.put(pull()), daemon=True).start()
    try:
        return answers.get(timeout=timeout_s)
    except queue.Empty:
        raise TimeoutError(f"no answer within {timeout_s:g} s") from None
