"""Data that were priced by different cost profiles are not on one scale, and every table says so."""

from dataclasses import replace

import pytest

from bandits import FullInformationData, LinUCB, compare, evaluate
from bandits.testing import example_data

HERE, THERE = replace(example_data(), cost_profiles=("here",)), replace(example_data(), cost_profiles=("there",))
SAYS = "WARNING: the costs were priced by 2 cost profiles (here, there): "


@pytest.mark.parametrize("training", [None, HERE, example_data()])
def test_one_profile_needs_no_warning(training):
    table = evaluate({"LinUCB": LinUCB().fit(HERE)}, HERE, training_data=training).to_text()
    assert "WARNING" not in table


def test_evaluate_says_that_train_and_test_were_priced_apart():
    result = evaluate({"LinUCB": LinUCB().fit(THERE)}, HERE, training_data=THERE)
    assert SAYS in " ".join(result.to_text().split())
    assert result.notes[0].startswith(SAYS)


def test_compare_says_it_of_data_that_were_joined(tmp_path):
    renamed = replace(THERE, query_ids=tuple(f"other {key}" for key in THERE.query_ids))
    joined = FullInformationData.concat([HERE, renamed])
    joined.save(tmp_path)
    read = FullInformationData.load(tmp_path)
    assert read.cost_profiles == joined.cost_profiles == ("here", "there")
    assert SAYS in " ".join(compare({"LinUCB": LinUCB()}, read, seeds=(0,)).to_text().split())
