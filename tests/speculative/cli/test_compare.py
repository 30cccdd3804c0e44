"""`draftpick compare`, on the base install."""

import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from bandits import Uniform
from bandits.evaluation import Comparison, RollingEvaluation, TradeOff
from bandits.testing import example_data
from speculative.cli.main import app
from speculative.cli.options import workers

BLOCK = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "transformers", "sentence_transformers", "matplotlib", "pandas", "sklearn"):
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Refuse())
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == "matplotlib" else find(name, package)
sys.argv = ["draftpick", *sys.argv[1:]]
from speculative.cli.main import main
main()
"""
runner = CliRunner()


def _run(*arguments, status=0):
    result = runner.invoke(app, ["compare", *(str(argument) for argument in arguments)])
    assert result.exit_code == status, result.output + repr(result.exception)
    return result


def _refused(*arguments):
    result = _run(*arguments, status=2)
    *_, line = result.stderr.splitlines()
    assert line.startswith("error: ")
    return line


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder of full information, a folder of a log, and a long table with texts."""
    folder = tmp_path_factory.mktemp("compare")
    data = example_data(80)
    data.save(folder / "full")
    data.log_with(Uniform(), np.random.default_rng(0)).save(folder / "log")
    rng = np.random.default_rng(0)
    rows = []
    for index in range(40):
        kind = int(rng.integers(2))
        query = ("solve the sum" if kind else "write a poem") + f" {index}"
        for arm, skill in (("solver", kind), ("poet", 1 - kind)):
            rows.append({"query_id": f"q{index}", "query": query, "arm": arm, "reward": skill, "cost": 1.0 + skill})
    pq.write_table(pa.Table.from_pylist(rows), folder / "table.parquet")
    return folder


def test_a_long_table_is_compared(place, tmp_path):
    report = ("--report", tmp_path / "page.html")
    result = _run(place / "table.parquet", "--encoder", "hashing", "--out", tmp_path, "--seeds", 2, *report)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert str(place / "table.parquet") in page
    assert Comparison.load(tmp_path / "comparison.json").conclusion.policy in page
    assert "minus best_fixed_arm" in result.stdout
    comparison = Comparison.load(tmp_path / "comparison.json")
    assert comparison.seeds == (0, 1)
    assert comparison["lin_ucb"].value > comparison["best_fixed_arm"].value
    assert (tmp_path / "table.md").read_text().startswith("**40 queries")
    assert (tmp_path / "learning_curves.png").exists()
    assert (tmp_path / "pareto.png").exists()


def test_folders_of_both_kinds_are_compared_side_by_side(place, tmp_path):
    policies = ("--policies", "lin_ucb, softmax,square_cb,knn,ucb1", "--baseline", "knn")
    result = _run(place / "full", place / "log", "--out", tmp_path, "--seeds", 2, *policies, "--json")
    printed = json.loads(result.stdout)
    assert list(printed) == ["full", "log"]
    assert Comparison.load(tmp_path / "full" / "comparison.json").rows[0].estimator == "exact"
    log = Comparison.load(tmp_path / "log" / "comparison.json")
    assert log.baseline == "knn"
    assert {row.estimator for row in log.rows} == {"DoublyRobust", "SNIPS", "IPS", "on policy"}


def test_bandit_feedback_is_simulated_when_asked(place, tmp_path):
    _run(place / "full", "--out", tmp_path, "--seeds", 1, "--bandit-feedback", "--policies", "lin_ucb")
    assert "Uniform would have logged" in (tmp_path / "table.md").read_text()


def test_policies_and_estimators_take_settings_in_parentheses(place, tmp_path):
    policies = "lin_ucb, lin_ucb(ucb_width=0.25), epsilon_greedy(policy='lin_ts', epsilon=0.3)"
    estimators = "snips, clipped_ips(max_weight=20), slope(candidates=(doubly_robust, shrunk_dr(shrinkage=9)))"
    _run(place / "log", "--out", tmp_path, "--seeds", 1, "--policies", policies, "--estimators", estimators)
    found = Comparison.load(tmp_path / "comparison.json")
    assert {"lin_ucb", "lin_ucb(ucb_width=0.25)", "epsilon_greedy(policy='lin_ts', epsilon=0.3)"} < {
        row.name for row in found.rows
    }
    assert {row.estimator for row in (*found.rows, *found.refused)} == {"SNIPS", "ClippedIPS(20)", "Slope", "on policy"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("full", "--policies", "lin_ucb,nobody"), "unknown policy 'nobody'"),
        (("full", "--policies", "lin_ucb,lin_ucb"), "different policies"),
        (("full", "--baseline", "nobody"), "baseline must be one of"),
        (("full", "--report", "page.txt"), "must end in .html, got 'page.txt'"),
        (("log", "--estimators", "Magic"), "unknown estimator 'Magic'"),
        (("full", "--policies", "lin_ucb(width=1)"), "has no setting 'width'"),
        (("log", "--estimators", "clipped_ips(max_weight=0)"), "max_weight must be"),
        *(
            (("log", "--estimators", entry), "write NAME or NAME(SETTING=VALUE, ...)")
            for entry in ("snips(", "ips(2)", "ips(**{})", "ips(a=1)(b=2)", "ips(a=1) + 2", "ips(a=1, a=2)")
        ),
        (("log", "--estimators", "ips(a=b)"), "estimator 'ips' has no setting 'a'"),
        (("log", "--estimators", "doubly_robust(reward_model=nobody)"), "unknown reward model 'nobody'"),
        (("log", "--bandit-feedback"), "a log already"),
        (("table.parquet",), "--encoder, such as --encoder hashing"),
        (("full", "full"), "are named 'full': rename one"),
        (("full", "--reward", "speedup"), "values stored observations, and these data hold none"),
        (("log", "--encoder", "hashing"), "--encoder is for tables"),
        (("table.parquet", "--encoder", "hashing", "--column", "query"), "--column must be ROLE=NAME"),
        (("table.parquet", "--encoder", "hashing", "--column", "text=query"), "unknown role 'text'"),
        (("table.parquet", "--encoder", "json:JSONDecoder"), "must be a subclass of"),
        (("log", "--estimators", "json:JSONDecoder"), "must be a subclass of"),
        (("missing",), "does not exist"),
        (("log", "--rolling"), "--rolling needs times, and log holds none: --column time=NAME"),
    ],
)
def test_bad_input_is_refused_in_one_line(place, tmp_path, arguments, message):
    names = ("full", "log", "table.parquet", "missing")
    paths = [place / argument if argument in names else argument for argument in arguments]
    assert message in _refused(*paths, "--out", tmp_path / "out")


def test_it_runs_without_torch_and_without_plots(place, tmp_path):
    arguments = [
        "compare",
        str(place / "table.parquet"),
        "--encoder",
        "hashing",
        "--out",
        str(tmp_path),
        "--seeds",
        "1",
    ]
    command = [sys.executable, "-c", BLOCK, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "oracle" in done.stdout
    assert "no plots: matplotlib is not installed" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["comparison.json", "table.md"]
    needs = subprocess.run(
        [*command, "--encoder", "sentence"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert needs.returncode == 2
    assert "pip install '.[llm]'" in needs.stderr


def test_work_goes_to_the_executor_that_is_named():
    assert workers("processes", None) is workers("processes", 1) is None
    assert workers("processes", 3).n_processes == 3
    assert workers("ray", 2).n_workers == 2
    assert workers("ray://head:10001", None).address == "ray://head:10001"
    with pytest.raises(ValueError, match="executor must be one of serial, threads, processes, ray, ray://host:port"):
        workers("dask", 2)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Return a table of two domains, in each of which another arm is right, and of costs."""
    rows = []
    for index in range(60):
        domain = ("prose", "code")[index % 2]
        for arm, cost in (("small", 1.0), ("large", 5.0)):
            right = arm == "large" if domain == "code" else arm == "small"
            rows.append((f"q{index}", f"{domain} number {index}", domain, arm, float(right), cost))
    names = ("query_id", "query", "domain", "arm", "reward", "cost")
    path = tmp_path_factory.mktemp("labelled") / "results.parquet"
    pq.write_table(pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))), path)
    return path


def test_domains_are_a_reference_line_a_feature_and_a_table(labelled, tmp_path):
    words = ("--encoder", "hashing", "--context-columns", "domain", "--policies", "lin_ucb(ucb_width=0)")
    out = _run(labelled, *words, "--by-segment", "--seeds", 2, "--out", tmp_path).stdout
    assert "best arm by segment" in out
    result = Comparison.load(tmp_path / "comparison.json")
    assert result["best arm by segment"].value == 1.0
    assert result["lin_ucb(ucb_width=0)"].value > result["best fixed arm"].value
    assert "Bonferroni" in (tmp_path / "segments.md").read_text()
    assert (tmp_path / "segments.png").stat().st_size > 5_000


def test_weights_of_the_cost_give_net_rewards_or_a_front(labelled, tmp_path):
    words = (labelled, "--context-columns", "domain", "--policies", "lin_ucb(ucb_width=0), uniform", "--seeds", 2)
    _run(*words, "--cost-weight", "0.1", "--out", tmp_path / "net")
    net = Comparison.load(tmp_path / "net" / "comparison.json")
    assert net["best arm by segment"].value == pytest.approx(1 - 0.1 * 3, abs=0.05)
    several = _run(*words, "--cost-weight", "0, 0.1, 9", "--cost-unit", "cents", "--out", tmp_path / "front")
    assert "no weights of the cost for uniform" in several.stderr
    assert "CostSave" in several.stdout
    front = TradeOff.load(tmp_path / "front" / "trade_off.json")
    assert [point.cost_weight for point in front.points] == [0.0, 0.1, 9.0]
    assert (tmp_path / "front" / "trade_off.png").stat().st_size > 5_000
    for wrong in ("much", ","):
        assert "--cost-weight must be numbers" in _refused(*words, "--cost-weight", wrong, "--out", tmp_path)


def test_policies_are_followed_through_time(labelled, tmp_path):
    table = pq.read_table(labelled)
    days = pa.array(np.datetime64("2026-03-01") + np.arange(len(table)) // 2)
    pq.write_table(table.append_column("day", days), tmp_path / "dated.parquet")
    words = ("--encoder", "hashing", "--context-columns", "domain", "--policies", "lin_ucb, ucb1", "--seeds", 1)
    words += ("--report", tmp_path / "page.html", "--out", tmp_path)
    out = _run(tmp_path / "dated.parquet", "--rolling", "--column", "time=day", *words).stdout
    result = RollingEvaluation.load(tmp_path / "rolling.json")
    assert (len(result.windows), result.n_rows, result.n_first) == (7, 60, 1)
    assert result["lin_ucb"].value > result["ucb1"].value
    assert result.windows[0].start == np.datetime64("2026-03-01").astype("datetime64[s]").astype(float)
    assert "minus frozen" in out
    assert "2026-03-01 00:00" in (tmp_path / "rolling.md").read_text()
    assert "<h2>Over time</h2>" in (tmp_path / "page.html").read_text()
    assert (tmp_path / "rolling.png").stat().st_size > 5_000
