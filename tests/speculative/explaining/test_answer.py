"""Every token of an answer has its own text and its owner."""

import json

import pytest

from speculative.explaining.answer import RECENT_ROUNDS, explain
from speculative.protocols.round_report import accepted_of_proposed
from speculative.sampling.sampling_params import SamplingParams
from tests.support.tiny_pool import ARMS


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("temperature", [0.0, 1.3])
def test_pieces_that_were_written_are_the_text_and_each_has_its_owner(pool, answer, arm, temperature):
    generation = answer(arm, SamplingParams(temperature, seed=2, rounds=True))
    found = explain(generation, pool.target, "asked")
    assert found.text == generation.text
    assert (found.prompt, found.stats.n_new) == ("asked", len(generation.token_ids))
    assert [piece.kind for piece in found.first] == ["target"]
    for one in found.rounds:
        kinds = [piece.kind for piece in one.pieces]
        n_accepted, n_proposed = one.report.n_accepted, one.report.n_proposed
        assert kinds[:n_proposed] == ["accepted"] * n_accepted + ["rejected"] * (n_proposed - n_accepted)
        assert kinds[n_proposed:] == ["target"] * (len(one.report.token_ids) - n_accepted)


def test_rejected_tokens_have_the_text_that_they_would_have_had(pool, answer):
    found = explain(answer(number=1), pool.target)
    rejected = [piece.text for one in found.rounds for piece in one.pieces if piece.kind == "rejected"]
    ids = [token for one in found.rounds for token in one.report.proposed_ids[one.report.n_accepted :]]
    assert rejected
    assert "".join(rejected) == pool.target.text(ids)


def test_a_character_of_several_tokens_stands_with_its_last_one(pool, answer):
    euro = pool.target.tokenizer("\u20ac", add_special_tokens=False).input_ids
    assert len(euro) == 3
    bias = SamplingParams(logit_bias=dict.fromkeys(euro, 100.0), max_new_tokens=9, rounds=True)
    generation = answer("no_draft", bias)
    pieces = explain(generation, pool.target)
    assert pieces.text == generation.text


def test_a_special_token_has_its_name(pool, answer):
    end = pool.target.eos_ids[0]
    generation = answer("no_draft", SamplingParams(logit_bias={end: 100.0}, rounds=True))
    found = explain(generation, pool.target)
    assert (generation.text, found.text, found.rounds) == ("", "<end>", ())


def test_recent_acceptance_is_that_of_the_rounds_before(pool, answer):
    generation = answer(number=1)
    rounds = explain(generation, pool.target).rounds
    assert rounds[0].recent == {}
    for i, one in enumerate(rounds):
        assert one.recent == accepted_of_proposed(generation.rounds[max(0, i - RECENT_ROUNDS) : i])
    assert rounds[-1].recent


def test_a_round_is_recorded_as_json_values(pool, answer):
    one = explain(answer(number=1), pool.target).rounds[-1]
    record = json.loads(json.dumps(one.record()))
    assert record["arm"] == "prompt_lookup_7"
    assert record["match_lengths"] == one.report.match_lengths
    assert set(record["certainty"]) == {"margin", "entropy"}
    assert record["seconds"] == one.report.seconds
    assert [piece["kind"] for piece in record["pieces"]] == [piece.kind for piece in one.pieces]


def test_an_answer_without_reports_is_refused(pool, answer):
    with pytest.raises(ValueError, match=r"ask with SamplingParams\(rounds=True\)"):
        explain(answer("no_draft", SamplingParams()), pool.target)
