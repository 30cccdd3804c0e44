"""A wide table goes from its file to a policy and a comparison on the command line."""

import json

import pytest

from bandits import load_policy
from tests.support.command_runner import refused, run_cli

ROLES = ("--column", "query_id=sample_id", "--column", "query=prompt", "--column", "domain=eval_name")
WIDE = (*ROLES, "--cost-suffix", "|total_cost")


@pytest.fixture
def router_csv(tmp_path):
    """A file in RouterBench's form: the large model is better at maths, and dearer everywhere."""
    path = tmp_path / "routerbench.csv"
    head = "sample_id,prompt,eval_name,small,large,small|model_response,large|model_response"
    lines = [f"{head},small|total_cost,large|total_cost,oracle_model_to_route_to"]
    for number in range(40):
        maths = number % 2
        text = f"{'add the numbers' if maths else 'write a poem about the moon'} {number}"
        lines.append(f"q.{number},{text},{'maths' if maths else 'prose'},{1 - maths},1,a,b,0.001,0.03,small")
    path.write_text("\n".join(lines) + "\n")
    return path


def test_from_a_wide_file_to_a_policy_within_a_budget_and_a_report_in_four_commands(router_csv, tmp_path):
    encoded, policy = (*WIDE, "--encoder", "hashing-16"), tmp_path / "policy"
    budgeted = ("--policy", "budgeted", "--set", "budget=0.02")
    run_cli("train", router_csv, *encoded, *budgeted, "--out", policy)
    run_cli("evaluate", router_csv, *WIDE, "--policy", policy, "--out", tmp_path / "evaluation")
    rows = json.loads((tmp_path / "evaluation/evaluation.json").read_text())["rows"]
    values = {row["name"]: row["value"] for row in rows}
    assert (values["small"], values["large"]) == (0.5, 1.0)
    assert values["policy"] > 0.9  # the large model where it is better: .0155 a query
    maths = run_cli("choose", "add the numbers 7", "--policy", policy)
    assert json.loads(maths.stdout)["arm"] == "large"
    compared = ("--policies", "best_fixed_arm, lin_ucb, budgeted(budget=0.02)", "--seeds", "2", "--by-segment")
    weighed = ("--cost-weight", "0,10", "--cost-unit", "$", "--report", tmp_path / "report.html")
    run_cli("compare", router_csv, *encoded, *compared, *weighed, "--out", tmp_path / "comparison")
    assert "maths" in (tmp_path / "comparison" / "segments.md").read_text()
    page = (tmp_path / "report.html").read_text()
    assert "budgeted(budget=0.02)" in page
    assert "https:" not in page  # it needs no network


def test_arms_of_a_wide_table_can_be_named(router_csv, tmp_path):
    named = ("--encoder", "hashing-8", *ROLES, "--arm-columns", "large,small")
    run_cli("train", router_csv, *named, "--out", tmp_path / "policy")
    assert load_policy(tmp_path / "policy").arm_names == ("large", "small")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--arm-columns", "small,medium"), "the table has no column 'medium'"),
        (("--cost-suffix", "|price"), "no column has one of costs beside it (NAME|price)"),
        (("--arm-columns", "small", "--propensities", "estimated"), "needs no --propensities: leave it out"),
        ((), "--arm-columns NAMES reads a table with a column of rewards an arm"),
    ],
)
def test_what_is_no_wide_table_is_named(router_csv, tmp_path, given, message):
    assert message in refused("train", router_csv, "--encoder", "hashing-8", *ROLES, *given, "--out", tmp_path / "p")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("budget=0.0001",), "is met by no policy: the cheapest choices are predicted to cost"),
        (("budget=-1",), "budget must be"),
        (("period=10",), "period 10 needs a budget: give the cost"),
    ],
)
def test_a_budget_that_cannot_be_kept_is_refused_in_a_sentence(router_csv, tmp_path, settings, message):
    given = [word for setting in settings for word in ("--set", setting)]
    encoded = (*WIDE, "--encoder", "hashing-8", "--policy", "budgeted")
    assert message in refused("train", router_csv, *encoded, *given, "--out", tmp_path / "p")


@pytest.mark.parametrize(
    ("price", "message"),
    [
        ("-0.03", "costs must be >= 0: row 5"),
        ("", "row 5 has no 'large|total_cost', others have: fill it"),
        ("dear", "column 'large|total_cost' must hold numbers, row 5 has 'dear'"),
    ],
)
def test_a_price_that_is_missing_or_negative_is_named_by_its_row(router_csv, tmp_path, price, message):
    lines = router_csv.read_text().splitlines()
    lines[6] = lines[6].replace("0.03", price)
    router_csv.write_text("\n".join(lines) + "\n")
    line = refused(
        "train", router_csv, *WIDE, "--encoder", "hashing-8", "--policy", "budgeted", "--out", tmp_path / "p"
    )
    assert message in line


def test_a_table_without_prices_is_refused_where_they_are_weighed(router_csv, tmp_path):
    unpriced = (router_csv, "--encoder", "hashing-8", *ROLES, "--arm-columns", "small,large", "--out", tmp_path / "p")
    assert "the data hold no costs: give each row its cost" in refused("train", *unpriced, "--policy", "budgeted")
    assert "the data hold none: give each row its cost" in refused("compare", *unpriced, "--cost-weight", "1")
    assert "the data hold no costs" in refused("compare", *unpriced, "--cost-weight", "0,1")


def test_segments_of_one_row_have_no_line_and_the_table_says_so(router_csv, tmp_path):
    text = router_csv.read_text().replace("write a poem about the moon 0,prose", "write a poem about the moon 0,alone")
    router_csv.write_text(text)
    compared = ("--encoder", "hashing-8", "--policies", "lin_ucb", "--seeds", "2", "--by-segment")
    shown = run_cli("compare", router_csv, *WIDE, *compared, "--out", tmp_path / "c").stdout
    assert "a segment with fewer than 10 tested queries has no line" in shown
    assert "alone" not in (tmp_path / "c" / "segments.md").read_text()
    one_each = (
        router_csv.read_text().replace(",maths,", ",all,").replace(",prose,", ",all,").replace(",alone,", ",all,")
    )
    router_csv.write_text(one_each)
    line = refused("compare", router_csv, *WIDE, *compared, "--out", tmp_path / "d")
    assert "by_segment needs two different domains in the data" in line


def test_a_label_that_training_never_saw_is_named(router_csv, tmp_path):
    by_label = (*WIDE, "--context-columns", "eval_name")
    run_cli("train", router_csv, *by_label, "--out", tmp_path / "policy")
    later = tmp_path / "later.csv"
    later.write_text(router_csv.read_text().replace(",prose,", ",chemistry,"))
    line = refused("evaluate", later, *WIDE, "--policy", tmp_path / "policy", "--out", tmp_path / "e")
    assert "'chemistry'" in line
    assert "eval_name" in line


def test_a_weight_in_another_unit_than_the_prices_is_told(router_csv, tmp_path):
    compared = ("--encoder", "hashing-8", "--policies", "lin_ucb", "--seeds", "1", "--cost-weight", "1000000")
    shown = " ".join(run_cli("compare", router_csv, *WIDE, *compared, "--out", tmp_path / "c").stdout.split())
    assert "so price alone decides: a weight is in units of reward a unit of cost" in shown
