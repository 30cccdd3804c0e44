"""Whatever writes in a folder keeps what others put there."""

import contextlib
import shutil

import pytest

from arms import Arm, Observation, pull_all
from bandits import DecisionLog, LinUCB, compare, evaluate
from bandits.testing import example_data, example_log
from speculative.collection.collect import collect
from speculative.collection.recost import recost
from speculative.demo import demo
from speculative.demo.size import DemoSize
from speculative.distillation.distill import distill
from speculative.distillation.training import DistillSettings
from speculative.pools.pool import Pool
from speculative.pools.spec import read_pool_spec
from tests.support.command_runner import run_cli
from tests.support.tiny_pool import plain_costs, queries, save_pool

COSTS, DEAR = plain_costs("prompt_lookup", "draft_small"), plain_costs("draft_small", "prompt_lookup")
FOREIGN = ("notes.txt", "thesis/results.csv", ".hidden", "lock.txt", "part-00000.csv", ".policy.partial", "metrics.txt")


class Echo(Arm):
    name = "echo"

    def pull(self, query, seed):
        return Observation("echo", query.id, query.text, n_tokens=1, seconds=1.0)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place")
    save_pool(folder)
    example_data(24).save(folder / "data")
    example_data(30).save(folder / "test")
    LinUCB().fit(example_data(24)).save(folder / "policy")
    return folder


@pytest.fixture(scope="module")
def pool(place):
    return Pool.load(place / "pool.toml")


@pytest.fixture
def out(tmp_path):
    """A folder that holds files of the user's."""
    folder = tmp_path / "out"
    for name in FOREIGN:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"mine: {name}")
    return folder


def kept(folder):
    return {name: (folder / name).read_text() for name in FOREIGN} == {name: f"mine: {name}" for name in FOREIGN}


def collected_and_priced_anew(place, pool, out):
    for _ in range(2):
        collect(queries(3), pool, out, COSTS)
    recost(out, DEAR)


def parts(place, pool, out):
    example_data().write_part(out, 0)
    type(example_data()).close_folder(out)
    example_data().write_part(out, 0, generation=2)
    type(example_data()).close_folder(out, generation=2)


def decided(place, pool, out):
    with DecisionLog(out):
        pass


def distilled(place, pool, out):
    with pytest.raises(ValueError, match="which is no part of a draft"):
        distill(pool.target, queries(4), queries(2, first=100), out)


def distilled_beside(place, pool, out):
    shutil.move(out, out.with_name("draft.work"))
    with contextlib.suppress(ValueError):
        settings = DistillSettings(n_epochs=1, n_vocab=48, n_teacher=4)
        distill(pool.target, queries(4), queries(2, first=100), out.with_name("draft"), settings)
    shutil.move(out.with_name("draft.work"), out)


def results(place, pool, out):
    data = example_data()
    evaluate({"LinUCB": LinUCB().fit(data)}, data).save(out / "evaluation.json")
    compare({"LinUCB": LinUCB()}, data, seeds=(0,)).save(out / "comparison.json")


def refused(place, pool, out):
    example_log().save(out)
    with pytest.raises(ValueError, match="holds part files already"):
        example_log().save(out)


WRITERS = {
    "collect, recost": collected_and_priced_anew,
    "write_part, close_folder": parts,
    "save": refused,
    "train": lambda place, pool, out: run_cli("train", place / "data", "--out", out),
    "evaluate": lambda place, pool, out: run_cli(
        "evaluate", place / "test", "--policy", place / "policy", "--out", out
    ),
    "compare": lambda place, pool, out: run_cli("compare", place / "data", "--out", out, "--seeds", 1),
    "Evaluation.save, Comparison.save": results,
    "distill": distilled,
    "distill, its work": distilled_beside,
    "pull_all": lambda place, pool, out: pull_all([Echo()], queries(3), folder=out),
    "decision log": decided,
    "Policy.save": lambda place, pool, out: LinUCB().fit(example_data()).save(out),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_folder_with_foreign_files_keeps_them(place, pool, out, writer):
    WRITERS[writer](place, pool, out)
    assert kept(out)


def test_the_demo_keeps_them_too(place, out, monkeypatch):
    asked = [query.model_copy(update={"domain": "ab"[i % 2]}) for i, query in enumerate(queries(12))]
    size = DemoSize(max_new_tokens=6, least_timed=2, most_timed=2, timed_by_transformers=1)
    monkeypatch.setattr(demo, "demo_queries", lambda: (asked[:8], asked[8:]))
    monkeypatch.setattr(demo, "DEFAULT_CACHE", out / "cache")
    monkeypatch.setattr(demo, "choose_size", lambda *arguments: size)
    demo.run_demo(out, spec=read_pool_spec(place / "pool.toml"))
    assert kept(out)
    assert (out / "report.json").is_file()
