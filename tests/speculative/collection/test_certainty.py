"""Traces keep how sure the target was, and say the same after a round trip through their files."""

import numpy as np
import pytest
import torch

from speculative.collection.trace_store import close_traces, read_trace_parts, write_traces
from speculative.collection.tracing import trace_queries
from speculative.engine.generate import generate
from speculative.pools.pool import Pool
from speculative.protocols.token_batch import TokenBatch
from tests.support.tiny_pool import queries, save_pool


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    return Pool.load(save_pool(tmp_path_factory.mktemp("pool")))


@pytest.fixture(scope="module")
def traces(pool):
    return trace_queries(queries(5), pool.arms, pool.encoder)


def test_margins_and_entropies_are_those_of_a_pass_over_the_finished_text(pool, traces):
    target = pool.target
    for trace in traces:
        text = torch.tensor([*trace.prompt_ids, *trace.new_ids])
        output = target.model.forward(TokenBatch(text, [len(text)]), target.model.new_cache(1))
        logits = output.logits[len(trace.prompt_ids) - 1 : -1, : target.n_tokens]
        best = logits.topk(2).values
        np.testing.assert_allclose(trace.margins[:-1], (best[:, 0] - best[:, 1])[:-1], atol=1e-4)
        entropies = torch.distributions.Categorical(logits=logits).entropy()
        np.testing.assert_allclose(trace.entropies[:-1], entropies[:-1], atol=1e-4)
        assert np.isnan(trace.margins[-1])  # no round comes after the last token, so nobody asks
        assert np.isnan(trace.entropies[-1])


def test_traces_come_back_as_they_were_written(traces, tmp_path):
    write_traces(tmp_path, 0, traces)
    close_traces(tmp_path)
    [read] = read_trace_parts(tmp_path)
    for found, written in zip(read, traces, strict=True):
        np.testing.assert_array_equal(found.margins, written.margins)
        np.testing.assert_array_equal(found.entropies, written.entropies)
        assert found.new_ids == written.new_ids
        for name, draft in written.drafts.items():
            again = found.drafts[name]
            assert (again.max_positions, again.seconds) == (draft.max_positions, draft.seconds)
            for array in ("proposed", "accepted", "match_lengths", "confidences"):
                np.testing.assert_array_equal(getattr(again, array), getattr(draft, array))
    assert read[0].drafts["prompt_lookup"].match_lengths is not None
    assert read[0].drafts["draft_small"].match_lengths is None
    assert read[0].drafts["draft_small"].confidences.max() > 0


def test_traces_of_another_version_are_refused_by_name(traces, tmp_path, monkeypatch):
    monkeypatch.setattr("speculative.collection.trace_store.VERSION", 1)
    write_traces(tmp_path, 0, traces)
    close_traces(tmp_path)
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"part-00000\.parquet holds traces of version 1, which .* cannot replay"):
        list(read_trace_parts(tmp_path))


def test_texts_are_collected_without_a_hook_on_the_logits(pool, monkeypatch):
    seen = []

    def watched(engine, requests):
        seen.extend(requests)
        return generate(engine, requests)

    monkeypatch.setattr("speculative.collection.tracing.generate", watched)
    trace_queries(queries(2), pool.arms, pool.encoder)
    assert [request.sampling.logits_processors for request in seen] == [(), ()]
