"""What raises, or calls back, in the middle of a step leaves an engine that goes on with the right text."""

import pytest
import torch

from speculative.drafts.no_draft import NoDraft
from speculative.engine.engine import Engine
from speculative.engine.generate import generate, stream
from speculative.engine.settings import EngineSettings
from speculative.protocols.request import Request
from speculative.sampling.sampling_params import SamplingParams
from speculative.selectors.fixed import FixedSelector
from tests.support.hard_cases import PROMPTS, audit
from tests.support.tiny_models import Arm, expected_text


class Failing(FixedSelector):
    """Raises the first time that one of its methods is called for a round or a request that `when` picks."""

    def __init__(self, method, when=lambda told: True):
        super().__init__(0)
        self.n_raised = 0
        plain = getattr(self, method)

        def failing(told):
            if self.n_raised == 0 and when(told):
                self.n_raised = 1
                raise RuntimeError("lost the thread")
            return plain(told)

        setattr(self, method, failing)


def run_through(engine, ids):
    """Step on over errors until nothing is left; give what was raised."""
    raised = []
    for _ in range(100):
        if not engine.n_unfinished:
            return [engine.take(i) for i in ids], raised
        try:
            engine.step()
        except RuntimeError as error:
            raised.append(str(error))
    raise AssertionError("the engine never ends")


@pytest.mark.parametrize("method", ["start", "select", "observe", "finish"])
@pytest.mark.parametrize("max_batch", [1, 3])
def test_a_selector_that_raises_once_changes_no_text(target, drafts, method, max_batch):
    expected = [expected_text(target.reference, prompt, 9 + i, ()) for i, prompt in enumerate(PROMPTS[:5])]
    for turn in range(6):
        calls = iter(range(1000))
        selector = Failing(method, lambda told, calls=calls, turn=turn: next(calls) == turn)
        engine = Engine(
            target.decoder, [Arm(drafts["any_length"], 3)], selector, settings=EngineSettings(max_batch=max_batch)
        )
        for i, prompt in enumerate(PROMPTS[:5]):
            engine.submit(Request(str(i), prompt, 9 + i))
        found, raised = run_through(engine, [str(i) for i in range(5)])
        assert [generation.token_ids for generation in found] == expected
        assert raised == ["lost the thread"] * selector.n_raised
        assert drafts["any_length"].n_open == 0


@pytest.mark.parametrize("prompt", PROMPTS[:4])
def test_a_text_that_ended_is_not_continued_when_observe_raises(target, prompt):
    text = expected_text(target.reference, prompt, 12, ())
    last = next(i for i in range(1, 12) if text[i] not in text[:i])  # not the prefill's own token
    request = Request("q", prompt, 12, (text[last],))
    selector = Failing("observe", lambda told: engine.running[0].tokens[-1] == text[last])
    engine = Engine(target.decoder, [Arm(NoDraft(), 0)], selector)
    engine.submit(request)
    [generation], raised = run_through(engine, ["q"])
    assert raised == ["lost the thread"]
    assert (generation.token_ids, generation.finished) == (text[: last + 1], "eos")


def test_what_a_selectors_finish_raises_is_what_generate_raises(target):
    engine = Engine(target.decoder, [Arm(NoDraft(), 0)], Failing("finish"), settings=EngineSettings(max_batch=2))
    with pytest.raises(RuntimeError, match="lost the thread"):
        generate(engine, [Request("a", PROMPTS[0], 1), Request("b", PROMPTS[1], 5)])
    assert (engine.n_unfinished, engine.finished) == (0, {})


@pytest.mark.parametrize("turn", range(5))
def test_a_target_that_raises_once_changes_no_text(target, drafts, turn, monkeypatch):
    """As a cache does that finds no memory to grow: in a prefill the request waits on, in a round it is run again."""
    calls, plain = iter(range(1000)), target.decoder.forward

    def forward(*arguments, **options):
        if next(calls) == turn:
            raise RuntimeError("no memory")
        return plain(*arguments, **options)

    engine = Engine(
        target.decoder, [Arm(drafts["any_length"], 3)], settings=EngineSettings(max_batch=2, prefill_chunk=2)
    )
    monkeypatch.setattr(engine, "target", _With(target.decoder, forward))
    for i in range(4):
        engine.submit(Request(str(i), PROMPTS[i], 10))
    found, raised = run_through(engine, [str(i) for i in range(4)])
    assert raised == ["no memory"]
    for i, generation in enumerate(found):
        assert generation.token_ids == expected_text(target.reference, PROMPTS[i], 10, ())


class _With:
    def __init__(self, model, forward):
        self._model, self.forward = model, forward

    def __getattr__(self, name):
        return getattr(self._model, name)


@pytest.mark.parametrize("call", ["cancel", "step", "discard"])
def test_what_would_move_rows_inside_a_step_is_refused(target, call):
    class Meddling(FixedSelector):
        def select(self, rounds):
            if call == "step":
                engine.step()
            else:
                getattr(engine, call)("a")
            return super().select(rounds)

    engine = Engine(target.decoder, [Arm(NoDraft(), 0)], Meddling(0), settings=EngineSettings(max_batch=2))
    for name in ("a", "b"):
        engine.submit(Request(name, PROMPTS[0], 4))
    engine.step()  # reads the prompts
    with pytest.raises(RuntimeError, match=r"(cancel|step) must be called between steps"):
        engine.step()
    audit(engine, target.decoder)
    engine.cancel("a")
    engine.selector = FixedSelector(0)
    assert run_through(engine, ["b"])[0][0].token_ids == expected_text(target.reference, PROMPTS[0], 4, ())


def test_requests_may_be_submitted_inside_a_step(target):
    class Adding(FixedSelector):
        def start(self, query):
            if query.request.id == "a":
                engine.submit(Request("b", PROMPTS[1], 4))

    engine = Engine(target.decoder, [Arm(NoDraft(), 0)], Adding(0), settings=EngineSettings(max_batch=2))
    engine.submit(Request("a", PROMPTS[0], 1))
    assert [r.request_id for r in engine.step()] == ["a"]
    assert [r.request_id for r in engine.step()] == ["b"]
    while engine.n_unfinished:
        engine.step()
    assert engine.take("b").token_ids == expected_text(target.reference, PROMPTS[1], 4, ())


@pytest.mark.parametrize("n_choices", [0, 1, 3])
def test_a_selector_must_choose_once_a_request(target, n_choices):
    class Miscounting(FixedSelector):
        def select(self, rounds):
            return [0] * n_choices

    engine = Engine(target.decoder, [Arm(NoDraft(), 0)], Miscounting(0), settings=EngineSettings(max_batch=2))
    for name in ("a", "b"):
        engine.submit(Request(name, PROMPTS[0], 4))
    engine.step()  # reads the prompts
    with pytest.raises(ValueError, match=f"must make 2 choices, one a request, got {n_choices}"):
        engine.step()


def test_a_stream_whose_rounds_another_loop_took_says_so(target):
    engine = Engine(target.decoder, [Arm(NoDraft(), 0)], settings=EngineSettings(max_batch=2))
    first, second = stream(engine, Request("a", PROMPTS[0], 6)), stream(engine, Request("b", PROMPTS[1], 6))
    next(first)
    next(second)  # in a step that gave the first one tokens too
    with pytest.raises(RuntimeError, match="request 'a': another loop stepped this engine"):
        next(first)
    assert engine.n_unfinished == 1
    tokens = [token for piece in second for token in piece.token_ids]
    assert tuple(tokens) == expected_text(target.reference, PROMPTS[1], 6, ())[1:]


def test_a_cancelled_text_holds_all_its_tokens_text(target):
    """What was held back as a possible stop string is text once nothing follows."""
    decode = "".join(chr(97 + token) for token in range(24)).__getitem__
    texts = expected_text(target.reference, PROMPTS[0], 3, ())

    def decoded(tokens):
        return "".join(decode(token) for token in tokens)

    stop = decoded(texts[:2]) + "?"
    engine = Engine(target.decoder, [Arm(NoDraft(), 0)], settings=EngineSettings(decode=decoded))
    engine.submit(Request("running", PROMPTS[0], 8, sampling=SamplingParams(stop=(stop,))))
    engine.submit(Request("waiting", PROMPTS[0], 8))
    for _ in range(2):
        engine.step()
    for name in ("running", "waiting"):
        engine.cancel(name)
    assert engine.take("running").text == decoded(texts[:2])
    assert engine.take("waiting").text == ""


@pytest.mark.parametrize("stop", [(), ("?",)])
@pytest.mark.parametrize("turn", range(1, 9))
def test_a_decoder_that_raises_once_changes_no_text(target, drafts, turn, stop):
    calls = iter(range(1000))

    def decode(tokens):
        if next(calls) == turn:
            raise RuntimeError("no such token")
        return "".join(chr(97 + token) for token in tokens)

    engine = Engine(target.decoder, [Arm(drafts["right"], 2)], settings=EngineSettings(max_batch=2, decode=decode))
    requests = [Request(str(i), PROMPTS[i], 12, sampling=SamplingParams(stop=stop)) for i in range(2)]
    for request in requests:
        engine.submit(request)
    found, raised = run_through(engine, ["0", "1"])
    assert raised == ["no such token"]
    for request, generation in zip(requests, found, strict=True):
        expected = expected_text(target.reference, request.token_ids, 12, ())
        assert generation.token_ids == expected
        assert generation.text == "".join(chr(97 + token) for token in expected)


def test_a_request_whose_text_cannot_be_decoded_costs_another_nothing(target, drafts):
    def decode(tokens):
        if tokens[0] in undecodable:
            raise RuntimeError("no such token")
        return "".join(chr(97 + token) for token in tokens)

    requests = [Request(str(i), prompt, 12) for i, prompt in enumerate(PROMPTS[:3])]
    expected = [expected_text(target.reference, request.token_ids, 12, ()) for request in requests]
    undecodable = {expected[0][0]} - {expected[1][0], expected[2][0]}
    assert undecodable
    engine = Engine(target.decoder, [Arm(drafts["right"], 2)], settings=EngineSettings(max_batch=3, decode=decode))
    for request in requests:
        engine.submit(request)
    told = {request.id: [] for request in requests}
    for _ in range(30):
        try:
            for result in engine.step():
                told[result.request_id].append(result)
        except RuntimeError:
            continue
    for request, tokens in zip(requests, expected, strict=True):
        assert sum((result.token_ids for result in told[request.id]), ()) == tokens
        assert [result.finished for result in told[request.id]][-1] == "length"
        assert engine.take(request.id).token_ids == tokens
    for request, tokens in list(zip(requests, expected, strict=True))[1:]:
        assert "".join(result.text for result in told[request.id]) == decode(tokens)


@pytest.mark.parametrize("method", ["select", "observe", "finish"])
def test_what_a_step_that_raised_could_not_tell_the_next_one_tells(target, drafts, method):
    requests = [Request(str(i), prompt, 4 + i) for i, prompt in enumerate(PROMPTS[:4])]
    for turn in range(4):
        calls = iter(range(1000))
        selector = Failing(method, lambda told, calls=calls, turn=turn: next(calls) == turn)
        engine = Engine(target.decoder, [Arm(drafts["right"], 2)], selector, settings=EngineSettings(max_batch=2))
        told = {request.id: () for request in requests}
        for request in requests:
            engine.submit(request)
        for _ in range(30):
            try:
                for result in engine.step():
                    told[result.request_id] += result.token_ids
            except RuntimeError:
                continue
        assert selector.n_raised == 1
        for request in requests:
            tokens = expected_text(target.reference, request.token_ids, request.max_new_tokens, ())
            assert told[request.id] == engine.take(request.id).token_ids == tokens


def test_free_rows_stay_empty_when_a_prefill_raises(target):
    engine = Engine(target.decoder, [Arm(NoDraft(), 0)], Failing("start"), settings=EngineSettings(max_batch=2))
    engine.submit(Request("a", PROMPTS[0], 1))
    with pytest.raises(RuntimeError, match="lost the thread"):
        engine.step()
    assert engine.cache.lengths == [0, 0]
    assert engine.take("a").finished == "length"
    assert torch.isfinite(engine.cache.keys).all()
