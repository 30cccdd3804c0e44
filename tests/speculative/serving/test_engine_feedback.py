"""The counts of four engines become one record; what contradicts itself is not taken."""

import pytest

from speculative.serving.engine_feedback import EngineFeedback, feedback_of

VLLM = {"num_spec_steps": 3, "num_draft_tokens": 12, "num_accepted_draft_tokens": 5, "per_step_accepted": [3, 0, 2]}


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (
            {"metrics": {"speculative_decoding": VLLM}},
            EngineFeedback("vllm", None, 3, 12, 5, {0: 2, 1: 2, 2: 1}),
        ),
        (
            {"timings": {"predicted_n": 40, "draft_n": 27, "draft_n_accepted": 9}},
            EngineFeedback("llama.cpp", 40, None, 27, 9),
        ),
        ({"timings": {"predicted_n": 40}}, EngineFeedback("llama.cpp", 40, None, 0, 0)),
        (
            {"stats": {"total_draft_tokens_count": 8, "accepted_draft_tokens_count": 6}},
            EngineFeedback("lm_studio", None, None, 8, 6),
        ),
        (
            {"meta_info": {"completion_tokens": 30, "spec_verify_ct": 10, "spec_num_correct_drafts": 20}},
            EngineFeedback("sglang", 30, 10, None, 20),
        ),
    ],
)
def test_each_engines_form_is_read(payload, expected):
    assert feedback_of({"choices": [], **payload}) == expected


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"metrics": None, "timings": [], "stats": "fast", "meta_info": {"id": "x"}},
        {"metrics": {"speculative_decoding": None}},
        {"timings": {"draft_n": 3, "draft_n_accepted": 4}},
        {"timings": {"draft_n": 0, "draft_n_accepted": 5}},
        {"stats": {"total_draft_tokens_count": 0, "accepted_draft_tokens_count": 1}},
    ],
)
def test_what_says_nothing_or_contradicts_itself_is_none(payload):
    assert feedback_of(payload) is None


def test_counts_that_are_none_are_not_taken():
    found = feedback_of({"stats": {"total_draft_tokens_count": -3, "accepted_draft_tokens_count": True}})
    assert found == EngineFeedback("lm_studio")


def test_counts_that_no_answer_reaches_are_not_taken():
    said = {"num_spec_steps": 10**400, "num_draft_tokens": 2, "per_step_accepted": [10**9, 2, 1_025]}
    assert feedback_of({"metrics": {"speculative_decoding": said}}) == EngineFeedback(
        "vllm", n_draft_tokens=2, accepted_at={0: 1, 1: 1}
    )
