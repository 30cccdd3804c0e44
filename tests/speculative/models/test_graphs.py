"""Graphs: recorded once, largest first, shared by engines, and given up with a reason where they cannot be had."""

import weakref

import pytest
import torch

from speculative.drafts.no_draft import NoDraft
from speculative.drafts.prompt_lookup import PromptLookup
from speculative.engine.engine import Engine
from speculative.engine.generate import generate
from speculative.engine.settings import EngineSettings
from speculative.models import graphs as graphs_module
from speculative.models.decoder import Decoder
from speculative.models.graphs import Graphs
from speculative.protocols.kv_store import KVStore
from speculative.protocols.token_batch import TokenBatch
from speculative.sampling.sampling_params import SamplingParams
from tests.support.card_rounds import make_models, play, requests, sizes, weights
from tests.support.recorders import RepeatingRecorder
from tests.support.tiny_models import Arm

COUPLED = SamplingParams(temperature=0.8, seed=3)
ARMS = [Arm(PromptLookup(3, min_ngram=1), 4), Arm(NoDraft(), 0)]


@pytest.fixture
def target():
    config = sizes()
    return Decoder(config, weights(config))


def with_graphs(model, recorder=None):
    """Let a model on the CPU run its passes as a card's: recorded, or as they are."""
    model.graphs = Graphs(model.device, model.max_positions, None if recorder is None else lambda: recorder)
    return model


def texts(target, max_batch=3, n=4):
    engine = Engine(target, ARMS, settings=EngineSettings(max_batch=max_batch))
    return [generation.token_ids for generation in generate(engine, requests(n, COUPLED, 8))]


@pytest.mark.parametrize("kind", ["mistral", "llama_bias", "qwen3"])
def test_static_programs_give_the_text_of_passes_that_the_host_plans(tiny, kind):
    decoder = tiny(kind).decoder.tapping([])  # a copy, whose graphs are its own
    plain = texts(decoder)
    assert texts(with_graphs(decoder)) == plain
    assert texts(with_graphs(decoder, RepeatingRecorder())) == plain


@pytest.mark.parametrize("arm", ["draft model", "early exit", "head", "eagle3 head"])
def test_drafts_that_read_the_targets_states_and_layers_do_so_through_graphs(arm):
    plain, _ = play(make_models("cpu"), arm, requests(3, COUPLED, 8), 3)
    models = make_models("cpu")
    recorder = RepeatingRecorder()
    decoder = models.arms[arm].draft.model if arm == "draft model" else models.target
    with_graphs(decoder, recorder)
    found, _ = play(models, arm, requests(3, COUPLED, 8), 3)
    assert [each.stats.faults for each in found] == [[]] * 3
    assert [each.token_ids for each in found] == [each.token_ids for each in plain]
    assert recorder.n_replays


def test_the_largest_shape_is_recorded_first_and_every_shape_once_whatever_engines_follow(target):
    recorder = RepeatingRecorder()
    plain = texts(target)
    with_graphs(target, recorder)
    assert texts(target) == plain
    shapes = [len(result.logits) for result in recorder.recorded]
    assert shapes == [3 * 5, 2 * 5, 1 * 5, 3 * 1, 2 * 1, 1 * 1]
    n_replays = recorder.n_replays
    assert texts(target) == plain  # another engine, whose cache is the memory of the last one's
    assert [len(result.logits) for result in recorder.recorded] == shapes
    assert recorder.n_replays > n_replays


def test_two_engines_at_once_have_caches_and_graphs_of_their_own(target):
    alone = texts(target, 2)
    recorder = RepeatingRecorder()
    with_graphs(target, recorder)
    engines = [Engine(target, ARMS, settings=EngineSettings(max_batch=2)) for _ in range(2)]
    for engine in engines:
        for request in requests(4, COUPLED, 8):
            engine.submit(request)
    while any(engine.n_unfinished for engine in engines):
        for engine in engines:
            engine.step()
    assert [[engine.take(str(i)).token_ids for i in range(4)] for engine in engines] == [alone, alone]
    assert engines[0].cache.store is not engines[1].cache.store


def test_a_recording_that_fails_is_told_once_and_costs_no_text(target):
    plain = texts(target)
    with_graphs(target, RepeatingRecorder(fails_at=2))
    with pytest.warns(UserWarning, match="without new CUDA graphs: RuntimeError: operation not permitted") as told:
        assert texts(target) == plain
    assert len(told) == 1
    assert texts(target) == plain  # nothing is said again: warnings are errors here


def test_too_little_memory_for_a_graph_is_told_by_value_before_it_is_recorded(target, monkeypatch):
    plain = texts(target)
    recorder = RepeatingRecorder(n_bytes=3_000_000_000)
    with_graphs(target, recorder)
    monkeypatch.setattr(graphs_module, "free_bytes", lambda device: 1_250_000_000)
    with pytest.warns(UserWarning, match=r"one more would take 3\.00 GB, but 1\.25 GB are free"):
        assert texts(target) == plain
    assert recorder.recorded == []


def test_at_the_end_of_the_context_passes_are_planned_by_the_host(target):
    text, n = torch.arange(128) % 24, 120
    expected = target.forward(TokenBatch(text, [128]), target.new_cache(1)).logits[n:]
    with_graphs(target, recorder := RepeatingRecorder()).graphs.widths = {4}
    cache = target.new_cache(1)
    target.forward(TokenBatch(text[:n], [n]), cache)
    found = [target.forward(TokenBatch(token, [1]), cache).logits.clone() for token in torch.split(text[n:], 1)]
    torch.testing.assert_close(torch.cat(found), expected, atol=1e-5, rtol=1e-5)
    assert recorder.n_replays == 5  # from 120 to 124: four tokens more would pass 128


def test_a_program_may_write_to_what_it_is_given():
    graphs = Graphs(torch.device("cpu"), 64, lambda: recorder)
    recorder, store = RepeatingRecorder(), KVStore.empty((1, 1, 1, 1, 1), torch.float32, torch.device("cpu"))

    def counted(x):
        x += 1
        return x * 2

    assert [graphs.run(store, "key", counted, (torch.tensor([n]),)).item() for n in (1, 5, 7)] == [4, 12, 16]
    assert len(recorder.recorded) == 1


def test_graphs_go_with_the_memory_that_they_are_for_and_with_no_other():
    device, recorder = torch.device("cpu"), RepeatingRecorder()
    graphs = Graphs(device, 64, lambda: recorder)
    stores = [KVStore.empty((1, 1, 1, 1, 1), torch.float32, device) for _ in range(2)]
    results = [weakref.ref(graphs.run(store, "key", torch.neg, (torch.ones(1),))) for store in stores]
    recorder.recorded.clear()
    del stores[0]
    assert results[0]() is None
    assert graphs.run(stores[0], "key", torch.neg, (torch.ones(1),)) is results[1]()


def test_each_thread_records_its_own(target):
    from concurrent.futures import ThreadPoolExecutor

    plain, recorders = texts(target), []
    make = lambda: recorders.append(RepeatingRecorder()) or recorders[-1]  # noqa: E731
    target.graphs = Graphs(target.device, target.max_positions, make)
    assert texts(target) == plain
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(texts, target).result() == plain
    assert len(recorders) == 2
