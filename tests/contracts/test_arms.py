import random
import re
import time
from dataclasses import replace

import numpy as np
import pytest

from arms import Arm, CallableArm, Message, Observation, Query, RecordedArm, Reference
from arms.testing.arms import check_arm

QUERIES = (
    Query(id="a", prompt="Name a colour", max_new_tokens=4),
    Query(id="b", messages=(Message(role="user", content="Name a fruit"),), domain="chat"),
)


class GoodArm(Arm):
    """Draws its answer from the seed; each broken arm below breaks one rule."""

    name = "good"

    def pull(self, query: Query, seed: int) -> Observation:
        text = random.Random(f"{seed} {query.id}").choice(["red", "blue", "plum", "pear"])
        return Observation(
            arm=self.name,
            query_id=query.id,
            text=text,
            n_tokens=2,
            seconds=time.perf_counter() % 1,
            proposed=(3,),
            accepted=(1,),
            own_text=text,
            reference=Reference(text="red", seconds=time.perf_counter() % 1, n_tokens=1),
        )


class WrongType(GoodArm):
    def pull(self, query, seed):
        return "red"


class Raising(GoodArm):
    def pull(self, query, seed):
        raise TimeoutError("endpoint is down")


class WrongArm(GoodArm):
    def pull(self, query, seed):
        return replace(super().pull(query, seed), arm="other")


class WrongQuery(GoodArm):
    def pull(self, query, seed):
        return replace(super().pull(query, seed), query_id="other")


class TooLong(GoodArm):
    def pull(self, query, seed):
        return replace(super().pull(query, seed), n_tokens=5)


class Remembering(GoodArm):
    n_pulls = 0

    def pull(self, query, seed):
        self.n_pulls += 1
        return replace(super().pull(query, seed), text=f"pull {self.n_pulls}")


class UnsteadyDraft(GoodArm):
    n_pulls = 0

    def pull(self, query, seed):
        self.n_pulls += 1
        return replace(super().pull(query, seed), accepted=(self.n_pulls % 4,))


class RenamingItself(GoodArm):
    def __init__(self):
        self.suffix = ""

    @property
    def name(self):
        return f"good{self.suffix}"

    def pull(self, query, seed):
        observation = super().pull(query, seed)
        self.suffix += "!"
        return observation


class Failing(GoodArm):
    def pull(self, query, seed):
        return Observation.failed(self.name, query.id, "endpoint is down", 0.1)


class Nameless(GoodArm):
    name = " "


class ChangingTheQuery(GoodArm):
    def pull(self, query, seed):
        observation = super().pull(query, seed)
        query.__dict__["prompt"] += " please"
        return observation


class SeedingRandom(GoodArm):
    def pull(self, query, seed):
        random.seed(seed)
        return super().pull(query, seed)


class SeedingNumpy(GoodArm):
    def pull(self, query, seed):
        np.random.seed(seed)  # noqa: NPY002
        return super().pull(query, seed)


class UnstorableObservation(Observation):
    def to_dict(self):
        return super().to_dict() | {"text": "lost"}


class Unstorable(GoodArm):
    def pull(self, query, seed):
        observation = super().pull(query, seed)
        return UnstorableObservation(observation.arm, query.id, observation.text, 2, 1.0)


BROKEN = {
    WrongType: "arm 'good' on query 'a': pull must return an Observation, got 'red'",
    Raising: "on query 'a': pull must answer the query, but raised TimeoutError('endpoint is down')",
    Failing: "on query 'a': pull must answer the query, but observed a failure: endpoint is down",
    WrongArm: "arm 'good' on query 'a': observation.arm must be 'good', got 'other'",
    WrongQuery: "arm 'good' on query 'a': observation.query_id must be 'a', got 'other'",
    TooLong: "arm 'good' on query 'a': n_tokens must be <= max_new_tokens = 4, got 5",
    Remembering: "query 'b': the same query and seed must give the same text, got 'pull 2', then 'pull 3'",
    UnsteadyDraft: "query 'b': the same query and seed must give the same accepted, got (2,), then (3,)",
    RenamingItself: "arm 'good' on query 'a': the name must not change, got 'good!' after a pull",
    Nameless: "Nameless.name must be a string and not blank, got ' '",
    ChangingTheQuery: "arm 'good' on query 'a': pull must leave the query unmodified",
    SeedingRandom: "pull must draw from its seed; a global generator of random, numpy or torch must not be used",
    SeedingNumpy: "pull must draw from its seed; a global generator of random, numpy or torch must not be used",
    Unstorable: "the observation must survive to_dict, JSON and from_dict",
}


def built_in_arms():
    good = GoodArm()
    yield CallableArm("echo", lambda query, seed: f"{seed} {query.text}"[:12], cost=0.1)
    yield RecordedArm("good", {query.id: good.pull(query, 0) for query in QUERIES})


@pytest.mark.parametrize("arm", [GoodArm(), *built_in_arms()], ids=lambda arm: type(arm).__name__)
def test_every_arm_keeps_the_contract(arm):
    check_arm(arm, QUERIES)


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_every_broken_arm_is_caught(broken):
    # Queries of its own, since one of the arms spoils them.
    queries = [query.model_copy(deep=True) for query in QUERIES]
    with pytest.raises(AssertionError, match=re.escape(BROKEN[broken])):
        check_arm(broken(), queries)


def test_the_check_takes_an_instance_or_what_makes_one():
    check_arm(GoodArm, QUERIES)
    check_arm(lambda: CallableArm("echo", lambda query, seed: query.text[:4]), QUERIES)
    with pytest.raises(AssertionError, match="an arm must be an instance of Arm, got 'arm'"):
        check_arm(lambda: "arm", QUERIES)


def test_the_check_says_what_it_needs():
    with pytest.raises(AssertionError, match="an arm must be an instance of Arm, got 'arm'"):
        check_arm("arm", QUERIES)
    with pytest.raises(AssertionError, match="check_arm needs at least one query, got none"):
        check_arm(GoodArm(), [])
