"""Faults of a draft outside its proposals: in closing, in its name and limit, and errors that end a program."""

import pytest

from speculative.drafts.no_draft import NoDraft
from speculative.drafts.prompt_lookup import PromptLookup
from speculative.engine.engine import Engine
from speculative.engine.generate import generate
from speculative.engine.settings import EngineSettings
from speculative.protocols.draft import DraftSession, Proposal
from speculative.protocols.request import Request
from tests.support.hard_cases import PROMPTS, RandomSelector
from tests.support.tiny_models import Arm, ScriptedDraft


class Unspeakable(RuntimeError):
    def __str__(self):
        raise ValueError("no words")


class Panic(BaseException):
    """What a native extension raises, such as PyO3's PanicException."""


class UnspeakablePanic(RuntimeError):
    def __str__(self):
        raise Panic


NO_EXCEPTIONS = {
    "panic": Panic("native"),
    "generator": GeneratorExit(),
    "group": BaseExceptionGroup("both", [Panic("native"), ValueError("other")]),
    "unspeakable": UnspeakablePanic(),
}


@pytest.mark.parametrize("where", ["open", "propose", "match_length", "close"])
@pytest.mark.parametrize("error", NO_EXCEPTIONS)
def test_what_derives_from_no_exception_is_a_fault_and_ends_no_step(target, error, where):
    def fail(place):
        if place == where:
            raise NO_EXCEPTIONS[error]

    class Session(DraftSession):
        def propose(self, prefix, draft_length, sampler=None):
            fail("propose")
            return Proposal([1])

        def match_length(self, prefix):
            fail("match_length")
            return 1

        def close(self, text):
            fail("close")

    class Asking(RandomSelector):
        def select(self, rounds):
            for one in rounds:
                one.match_length(0)
            return super().select(rounds)

    draft = ScriptedDraft("bad", None)
    draft.open = lambda prompt, shared=None: fail("open") or Session()
    requests = [Request("a", PROMPTS[0], 4), Request("b", PROMPTS[1], 6)]
    plain = generate(Engine(target.decoder, [Arm(NoDraft(), 0)]), requests)
    engine = Engine(target.decoder, [Arm(draft, 2)], Asking(1, 0), settings=EngineSettings(max_batch=2))
    for found, expected in zip(generate(engine, requests), plain, strict=True):
        assert found.token_ids == expected.token_ids
        [fault] = found.stats.faults
        assert fault.reason.startswith(type(NO_EXCEPTIONS[error]).__name__)


def test_closing_cannot_change_the_answer(target):
    class Session(DraftSession):
        def propose(self, prefix, draft_length, sampler=None):
            return Proposal([1])

        def close(self, text):
            seen.append(list(text))
            text.clear()

    seen = []
    draft = ScriptedDraft("bad", None)
    draft.open = lambda prompt, shared=None: Session()
    [generation] = generate(Engine(target.decoder, [Arm(draft, 2)]), [Request("q", PROMPTS[0], 6)])
    [plain] = generate(Engine(target.decoder, [Arm(NoDraft(), 0)]), [Request("q", PROMPTS[0], 6)])
    assert generation.token_ids == plain.token_ids
    assert seen == [[*PROMPTS[0], *plain.token_ids]]


def test_a_fault_in_closing_names_the_draft(target):
    class Session(DraftSession):
        def propose(self, prefix, draft_length, sampler=None):
            return Proposal([1])

        def close(self, text):
            raise RuntimeError("out of ideas")

    draft = ScriptedDraft("bad", None)
    draft.open = lambda prompt, shared=None: Session()
    [generation] = generate(Engine(target.decoder, [Arm(draft, 2)]), [Request("q", PROMPTS[0], 6)])
    assert [(fault.draft, fault.reason) for fault in generation.stats.faults] == [("bad", "RuntimeError: out of ideas")]


class Raising:
    """A property that raises, whoever asks."""

    def __get__(self, instance, owner):
        raise RuntimeError("out of ideas")


@pytest.mark.parametrize("name", ["name", "max_positions"])
@pytest.mark.parametrize("value", [Raising(), 0.5, b"", True, [], 0])
def test_a_draft_whose_name_or_limit_cannot_be_read_is_disabled_from_the_start(target, name, value):
    draft = type("Odd", (ScriptedDraft,), {})("odd", lambda prefix, n: [1] * n)
    if isinstance(value, Raising):
        delattr(draft, name) if name in vars(draft) else None
    else:
        setattr(draft, name, value)
    setattr(type(draft), name, value)
    [found] = generate(Engine(target.decoder, [_NamedArm(draft)]), [Request("q", PROMPTS[0], 6)])
    [plain] = generate(Engine(target.decoder, [Arm(NoDraft(), 0)]), [Request("q", PROMPTS[0], 6)])
    assert found.token_ids == plain.token_ids
    assert sum(found.stats.proposed) == 0
    assert [fault.round for fault in found.stats.faults] == [0]


class _NamedArm:
    name, draft_length = "odd_2", 2

    def __init__(self, draft):
        self.draft = draft


def test_a_draft_that_compares_badly_drafts_all_the_same(target):
    class Odd(ScriptedDraft):
        __hash__ = None

        def __eq__(self, other):
            raise RuntimeError("incomparable")

    arms = [Arm(Odd("odd", lambda prefix, n: [1]), 2), Arm(PromptLookup(3), 2)]
    [found] = generate(Engine(target.decoder, arms, RandomSelector(2, 1)), [Request("q", PROMPTS[0], 12)])
    [plain] = generate(Engine(target.decoder, [Arm(NoDraft(), 0)]), [Request("q", PROMPTS[0], 12)])
    assert (found.token_ids, found.stats.faults) == (plain.token_ids, [])


@pytest.mark.parametrize("error", [Unspeakable, SystemExit])
def test_an_error_in_closing_leaves_the_answer(target, error):
    class Session(DraftSession):
        def propose(self, prefix, draft_length, sampler=None):
            return Proposal([1])

        def close(self, text):
            raise error

    draft = ScriptedDraft("bad", None)
    draft.open = lambda prompt, shared=None: Session()
    engine = Engine(target.decoder, [Arm(draft, 2)], settings=EngineSettings(max_batch=2))
    requests = [Request("a", PROMPTS[0], 4), Request("b", PROMPTS[1], 8)]
    plain = generate(Engine(target.decoder, [Arm(NoDraft(), 0)]), requests)
    for found, expected in zip(generate(engine, requests), plain, strict=True):
        assert found.token_ids == expected.token_ids
        assert [fault.draft for fault in found.stats.faults] == ["bad"]


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("where", ["propose", "close"])
def test_what_ends_a_program_passes_through_and_the_engine_goes_on(target, error, where):
    class Session(DraftSession):
        def propose(self, prefix, draft_length, sampler=None):
            if where == "propose" and len(prefix) > len(PROMPTS[0]) + 1 and not raised:
                raised.append(error)
                raise error
            return Proposal([1])

        def close(self, text):
            if where == "close" and not raised:
                raised.append(error)
                raise error

    raised = []
    draft = ScriptedDraft("bad", None)
    draft.open = lambda prompt, shared=None: Session()
    requests = [Request("a", PROMPTS[0], 8), Request("b", PROMPTS[1], 8)]
    plain = generate(Engine(target.decoder, [Arm(NoDraft(), 0)]), requests)
    engine = Engine(target.decoder, [Arm(draft, 2)], settings=EngineSettings(max_batch=2))
    for request in requests:
        engine.submit(request)
    told = {"a": [], "b": []}
    n_caught = 0
    while engine.n_unfinished:
        try:
            results = engine.step()
        except error:
            n_caught += 1
            continue
        for result in results:
            told[result.request_id] += result.token_ids
    for result in engine.step():
        told[result.request_id] += result.token_ids
    assert n_caught == (0 if (error, where) == (SystemExit, "close") else 1)
    for request, expected in zip(requests, plain, strict=True):
        assert engine.take(request.id).token_ids == expected.token_ids == tuple(told[request.id])
