"""Drafts of the target's own states are traced on those that its text left, without another pass."""

import numpy as np
import pytest

from bandits import HashingEncoder
from speculative.collection.tracing import trace_queries
from speculative.models.decoder import Decoder
from speculative.targets.speculative_arm import SpeculativeArm
from speculative.targets.target import Target
from tests.support.card_rounds import make_models
from tests.support.tiny_pool import N_VOCAB, byte_tokenizer, queries


@pytest.fixture(scope="module")
def models():
    return make_models("cpu", vocab_size=N_VOCAB)


def traced(models, names, target=None):
    target = Target("target", None, target or models.target, byte_tokenizer(), max_new_tokens=12, max_batch=3)
    arms = [SpeculativeArm(target, models.arms[name].draft, 4) for name in names]
    return trace_queries(queries(5), arms, HashingEncoder(8))


@pytest.mark.parametrize("name", ["early exit", "head", "eagle3 head"])
def test_a_trace_on_kept_states_is_that_of_a_pass_over_the_text(models, name):
    draft = models.arms[name].draft
    for trace in traced(models, [name]):
        found, alone = trace.drafts[draft.name], draft.trace(trace.prompt_ids, trace.new_ids, 4)
        np.testing.assert_array_equal(found.proposed, alone.proposed)
        np.testing.assert_array_equal(found.accepted, alone.accepted)
        np.testing.assert_allclose(found.confidences, alone.confidences, atol=1e-5)
        assert (found.max_positions, found.stops) == (alone.max_positions, alone.stops)


def test_all_of_them_together_take_no_pass_of_the_target(models, monkeypatch):
    passes = []
    run = Decoder.run

    def counted(self, token_ids, *arguments):
        passes.append(len(token_ids))
        return run(self, token_ids, *arguments)

    monkeypatch.setattr(Decoder, "run", counted)
    alone = traced(models, ["prompt look-up"])
    n_plain = sum(passes)
    passes.clear()
    together = traced(models, ["early exit", "head", "eagle3 head"])
    assert sum(passes) == n_plain
    assert [trace.new_ids for trace in together] == [trace.new_ids for trace in alone]
    for name in ("early exit", "head", "eagle3 head"):  # each finds its own layers among those kept for all
        draft = models.arms[name].draft
        for trace in together:
            alone = draft.trace(trace.prompt_ids, trace.new_ids, 4)
            np.testing.assert_allclose(trace.drafts[draft.name].confidences, alone.confidences, atol=1e-4)


def test_an_exit_of_another_model_than_the_target_is_traced_by_its_own_passes(models):
    other = make_models("cpu", vocab_size=N_VOCAB)
    other.target.embedding.mul_(1.5)
    draft = models.arms["early exit"].draft
    for trace in traced(models, ["early exit"], other.target):
        alone = draft.trace(trace.prompt_ids, trace.new_ids, 4)
        np.testing.assert_allclose(trace.drafts[draft.name].confidences, alone.confidences, atol=1e-6)
