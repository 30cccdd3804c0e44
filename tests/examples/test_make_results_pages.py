import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from results_pages.parts import bar_table, details, table, tables, transposed

from bandits import BestFixedArm, Bootstrap, LinUCB, evaluate
from bandits.testing import example_data

ROOT = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(ROOT / "examples" / "benchmarks" / "make_results_pages.py"))
PAGES = ("generation.md", "policies.md", "drafts.md", "headline.md")
MACHINE = {
    "processor": "some processor",
    "cores": 2,
    "threads": 2,
    "accelerator": None,
    "python": "3.11",
    "system": "Linux",
    "versions": {"torch": "2"},
}
RATIO = {"value": 1.25, "low": 1.125, "high": 1.5}


def main(*arguments: str) -> int:
    return SCRIPT["main"](list(arguments))


def evaluation_record() -> dict[str, object]:
    data = example_data()
    train, test = data.subset(np.arange(0, 40)), data.subset(np.arange(40, 60))
    policies = {"LinUCB": LinUCB().fit(train), "fixed": BestFixedArm().fit(train)}
    return json.loads(evaluate(policies, test, training_data=train, bootstrap=Bootstrap(n_resamples=20)).to_json())


def generation_record(ratios: dict[str, object], counts: dict[str, int]) -> dict[str, object]:
    origin = {
        "machine": MACHINE,
        "command": "python examples/benchmarks/bench_generation.py",
        "seed": 0,
        "max_new_tokens": 64,
    }
    bars = [{"name": "no draft | greedy", "value": 1.25, "bar": 1.4, "holds": False}]
    single = {
        "modes": {
            name: {"tokens_per_second": 41.5, **ratios}
            for name in ("no_draft", "prompt_lookup_7", "a rule", "LinTS", "LinTS (real run)", "transformers greedy")
        },
        "best_transformers_mode": "transformers greedy",
        "best_fixed_arm": "prompt_lookup_7",
        "best_fixed_arm_or_rule": "a rule",
        "best_learned_policy": "LinTS",
        "oracle_over_best_fixed_arm": 1.0625,
        "looping_share": 0.125,
        "equality": {"no_draft": counts},
        "by_domain": {"maths": {"no_draft": 1.1}, "code": {"no_draft": 1.2, "other": 1.3}},
        "bandit_rules": ["MetaSD"],
        "bandit_rules_choose_from": ["suffix_5"],
        "measured_texts_in_stores": 0,
    }
    batch_ratios = dict.fromkeys(("times_no_draft_batch_1", "times_transformers_greedy_batch_8"), RATIO)
    batch = {
        "modes": {"no_draft, batch 8": {"tokens_per_second": 99.5, "prefill_share": 0.41, **batch_ratios}},
        "n_groups": 2,
        "group_size": 16,
        "equality": {"no_draft, batch 8": {**counts, "largest_gap": 0.00025}},
    }
    int4_ratios = dict.fromkeys(("times_fastest_transformers_mode", "times_no_draft"), RATIO)
    int4 = {
        "modes": {"no_draft (batch-invariant)": {"tokens_per_second": 77.5, **int4_ratios}},
        "best_arm": "no_draft (batch-invariant)",
        "fastest_transformers_mode": "transformers greedy, bfloat16",
        "equality": {"no_draft (batch-invariant)": counts},
    }
    parts = {"single": single, "batch": batch, "int4": int4, "costs": costs_record()}
    return {"parts": {name: {**part, "bars": bars, **origin} for name, part in parts.items()}, "bars": bars}


def costs_record() -> dict[str, object]:
    floor = {
        "weights_mb": 538.0,
        "floor_ms": {"copy": 26.5, "read": 19.5},
        "cache_length": 256,
        "measured_ms": {"1": 33.5, "8": 40.5},
        "parts_ms": {m: {"matrix products": 29.5, "attention": 2.5, "rest": 1.5} for m in ("1", "8")},
    }
    return {
        "passes_ms": {"256": {"1": 33.5, "8": 40.5}},
        "int4_passes_ms": {"256": {"1": 11.5, "8": 23.5}},
        "eight_over_one": {"256": 1.21},
        "int4_eight_over_one": {"256": 2.04},
        "host_ms": {"no_draft": 0.21},
        "transformers_host_ms": 1.62,
        "sampling_ms": {"coupling": 0.34},
        "conclusions": ["on this machine prompt_lookup pays"] * 2,
        "floor": {"bandwidth_gb_per_s": {"copy": 20.4, "read": 27.6}, "float32": floor, "int4": floor},
    }


def records() -> dict[str, dict[str, object]]:
    ratios = dict.fromkeys(
        (
            "times_transformers_greedy",
            "times_best_transformers_mode",
            "times_best_fixed_arm",
            "times_best_transformers_mode_without_loops",
        ),
        RATIO,
    )
    counts = {"identical": 7, "tie": 2, "different": 0}
    cell = {**RATIO, "tokens_per_round": 1.6, "n_texts": 30}
    return {
        "bench_generation": generation_record(ratios, counts),
        "demo": {
            "conclusion": "No difference can be told.",
            "n_timed": 24,
            "n_transformers": 8,
            "max_new_tokens": 48,
            "speeds": {"no_draft": 40.0},
            "ratios": {"no_draft": {"transformers": RATIO}},
            "equality": counts,
            "looping_share": 0.0,
            "evaluation": evaluation_record(),
            "machine": MACHINE,
        },
        "bench_rewards": {
            "rewards": {"Speedup": evaluation_record()},
            "reward_seconds": {"semantic_similarity(vectors='v')": {"n": 100_000, "seconds": 1.86}},
            "label_threads": 2,
            "max_new_tokens": 48,
            "label_seconds": {"draft": {"traced": 0.01, "own": 0.05}, "look-up": {"traced": 0.001, "own": None}},
        },
        "drafts": {"matrix": {"draft_maths": {"maths": cell, "code": cell}}, "settings": {"n_epochs": 5}},
    }


def write(folder: Path, record_by_name: dict[str, dict[str, object]]) -> None:
    for name, record in record_by_name.items():
        (folder / f"{name}.json").write_text(json.dumps(record), encoding="utf-8")


def test_committed_pages_say_what_their_json_says(capsys):
    assert main("--check") == 0, capsys.readouterr().out


def test_pages_of_missing_files_say_that_nothing_was_measured(tmp_path):
    assert main("--results", str(tmp_path)) == 0
    for name in PAGES:
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert "Not measured yet" in text
        assert not any(figure in text for figure in "0123456789"), name


def test_every_figure_reaches_its_page(tmp_path):
    write(tmp_path, records())
    (tmp_path / "demo_speed.png").touch()
    main("--results", str(tmp_path))
    text = {name: (tmp_path / name).read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ") for name in PAGES}
    assert "| no_draft | 41.5 | 1.25 [1.12, 1.50] |" in text["generation.md"]
    assert "| no draft \\| greedy | 1.25 | at least 1.40 | no |" in text["generation.md"]
    assert "| other |  | 1.30 |" in text["generation.md"]
    assert "12%" in text["generation.md"]
    for line in (
        "| no_draft, batch 8 | 99.5 | 1.25 [1.12, 1.50] | 1.25 [1.12, 1.50] |",
        "Share of the seconds spent on reading prompts: no_draft, batch 8 41%.",
        "Largest gap of the two best logits where texts part: 2.5e-04.",
        "| no_draft (batch-invariant) | 77.5 | 1.25 [1.12, 1.50] | 1.25 [1.12, 1.50] |",
        "- MetaSD choose before every round among suffix_5.",
        "| m = 8 | 23.5 |",
        "| 4 bits | 2.04 |",
        "| 4 bits, 1 token | 538 | 26.5 | 19.5 | 33.5 |",
        "| float32, 8 tokens | 29.5 | 2.5 | 1.5 |",
        "| transformers greedy | 1.62 |",
        "| coupling | 0.34 |",
    ):
        assert line in text["generation.md"].splitlines(), line
    assert text["generation.md"].count("prompt_lookup pays") == 1
    for name in ("policies.md", "headline.md"):
        assert "No difference can be told." in text[name]
        assert "demo_speed.png" in text[name]
    assert "<summary>Speedup</summary>" in text["policies.md"]
    row = next(line for line in text["policies.md"].splitlines() if line.startswith("| LinUCB |"))
    expected = records()["demo"]["evaluation"]["rows"][0]["value"]
    assert f"{expected:.3f}" in row
    assert "picks_by_domain" not in text["policies.md"]  # its picture is not there
    assert "| draft_maths | 1.25 [1.12, 1.50] | 1.25 [1.12, 1.50] |" in text["drafts.md"]
    assert "| draft_maths | 1.60 | 1.60 |" in text["drafts.md"]


def test_the_readme_says_the_conclusion_that_the_headline_page_says():
    said = (ROOT / "docs" / "results" / "headline.md").read_text(encoding="utf-8").splitlines()[2]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert said in readme[readme.index("<!-- headline -->") : readme.index("<!-- /headline -->")]


def test_a_readme_gets_the_conclusion_between_its_marks(tmp_path):
    folder = tmp_path / "docs" / "results"
    folder.mkdir(parents=True)
    (folder / "demo.json").write_text(json.dumps(records()["demo"]))
    readme = tmp_path / "README.md"
    readme.write_text("# Title\n\n<!-- headline -->\nwhat was said before\n<!-- /headline -->\n\nend\n")
    assert main("--results", str(folder), "--check") == 1
    assert main("--results", str(folder)) == main("--results", str(folder), "--check") == 0
    text = readme.read_text()
    assert "said before" not in text
    assert "<!-- headline -->\n**Measured:** No difference can be told." in text
    assert text.startswith("# Title")
    assert text.endswith("<!-- /headline -->\n\nend\n")
    readme.write_text("# Title\n")
    with pytest.raises(ValueError, match="must have the lines <!-- headline -->"):
        main("--results", str(folder), "--check")


def test_check_finds_a_stale_page_and_smoke_writes_nothing(tmp_path, capsys):
    assert main("--results", str(tmp_path), "--check") == 1
    assert main("--results", str(tmp_path), "--smoke") == 0
    assert not list(tmp_path.iterdir())
    main("--results", str(tmp_path))
    assert main("--results", str(tmp_path), "--check") == 0
    write(tmp_path, records())
    capsys.readouterr()
    assert main("--results", str(tmp_path), "--check") == 1
    assert "generation.md is out of date" in capsys.readouterr().out


def test_parts_of_generation_that_were_not_measured_say_how(tmp_path):
    record = records()["bench_generation"]
    del record["parts"]["int4"], record["parts"]["costs"]
    write(tmp_path, {"bench_generation": record})
    main("--results", str(tmp_path))
    text = (tmp_path / "generation.md").read_text(encoding="utf-8")
    for part, measured in (("single", True), ("batch", True), ("int4", False), ("costs", False)):
        assert (f"bench_generation.py --only {part}` measures it" in text) is not measured


@pytest.mark.parametrize("damage", ["{", "{}", '{"matrix": 3}'])
def test_damaged_json_is_named(tmp_path, damage):
    (tmp_path / "drafts.json").write_text(damage, encoding="utf-8")
    with pytest.raises(ValueError, match=r"drafts"):
        main("--results", str(tmp_path))


def test_pages_lead_with_answers_and_end_with_the_limits_that_are_watched(tmp_path):
    write(tmp_path, records())
    main("--results", str(tmp_path))
    text = (tmp_path / "generation.md").read_text(encoding="utf-8")
    asked = (
        "How much faster?",
        "Against whom?",
        "Does choosing pay?",
        "Is the text the same?",
        "Limits that are watched",
    )
    assert [text.index(question) for question in asked] == sorted(text.index(question) for question in asked)
    assert "`prompt_lookup_7`, 1.25 [1.12, 1.50] times as many" in text


@pytest.mark.parametrize(
    ("bar", "row"),
    [
        ({"value": 0.9982, "bar": 1.0, "holds": False}, "0.998 | at least 1.000 | no"),
        ({"value": 0.9982, "bar": 0.5, "holds": True}, "1.00 | at least 0.50 | yes"),
        ({"value": 1.0, "bar": 1.0, "holds": False}, "1.00 | at least 1.00 | no"),
        ({"value": 1000.3, "bar": 1000.0, "holds": False, "at_most": True}, "1,000.3 | at most 1,000.0 | no"),
        ({"value": 999.998, "bar": 1000, "holds": False}, "999.998 | at least 1,000.0 | no"),
        ({"value": 1.001, "bar": 1.0, "holds": False, "at_most": True, "low": 0.9, "high": 1.1},
         "1.001 [0.900,\N{NO-BREAK SPACE}1.100] | at most 1.000 | no"),
        ({"value": -0.2, "bar": 0.0, "holds": False, "within_interval": True, "low": -0.3, "high": -0.0004},
         "-0.2000 [-0.3000,\N{NO-BREAK SPACE}-0.0004] | at least 0.000 | no"),
    ],
)  # fmt: skip
def test_a_missed_limit_never_prints_like_what_was_measured(bar, row):
    assert f"| speed | {row} |" in bar_table([{"name": "speed", **bar}])


def test_no_committed_table_has_more_than_six_columns():
    for page in (ROOT / "docs" / "results").glob("*.md"):
        for line in page.read_text(encoding="utf-8").splitlines():
            if line.startswith("|---"):
                assert line.count("|") - 1 <= 6, f"{page.name}: {line}"


@pytest.mark.parametrize("n_columns", [2, 6, 7, 11, 12, 13])
def test_a_wide_table_is_divided_into_tables_that_hold_every_column_once(n_columns):
    heads = [f"h{i}" for i in range(n_columns)]
    lines = tables(heads, [[f"c{i}" for i in range(n_columns)]])
    shown = [cell.strip() for line in lines if line.startswith("| h") for cell in line.strip("|").split("|")]
    assert [head for head in shown if head != "h0"] == heads[1:]
    assert all(line.count("|") - 1 <= 6 for line in lines)


def test_a_transposed_table_is_itself_when_transposed_again():
    heads, rows = ["", "a", "b"], [["x", "1", "2"], ["y", "3", "4"], ["z", "5", "6"]]
    assert transposed(*transposed(heads, rows)) == (heads, rows)
    assert transposed(heads, rows) == (["", "x", "y", "z"], [["a", "1", "3", "5"], ["b", "2", "4", "6"]])


def test_details_of_nothing_are_nothing():
    assert details("empty", []) == details("empty", [""]) == []


def test_an_interval_in_a_table_stays_on_one_line():
    assert table(["mode", "times"], [["a, b", "1.25 [-1.12, 1.50]"]])[-1] == (
        "| a, b | 1.25 [-1.12,\N{NO-BREAK SPACE}1.50] |"
    )
