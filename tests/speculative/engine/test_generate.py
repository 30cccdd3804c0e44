import pytest

from speculative.drafts.prompt_lookup import PromptLookup
from speculative.engine.engine import Engine
from speculative.engine.generate import generate, stream
from speculative.engine.settings import EngineSettings
from speculative.protocols.request import Request
from speculative.selectors.fixed import FixedSelector
from tests.support.tiny_models import Arm, ScriptedDraft, expected_text, greedy_text

PROMPT = (3, 5, 8, 3, 5)


@pytest.fixture
def engine(target):
    return Engine(target.decoder, [Arm(PromptLookup(), 3)], settings=EngineSettings(max_batch=2))


def test_texts_come_back_in_the_order_asked(target, engine):
    requests = [Request(f"q{i}", (i, 2 * i), 1 + 3 * (7 - i)) for i in range(7)]
    finished = []
    generations = generate(engine, requests, lambda generation: finished.append(generation.request_id))
    assert [g.request_id for g in generations] == [r.id for r in requests]
    assert sorted(finished) == [r.id for r in requests]
    assert finished != sorted(finished)
    for generation, request in zip(generations, requests, strict=True):
        expected = expected_text(target.reference, request.token_ids, request.max_new_tokens, ())
        assert generation.token_ids == expected


def test_no_requests_give_no_texts(engine):
    assert generate(engine, []) == []


def test_one_bad_request_leaves_nothing_in_the_engine(engine):
    requests = [Request("good", PROMPT, 5), Request("long", PROMPT, 500)]
    with pytest.raises(ValueError, match="request 'long': 5 prompt tokens and 500 new ones exceed"):
        generate(engine, requests)
    assert engine.n_unfinished == 0
    assert generate(engine, requests[:1])[0].finished == "length"


def test_a_selector_that_raises_leaves_nothing_in_the_engine(target):
    class Lost(FixedSelector):
        def select(self, rounds):
            if any(round_.n_new > 3 for round_ in rounds):
                raise RuntimeError("out of ideas")
            return super().select(rounds)

    draft = ScriptedDraft("silent", lambda prefix, draft_length: [])
    engine = Engine(target.decoder, [Arm(draft, 3)], Lost(0), settings=EngineSettings(max_batch=2))
    requests = [Request("short", PROMPT, 2), Request("long", PROMPT, 20), Request("later", PROMPT, 20)]
    with pytest.raises(RuntimeError, match="out of ideas"):
        generate(engine, requests)
    assert (engine.n_unfinished, draft.n_open) == (0, 0)
    assert generate(engine, requests[:1])[0].token_ids == greedy_text(target.reference, PROMPT, 24)[:2]


def test_requests_of_others_keep_running_and_stay_theirs(target, engine):
    engine.submit(Request("other", (4, 4), 20))
    generate(engine, [Request("mine", PROMPT, 3)])
    while engine.n_unfinished:
        engine.step()
    assert engine.take("other").token_ids == expected_text(target.reference, (4, 4), 20, ())


def test_a_stream_joins_up_to_the_text(target, engine):
    pieces = list(stream(engine, Request("q", PROMPT, 20)))
    assert len(pieces) > 1
    assert sum((piece.token_ids for piece in pieces), ()) == greedy_text(target.reference, PROMPT, 24)[:20]
    assert engine.take("q").stats.n_new == 20


@pytest.mark.parametrize("n_pieces", [1, 2, 100])
def test_an_abandoned_stream_frees_all_it_held(engine, n_pieces):
    request = Request("q", PROMPT, 20)
    for _ in range(2):  # the id is free again too
        pieces = stream(engine, request)
        for _piece in zip(range(n_pieces), pieces, strict=False):
            pass
        pieces.close()
        assert engine.n_unfinished == 0
        if n_pieces == 100:  # it had ended, so its counts can be had
            engine.take("q")
    assert engine.finished == {}


def test_a_stream_left_at_its_last_piece_raises_nothing(engine):
    pieces = stream(engine, Request("q", PROMPT, 1))
    assert len(next(pieces).token_ids) == 1
    pieces.close()
    assert engine.take("q").finished == "length"
