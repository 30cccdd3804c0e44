"""Arms may be added between two steps; what an engine was not made with is refused."""

import pytest

from speculative.drafts.no_draft import NoDraft
from speculative.drafts.prompt_lookup import PromptLookup
from speculative.engine.engine import Engine
from speculative.engine.settings import EngineSettings
from speculative.protocols.request import Request
from speculative.selectors.fixed import FixedSelector
from tests.support.hard_cases import PROMPTS
from tests.support.tiny_models import Arm, expected_text

LOOK_UP = [Arm(PromptLookup(), 3)]


class _Inner(NoDraft):
    """Asks for states of the target that the engine does not keep."""

    state_layers = (0,)


def test_a_running_request_goes_on_with_an_arm_that_was_added(target):
    engine = Engine(target.decoder, [Arm(NoDraft(), 0)], FixedSelector(0))
    engine.submit(Request("a", PROMPTS[0], 12))
    engine.step()  # reads the prompt
    engine.step()
    engine.add_arms(LOOK_UP)
    engine.selector = FixedSelector(1)
    while engine.n_unfinished:
        engine.step()
    generation = engine.take("a")
    assert generation.token_ids == expected_text(target.reference, PROMPTS[0], 12, ())
    assert (generation.stats.actions[0], set(generation.stats.actions[1:])) == (0, {1})


def test_what_the_engine_was_not_made_with_is_refused(target):
    engine = Engine(target.decoder, [Arm(NoDraft(), 0)])
    with pytest.raises(ValueError, match="states of the target"):
        engine.add_arms([Arm(_Inner(), 0)])
    with pytest.raises(ValueError, match="needs at least one arm"):
        engine.add_arms([])
    strict = Engine(target.decoder, [Arm(NoDraft(), 0)], settings=EngineSettings(batch_invariant=True))
    with pytest.raises(ValueError, match="make a new one"):
        strict.add_arms(LOOK_UP)
    assert len(engine.arms) == len(strict.arms) == 1


def test_arms_are_not_added_inside_a_step(target):
    class Meddling(FixedSelector):
        def select(self, rounds):
            engine.add_arms(LOOK_UP)
            return super().select(rounds)

    engine = Engine(target.decoder, [Arm(NoDraft(), 0)], Meddling(0))
    engine.submit(Request("a", PROMPTS[0], 4))
    engine.step()  # reads the prompt
    with pytest.raises(RuntimeError, match="add_arms must be called between steps"):
        engine.step()
