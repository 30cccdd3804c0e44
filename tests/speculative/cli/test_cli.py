"""Every command on a tiny pool: what it prints, writes and refuses."""

import json
import re
import shutil
from dataclasses import replace
from importlib.metadata import version

import pytest
import typer

from bandits import FullInformationData, cross_validated, load_policy
from bandits.encoders import ENCODERS
from bandits.evaluation import Evaluation
from bandits.off_policy.estimators import ESTIMATORS
from bandits.policies import POLICIES
from rewards import REWARDS, TimeSaved
from speculative.cli.main import app
from speculative.cli.plain_errors import one_line
from speculative.cli.plugins import policy_of
from speculative.demo.demo import DEMO_POOL, DemoSettings
from speculative.pools.spec import read_pool_spec
from speculative.selectors import SELECTORS
from tests.support.command_runner import make_place, pool_of, refused, run_cli
from tests.support.tiny_pool import ARMS, MAX_POSITIONS

TRAINED = ("lin_ucb", "hybrid_lin_ucb", "reinforce", "epsilon_greedy", "best_fixed_arm", "bandits:UCB1")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return make_place(tmp_path_factory.mktemp("cli"))


def test_collect_stores_the_data_and_goes_on(place):
    data = FullInformationData.load(place / "train")
    assert (len(data), data.arm_names) == (20, ARMS)
    again = run_cli(
        "collect", place / "train.jsonl", *pool_of(place), "--out", place / "train", "--own-texts", "--json"
    )
    result = json.loads(again.stdout)
    assert result["n_queries"] == 20
    seconds = result["label_seconds"]
    assert seconds["prompt_lookup"]["own"] is None
    assert min(seconds["draft_small"].values()) > 0
    assert tuple(result["speed"]) == ARMS
    data = FullInformationData.load(place / "train")  # priced again: costs that were measured noisily are replaced
    assert data.costs is not None
    totals = data.costs.sum(axis=0)
    assert list(result["speed"].values()) == pytest.approx((totals[0] / totals).tolist())


def test_collect_tells_what_both_kinds_of_labels_took_and_keeps_overlaps(place, tmp_path):
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text(json.dumps({"id": "q", "prompt": "one two"}))
    shown = run_cli("collect", prompts, *pool_of(place), "--out", tmp_path / "data", "--own-texts", "--overlaps")
    assert re.search(
        r"labels of draft_small: 0\.\d{4} s a query by tracing, 0\.\d{4} s by its own text, ", shown.stdout
    )
    [row] = FullInformationData.load(tmp_path / "data").observations
    assert [len(o.overlaps) for o in row] == [0, 0, 0, row[3].n_tokens - 1]


def test_collect_cuts_or_skips_a_prompt_that_is_too_long_where_asked(place, tmp_path):
    prompts = tmp_path / "prompts.jsonl"
    rows = [{"id": "long", "prompt": "ab" * 2000}, *({"id": f"q{i}", "prompt": f"text {i}"} for i in range(3))]
    prompts.write_text("\n".join(map(json.dumps, rows)))
    assert "exceed the target's context" in refused("collect", prompts, *pool_of(place), "--out", tmp_path / "no")
    for way, done, n_rows in (("skip", "skipped", 3), ("truncate", "cut to their last tokens", 4)):
        shown = run_cli("collect", prompts, *pool_of(place), "--out", tmp_path / way, "--too-long", way)
        assert f"warning: 1 of 4 prompts do not fit and were {done}: long" in shown.stderr
        assert len(FullInformationData.load(tmp_path / way)) == n_rows


def test_collect_refuses_in_one_line(place, tmp_path):
    prompts = tmp_path / "prompts.jsonl"
    out = ("--out", tmp_path / "data")
    prompts.write_text('{"prompt": "fine"}\n{"prompt": ')
    assert "line 2: must be one JSON object" in refused("collect", prompts, *pool_of(place), *out)
    prompts.write_text('{"prompt": "  "}\n')
    assert "line 1: exactly one of prompt and messages" in refused("collect", prompts, *pool_of(place), *out)
    prompts.write_text(json.dumps({"prompt": "x" * MAX_POSITIONS}))
    assert "exceed the target's context" in refused("collect", prompts, *pool_of(place), *out)
    assert "the prompt file cannot be read" in refused("collect", tmp_path / "no", *pool_of(place), *out)
    threads = ("--executor", "threads", "--jobs", "2")
    assert "must give each worker a pool of its own" in refused(
        "collect", place / "test.jsonl", *pool_of(place), *out, *threads
    )
    assert not (tmp_path / "data").exists()
    other = ("--out", place / "train", "--own-texts")
    assert "begun with other queries" in refused("collect", place / "test.jsonl", *pool_of(place), *other)
    assert "cannot be read" in refused("collect", place / "test.jsonl", "--pool", tmp_path / "no.toml", *out)
    part = tmp_path / "data" / "traces" / "part-00000.parquet"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"PAR1")
    assert "half-written" in refused("collect", place / "test.jsonl", *pool_of(place), *out)


@pytest.mark.parametrize("policy", TRAINED)
def test_train_saves_any_policy(place, tmp_path, policy):
    settings = {"lin_ucb": ["ucb_width=0.5"], "epsilon_greedy": ["epsilon=0.2"], "reinforce": ["hidden_size=8"]}
    arguments = [part for setting in settings.get(policy, []) for part in ("--set", setting)]
    result = run_cli(
        "train", place / "train", "--policy", policy, *arguments, "--out", tmp_path / "policy", "--seed", 3, "--json"
    )
    shown = json.loads(result.stdout)
    learned = load_policy(tmp_path / "policy")
    assert learned.arm_names == tuple(shown["arm_names"]) == ARMS
    assert shown["file"] == str(tmp_path / "policy" / "policy.safetensors")
    asked_for = policy_of(policy, settings.get(policy, []), 3)
    score = cross_validated(asked_for, FullInformationData.load(place / "train").with_reward(TimeSaved()), seed=3)
    assert (shown["held_out"]["value"], shown["conclusion"]) == (pytest.approx(score.value), str(score.conclusion))
    assert (shown["n_queries"], shown["held_out"]["n_folds"]) == (20, 10)
    for setting in settings.get(policy, []):
        name, value = setting.split("=")
        assert getattr(learned, name) == float(value)


@pytest.mark.parametrize("reward", ["acceptance_length", "relative_speed", "rouge_l(missing=0.5)", "paper(0.5, 0.5)"])
def test_train_knows_the_rewards(place, tmp_path, reward):
    result = run_cli("train", place / "train", "--reward", reward, "--out", tmp_path / "p", "--json")
    assert json.loads(result.stdout)["reward"] == reward
    value = json.loads(result.stdout)["held_out"]["value"]
    assert 1 <= value <= 8 if reward == "acceptance_length" else 0 < value <= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--reward", "beauty"), "unknown reward 'beauty'; there are time_saved, "),
        (("--reward", "paper(2)"), "reward 'paper(2)': paper(A) needs A in [0, 1], got 2"),
        (("--reward", "rouge_l"), "own_text (what the draft writes alone) is missing"),
        (("--set", "speed=1"), "lin_ucb has no setting 'speed'; it has ucb_width, prior_precision"),
        (("--set", "ucb_width"), "--set must be NAME=VALUE"),
        (("--set", "ucb_width=wide"), "ucb_width must be"),
        (("--set", "ucb_width=-1"), "ucb_width must be a finite number >= 0, got -1"),
        (("--policy", "best_fixed_arm", "--set", "x=1"), "best_fixed_arm has no setting 'x'; it has none"),
        (("--policy", "linucb"), "unknown policy 'linucb'; there are uniform, best_fixed_arm"),
        (("--policy", "json:JSONDecoder"), "must be a subclass of bandits.policies.policy.Policy"),
        (("--reward", "json:JSONDecoder"), "must be a subclass of rewards.reward.Reward"),
        (("--encoder", "hashing"), "--encoder is for tables, and"),
    ],
)
def test_train_refuses_in_one_line(place, tmp_path, arguments, message):
    assert message in refused("train", place / "train", *arguments, "--out", tmp_path / "p")
    assert not (tmp_path / "p").exists()


def test_broken_data_are_refused(place, tmp_path):
    assert "holds no part files" in refused("train", tmp_path, "--out", tmp_path / "p")
    part = (place / "train" / "part-00000.parquet").read_bytes()
    (tmp_path / "part-00000.parquet").write_bytes(part)
    assert "is not closed" in refused("train", tmp_path, "--out", tmp_path / "p")
    shutil.copytree(place / "train", tmp_path, dirs_exist_ok=True)
    (tmp_path / "part-00000.parquet").write_bytes(part[: len(part) // 2])
    assert "half-written" in refused("train", tmp_path, "--out", tmp_path / "p")


def test_evaluate_writes_table_json_and_plots(place, tmp_path):
    run_cli("train", place / "train", "--policy", "lin_ts", "--out", tmp_path / "lin_ts")
    policies = ("--policy", place / "lin_ucb.safetensors", "--policy", tmp_path / "lin_ts")
    out = tmp_path / "report"
    shown = run_cli("evaluate", place / "test", *policies, "--train-data", place / "train", "--out", out)
    for word in ("lin_ucb", "lin_ts", *ARMS, "oracle", "bootstrap", "best arm of the training data"):
        assert word in shown.stdout
    assert (out / "table.txt").read_text().strip() == shown.stdout.strip()
    evaluation = Evaluation.load(out / "evaluation.json")
    assert evaluation.n_queries == 8
    assert (out / "values.png").read_bytes()[:4] == (out / "picks.png").read_bytes()[:4] == b"\x89PNG"
    again = run_cli("evaluate", place / "test", *policies, "--out", out, "--json", "--seed", 1)
    assert json.loads(again.stdout)["seed"] == 1


def test_evaluate_without_matplotlib_says_so(place, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = run_cli(
        "evaluate", place / "test", "--policy", place / "lin_ucb.safetensors", "--out", tmp_path / "report"
    )
    assert "no plots: matplotlib is not installed (pip install '.[plots]' in draftpick's checkout)" in result.stderr
    assert sorted(file.name for file in (tmp_path / "report").iterdir()) == ["evaluation.json", "table.txt"]


def test_evaluate_fits_relative_speed_on_the_training_data(place, tmp_path):
    policy = ("--policy", place / "lin_ucb.safetensors", "--out", tmp_path / "report")
    reward = ("--reward", "relative_speed")
    assert "relative_speed is fitted on training observations" in refused("evaluate", place / "test", *policy, *reward)
    shown = run_cli("evaluate", place / "test", *policy, *reward, "--train-data", place / "train", "--json")
    rows = {row["name"]: row["value"] for row in json.loads(shown.stdout)["rows"]}
    assert all(0 < value <= 1 for value in rows.values())


def test_evaluate_refuses_policies_that_do_not_fit(place, tmp_path):
    def refusal_of(file):
        return refused("evaluate", place / "test", "--policy", file, "--out", tmp_path / "report")

    assert "does not exist: train a policy" in refusal_of(tmp_path / "no.safetensors")
    content = (place / "lin_ucb.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(content[:-10])
    assert "cut.safetensors is damaged or cut off" in refusal_of(tmp_path / "cut.safetensors")
    data = FullInformationData.load(place / "train")
    policy = load_policy(place / "lin_ucb.safetensors")
    policy.clone().fit(data.select_arms(ARMS[:2]).subset([0, 1])).save(tmp_path / "few.safetensors")
    run_cli("evaluate", place / "test", "--policy", tmp_path / "few.safetensors", "--out", tmp_path / "report")
    policy.add_arm("eagle_4")
    policy.save(tmp_path / "more.safetensors")
    assert "the policy may choose 'eagle_4'" in refusal_of(tmp_path / "more.safetensors")
    policy.remove_arm("eagle_4")
    policy.state = replace(policy.learned, encoder="hashing-8b")
    policy.save(tmp_path / "other.safetensors")
    assert "and the data must have contexts of one encoder, got 'hashing-8b' and 'hashing-8'" in refusal_of(
        tmp_path / "other.safetensors"
    )
    twice = ("--policy", place / "lin_ucb.safetensors") * 2
    assert "two policies are named 'lin_ucb'" in refused("evaluate", place / "test", *twice, "--out", tmp_path)
    usage = ("evaluate", place / "test", "--policy", place / "lin_ucb.safetensors", "--out", tmp_path / "report")
    assert "--baseline must be one of the arms no_draft, " in refused(*usage, "--baseline", "nobody")


def test_profile_prints_table_costs_and_conclusions(place, monkeypatch):
    shown = run_cli("profile", *pool_of(place)).stdout
    assert "     m     L=64" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert shown.count("on this machine") == len(ARMS) - 1
    for name in ("no_draft", "prompt_lookup", "draft_small"):
        assert f"{name}: " in shown
    result = json.loads(run_cli("profile", *pool_of(place), "--json").stdout)
    assert set(result["conclusions"]) == set(ARMS[1:])
    before = result["measured_at"]
    assert json.loads(run_cli("profile", *pool_of(place), "--json", "--refresh").stdout)["measured_at"] > before


def test_demo_calls_the_function_of_that_name(monkeypatch, tmp_path):
    called = []

    def run_demo(out, spec, settings, *, on_progress):
        called.append((out, spec, settings))
        on_progress("measuring", 1, 1)
        out.mkdir()
        (out / "report.json").write_text('{"holds": true}')

    monkeypatch.setattr("speculative.demo.demo.run_demo", run_demo)
    out = tmp_path / "report"
    shown = run_cli("demo", "--out", out, "--full", "--seed", 4, "--dtype", "bfloat16", "--json")
    assert json.loads(shown.stdout) == {"holds": True}
    assert shown.stderr == "measuring: 1 of 1, 0 s\n"
    spec = read_pool_spec(DEMO_POOL).model_copy(update={"dtype": "bfloat16"})
    assert called == [(out, spec, DemoSettings(seconds=None, seed=4))]


def test_demo_takes_a_users_own_prompts(monkeypatch, tmp_path):
    called = []
    rows = [{"id": f"q{i}", "prompt": f"What is {i}?", "domain": "ab"[i % 2]} for i in range(8)]
    (tmp_path / "mine.jsonl").write_text("\n".join(map(json.dumps, rows)))

    def run_demo(out, spec, settings, *, on_progress):
        called.append(settings)
        out.mkdir()
        (out / "report.json").write_text("{}")

    monkeypatch.setattr("speculative.demo.demo.run_demo", run_demo)
    run_cli("demo", "--out", tmp_path / "report", "--prompts", tmp_path / "mine.jsonl", "--json")
    train, test = called[0].queries
    assert {query.id for query in (*train, *test)} == {row["id"] for row in rows}
    assert {query.domain for query in train} == {query.domain for query in test} == {"a", "b"}
    line = refused("demo", "--out", tmp_path / "other", "--held-out", tmp_path / "mine.jsonl")
    assert "--held-out needs --prompts" in line


@pytest.mark.parametrize("command", sorted(typer.main.get_command(app).commands))
def test_every_command_has_help_that_fits_the_terminal(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    shown = run_cli(command, "--help").stdout
    assert "--help" in shown
    assert len(shown.splitlines()) > 8
    assert max(map(len, shown.splitlines())) <= 80
    assert "…" not in shown


@pytest.mark.parametrize(
    ("command", "option", "table"),
    [
        ("train", "--policy", POLICIES),
        ("train", "--reward", REWARDS),
        ("train", "--encoder", ENCODERS),
        ("compare", "--policies", POLICIES),
        ("compare", "--estimators", ESTIMATORS),
        ("generate", "--selector", SELECTORS),
    ],
)
def test_the_help_of_an_option_names_every_class_that_it_takes(command, option, table):
    [parameter] = [each for each in typer.main.get_command(app).commands[command].params if option in each.opts]
    words = set(parameter.help.replace(",", " ").replace(":", " ").split())
    assert words >= set(table)


@pytest.mark.filterwarnings("always::arms.query.UnknownKeysWarning")
def test_keys_of_a_prompt_file_that_are_not_read_are_named(place, tmp_path):
    prompts, out = tmp_path / "prompts.jsonl", ("--out", tmp_path / "data")
    prompts.write_text('{"promt": "a"}\n')
    assert "key 'promt': did you mean 'prompt'?" in refused("collect", prompts, *pool_of(place), *out)
    prompts.write_text('{"prompt": "a", "source": "x"}\n{"prompt": "b", "max_new_token": 3}\n')
    [warning] = _warnings(place, prompts, out)
    assert warning.startswith(f"warning: {prompts}: keys that are not read: 'source' (in 1 of 2 rows), ")
    assert "'max_new_token' (in 1 of 2 rows: did you mean 'max_new_tokens'?)" in warning


def _warnings(place, prompts, out):
    shown = run_cli("collect", prompts, *pool_of(place), *out)
    return [line for line in shown.stderr.splitlines() if line.startswith("warning: ")]


def test_version_and_usage_errors():
    assert run_cli("--version").stdout == f"draftpick {version('draftpick')}\n"
    assert "No such command" in run_cli("trian", status=2).stderr
    assert "Missing option" in run_cli("train", "data", status=2).stderr


def test_an_error_without_a_message_has_its_type():
    assert one_line(ValueError("two\n  lines")) == "two lines"
    assert one_line(FileNotFoundError()) == "FileNotFoundError"
