"""Jobs that are killed wherever they reach the disk: `python killed_jobs.py FOLDER N_POINTS [JOB...]`.

The program imports and loads once and forks a child for each life. A child counts what it does in its folder (files
opened for writing, flushed, renamed, removed; folders made and removed) and ends itself with SIGKILL just before one of
these. Whatever is left must not be readable as whole, or be the whole result; and the job, run again, must end where an
undisturbed one does, with nothing else in the folder. N_POINTS of them are drawn for each job, 0 takes all.
"""

import hashlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from bandits import KNN, BestFixedArm, FullInformationData, LinUCB, load_policy  # noqa: E402  found by the path above
from bandits.evaluation import Comparison  # noqa: E402
from bandits.testing import example_data  # noqa: E402
from speculative.cli.compare import compare as compare_command  # noqa: E402
from speculative.cli.train import train as train_command  # noqa: E402
from speculative.collection import collect as collecting  # noqa: E402
from speculative.collection.recost import recost  # noqa: E402
from speculative.demo import demo as demonstrating  # noqa: E402
from speculative.demo.learning import FIXED  # noqa: E402
from speculative.demo.size import DemoSize  # noqa: E402
from speculative.distillation.distill import distill  # noqa: E402
from speculative.distillation.training import DistillSettings  # noqa: E402
from speculative.drafts.draft_model import DraftModel  # noqa: E402
from speculative.pools.pool import Pool  # noqa: E402
from speculative.pools.spec import read_pool_spec  # noqa: E402
from tests.support.tiny_pool import plain_costs, queries, save_pool  # noqa: E402

COSTS = plain_costs("prompt_lookup", "draft_small")
DEAR = replace(COSTS, prefill_grid=tuple(2 * seconds for seconds in COSTS.prefill_grid))


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


def jobs(place: Path) -> dict[str, Job]:
    """Return the jobs; models are loaded and data saved in `place` first."""
    pool = Pool.load(save_pool(place))
    example_data(24).save(place / "data")
    settings = DistillSettings(n_epochs=2, n_vocab=48, n_teacher=4, batch_tokens=256)

    def collect(folder: Path) -> None:
        collecting.PART_SIZE = 2
        collecting.collect(queries(5), pool, folder / "data", COSTS)

    def distil(folder: Path) -> None:
        distill(pool.target, queries(4), queries(2, first=100), folder / "draft", settings)

    def draft(folder: Path) -> object:
        DraftModel.load(str(folder / "draft"), pool.target.tokenizer, pool.target.model.n_vocab)
        return files(folder / "draft")

    def train(folder: Path) -> None:
        with quiet():
            train_command(place / "data", folder / "policy", policy="lin_ucb", folds=2)

    def compare(folder: Path) -> None:
        with quiet():
            compare_command([place / "data"], folder / "out", policies="best_fixed_arm,uniform", seeds=1)

    def older_policy(folder: Path) -> None:
        LinUCB().fit(example_data(60)).save(folder / "policy")

    def demo(folder: Path) -> None:
        demonstrating.cached_costs = lambda *given, **settings: COSTS
        demonstrating.choose_size = lambda *given: DemoSize(12, 2, 2, timed_by_transformers=1)
        demonstrating.learn = lambda data, seed: {FIXED: BestFixedArm().fit(data), "KNN": KNN().fit(data)}
        asked = [query.model_copy(update={"domain": "ab"[i % 2]}) for i, query in enumerate(queries(12))]
        settings = demonstrating.DemoSettings(queries=(asked[:8], asked[8:]))
        demonstrating.run_demo(folder / "demo", read_pool_spec(place / "pool.toml"), settings)

    return {
        "collect": Job(collect, collected),
        "recost": Job(lambda folder: recost(folder / "data", DEAR), collected, collect, True),
        "train": Job(train, lambda folder: policy(folder / "policy")),
        "train over an older policy": Job(train, lambda folder: policy(folder / "policy"), older_policy, True),
        "compare": Job(compare, lambda folder: Comparison.load(folder / "out" / "comparison.json").to_json()),
        "distill": Job(distil, draft),
        "demo": Job(demo, demonstrated),
    }


def collected(folder: Path, name: str = "data") -> object:
    data = FullInformationData.load(folder / name)
    arrays = [array.tobytes() for array in (data.contexts, data.rewards, data.costs)]
    return [hashlib.sha256(b"".join(arrays)).hexdigest(), data.query_ids, data.cost_profiles]


def demonstrated(folder: Path) -> object:
    """Return all that a demo says but for what was timed."""
    out = folder / "demo"
    report = json.loads((out / "report.json").read_text())
    runs = [[run["mode"], run["query_id"], run["token_ids"]] for run in json.loads((out / "runs.json").read_text())]
    texts = [(out / name).read_text() for name in ("table.txt", "evaluation.json", "costs.json", "size.json")]
    pages = [(out / name).stat().st_size > 0 for name in ("report.md", "speed.png", "picks_by_domain.png")]
    sides = [collected(out / side, ".") for side in ("train", "test")]
    policies = files(out / "policies")
    return report["held_out"], report["picks"], report["equality"], sorted(runs), texts, pages, sides, policies


def policy(folder: Path) -> object:
    load_policy(folder)
    return files(folder)


def files(folder: Path) -> object:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("[!.]*"))}


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@contextmanager
def quiet() -> Iterator[None]:
    stdout, stderr = sys.stdout, sys.stderr
    with Path(os.devnull).open("w") as nowhere:
        sys.stdout = sys.stderr = nowhere
        try:
            yield
        finally:
            sys.stdout, sys.stderr = stdout, stderr


class Counter:
    """Counts what reaches the disk in a folder; at the count `last` the process dies before it does it."""

    def __init__(self, folder: Path, last: int) -> None:
        self.n, self._folder, self._last = 0, str(folder), last
        sys.addaudithook(self._heard)
        flush = os.fsync

        def fsync(descriptor: int) -> None:
            self._next()
            flush(descriptor)

        os.fsync = fsync

    def _heard(self, event: str, arguments: tuple) -> None:
        writes = event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate")
        opens = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if (writes or opens) and self._folder in str(arguments[0]):
            self._next()

    def _next(self) -> None:
        self.n += 1
        if self.n == self._last:
            os.kill(os.getpid(), signal.SIGKILL)


def life(job: Job, folder: Path, last: int = 0) -> tuple[int, int]:
    """Run the job in a child that dies at a count; return how it ended, and the count it reached if it did not."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        counter = Counter(folder, last)
        torch.manual_seed(0)
        job.run(folder)
        os.write(writing, str(counter.n).encode())
        os.kill(os.getpid(), signal.SIGTERM)  # no clean-up of what the parent still needs
    os.close(writing)
    told = os.read(reading, 100)
    os.close(reading)
    _, status = os.waitpid(child, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status), int(told or 0)


def check(name: str, job: Job, place: Path, n_points: int) -> str:
    """Kill the job at each point, and finish it; return a line of figures."""
    begun, whole, folder = place / "begun", place / "whole", place / "killed"
    begun.mkdir(parents=True)
    if job.replaces:
        life(Job(job.before, job.outcome), begun)
    older = job.outcome(begun) if job.replaces else None
    shutil.copytree(begun, whole)
    ended, n_events = life(job, whole)
    if ended != signal.SIGTERM:
        raise SystemExit(f"{name}: the undisturbed run ended with {ended}")
    expected, found = job.outcome(whole), names(whole)
    points = range(1, n_events + 1)
    if n_points:
        points = sorted(np.random.default_rng(0).choice(points, min(n_points, n_events), replace=False).tolist())
    n_loadable = 0
    for point in points:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(begun, folder)
        if life(job, folder, point)[0] != signal.SIGKILL:
            raise SystemExit(f"{name}, point {point}: was not killed")
        try:
            left = job.outcome(folder)
        except (ValueError, OSError):
            pass
        else:
            n_loadable += 1
            if left != expected and not (job.replaces and left == older):
                raise SystemExit(f"{name}, point {point}: what was left was read as whole, and is not")
        if life(job, folder)[0] != signal.SIGTERM:
            raise SystemExit(f"{name}, point {point}: it did not go on")
        if job.outcome(folder) != expected or names(folder) != found:
            extra = set(names(folder)) ^ set(found)
            raise SystemExit(f"{name}, point {point}: it ended elsewhere than an undisturbed run {sorted(extra)}")
    return f"{name}: {n_events} points, killed at {len(points)}, whole at {n_loadable} of them"


def main(folder: Path, n_points: int, chosen: list[str]) -> None:
    torch.set_num_threads(1)
    all_jobs = jobs(folder / "given")
    for name in chosen or all_jobs:
        print(check(name, all_jobs[name], folder / name.replace(" ", "_"), n_points), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
