"""Jobs that are killed wherever they reach the disk: `python killed_jobs.py FOLDER N_POINTS [JOB...]`.

N_POINTS of each job's points are drawn, and the job is killed there; from what a kill would leave at every other one it
goes on as well. With 0 it is killed at every point. `job_lives` says what is compared.
"""

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from matplotlib.figure import Figure

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
from tests.support.job_lives import Job, Lives  # noqa: E402
from tests.support.tiny_pool import plain_costs, queries, save_pool  # noqa: E402

COSTS = plain_costs("prompt_lookup", "draft_small")
DEAR = replace(COSTS, prefill_grid=tuple(2 * seconds for seconds in COSTS.prefill_grid))


def jobs(place: Path) -> dict[str, Job]:
    """Return the jobs; models are loaded and data saved in `place` first."""
    spec = read_pool_spec(save_pool(place))
    pool = Pool.of(spec)
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
        Figure.savefig = lambda figure, file, **settings: file.write(b"picture")  # most time would go into them
        demonstrating.cached_costs = lambda *given, **settings: COSTS
        Figure.tight_layout = lambda figure: None
        size = DemoSize(max_new_tokens=6, least_timed=2, most_timed=2, timed_by_transformers=1)
        demonstrating.choose_size = lambda *given: size
        demonstrating.Pool.of = lambda given: pool  # loaded once
        demonstrating.learn = lambda data, seed: {FIXED: BestFixedArm().fit(data), "KNN": KNN().fit(data)}
        asked = [query.model_copy(update={"domain": "ab"[i % 2]}) for i, query in enumerate(queries(12))]
        settings = demonstrating.DemoSettings(queries=(asked[:8], asked[8:]))
        demonstrating.run_demo(folder / "demo", spec, settings)

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


@contextmanager
def quiet() -> Iterator[None]:
    stdout, stderr = sys.stdout, sys.stderr
    with Path(os.devnull).open("w") as nowhere:
        sys.stdout = sys.stderr = nowhere
        try:
            yield
        finally:
            sys.stdout, sys.stderr = stdout, stderr


def main(folder: Path, n_points: int, chosen: list[str]) -> None:
    torch.set_num_threads(1)
    all_jobs = jobs(folder / "given")
    if "demo" in (chosen or all_jobs):
        all_jobs["demo"].run(folder / "first")  # what it imports is there for all its lives
    for name in chosen or all_jobs:
        lives = Lives(name, all_jobs[name], folder / name.replace(" ", "_"))
        if n_points:
            lives.go_on_from_every_state()
        print(lives.figures(lives.kill(n_points)), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
