"""Results come back from JSON as they were, and a damaged file is refused by field and value."""

import json

import numpy as np
import pytest

from arms.atomic_file import atomic_file
from bandits import SNIPS, BestFixedArm, Bootstrap, Uniform, compare, estimate, evaluate, simulate
from bandits.evaluation import Comparison, Evaluation
from bandits.simulation import Simulation
from bandits.simulation.environments import SupervisedEnvironment
from bandits.testing import example_data


def results():
    data = example_data()
    environment = SupervisedEnvironment(data.contexts, classes=data.rewards.argmax(axis=1))
    log = data.log_with(Uniform(), np.random.default_rng(0))
    return [
        compare({"fixed": BestFixedArm()}, data, seeds=(0,)),
        evaluate({"fixed": BestFixedArm().fit(data)}, data, bootstrap=Bootstrap(n_resamples=10)),
        simulate({"fixed": BestFixedArm()}, environment, 20, seeds=(0, 1)),
        estimate(BestFixedArm().fit(log), log, estimators=[SNIPS()]),
    ]


@pytest.fixture(scope="module", params=results(), ids=lambda result: result.kind)
def result(request):
    return request.param


def test_a_result_comes_back_equal(result, tmp_path):
    again = type(result).from_json(result.to_json())
    assert again == result
    assert repr(again) == repr(result)  # tuples stay tuples, floats floats
    result.save(tmp_path / "folder" / "result.json")
    assert type(result).load(tmp_path / "folder" / "result.json") == result
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["result.json"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[: len(text) // 2], "line"),
        (lambda text: "[]", "format_version must be an integer >= 1, got None"),
        (lambda text: "[" * 100_000, "recursion"),
        (lambda text: text.replace('"format_version": 1', '"format_version": 9'), "version 9 is newer than 1: upgrade"),
        (lambda text: text.replace('"format_version": 1', '"format_version": "1"'), "must be an integer >= 1, got '1'"),
        (
            lambda text: text.replace('"format_version": 1', '"format_version": true'),
            "must be an integer >= 1, got True",
        ),
        (lambda text: text.replace("{", '{"surprise": 3, ', 1), "surprise: .*got 3"),
        (lambda text: json.dumps({"format_version": 1}), "its kind is None"),
        (lambda text: json.dumps({key: json.loads(text)[key] for key in ("format_version", "kind")}), "Field required"),
    ],
)
def test_a_damaged_result_is_refused_and_named(result, tmp_path, damage, message):
    path = tmp_path / "bad.json"
    path.write_text(damage(result.to_json()), encoding="utf-8")
    with pytest.raises(ValueError, match=rf"bad.json is not a saved {result.kind}: .*{message}"):
        type(result).load(path)


def test_a_wrong_value_is_named_with_its_place():
    compared, evaluated, simulated, _ = results()
    for one, change, place in (
        (compared, ("rows", 0, "regret", "low"), "rows.0.regret.low"),
        (evaluated, ("rows", 1, "regret", "high"), "rows.1.regret.high"),
        (simulated, ("rows", 0, "cumulative_regret", 1, 3), "rows.0.cumulative_regret.1.3"),
    ):
        content = json.loads(one.to_json())
        parent = content
        for key in change[:-1]:
            parent = parent[key]
        for wrong in ("high", None):
            parent[change[-1]] = wrong
            with pytest.raises(ValueError, match=f"{place}: .*got {wrong!r}"):
                type(one).from_json(json.dumps(content))
        parent[change[-1]] = float("nan")
        with pytest.raises(ValueError, match="numbers must be finite, got NaN"):
            type(one).from_json(json.dumps(content))


@pytest.mark.parametrize("cls", [Comparison, Evaluation, Simulation])
def test_a_missing_file_and_bytes_that_are_no_text_are_refused(cls, tmp_path):
    with pytest.raises(FileNotFoundError):
        cls.load(tmp_path / "none.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"binary.json is "):
        cls.load(tmp_path / "binary.json")


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "new folder" / "file"
    with atomic_file(path) as file:
        file.write(b"old")

    def write_half():
        with atomic_file(path) as file:
            file.write(b"half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write_half()
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_a_result_of_another_kind_is_refused(tmp_path):
    _, evaluated, *_ = results()
    evaluated.save(tmp_path / "result.json")
    with pytest.raises(ValueError, match=r"result.json is not a saved comparison: its kind is 'evaluation'"):
        Comparison.load(tmp_path / "result.json")


def test_rows_are_found_by_name_and_are_numbers(result):
    (name,) = {"fixed", "SNIPS"} & set(result.names)
    row = result[name]
    assert isinstance(row.value, float)
    assert row.interval[0] <= row.value <= row.interval[1]
    assert name in result
    assert "nobody" not in result
    assert list(dict.fromkeys(one.name for one in result)) == list(result.names)
    with pytest.raises(KeyError, match=f"no row 'nobody'; there are {name}"):
        result["nobody"]


def test_results_fit_the_width_and_show_themselves_in_notebooks(result, monkeypatch):
    assert max(map(len, result.to_text(60).splitlines())) <= 60
    monkeypatch.setenv("COLUMNS", "70")
    assert result.to_text() == result.to_text(70)
    assert f"<td>{result.names[0]}</td>" in result._repr_html_()
    assert len(repr(result)) < 200
    frame = pytest.importorskip("pandas") and result.to_pandas()
    assert frame["value"].tolist() == [row.value for row in result]
    assert {"low", "high"} <= set(frame.columns)
