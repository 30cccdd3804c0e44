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


def test_from_a_wide_file_to_a_policy_a_choice_and_a_comparison(router_csv, tmp_path):
    encoded = (*WIDE, "--encoder", "hashing-16")
    run_cli("train", router_csv, *encoded, "--out", tmp_path / "policy")
    assert load_policy(tmp_path / "policy").arm_names == ("small", "large")
    run_cli("evaluate", router_csv, *WIDE, "--policy", tmp_path / "policy", "--out", tmp_path / "evaluation")
    values = {
        row["name"]: row["value"] for row in json.loads((tmp_path / "evaluation/evaluation.json").read_text())["rows"]
    }
    assert (values["small"], values["large"]) == (0.5, 1.0)
    compared = ("--policies", "best_fixed_arm, lin_ucb", "--seeds", "2", "--cost-weight", "0,10", "--by-segment")
    run_cli("compare", router_csv, *encoded, *compared, "--out", tmp_path / "comparison")
    assert "maths" in (tmp_path / "comparison" / "segments.md").read_text()
    assert (tmp_path / "comparison" / "trade_off.md").exists()


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
