"""Under rejection sampling a choice must not depend on a sampled draft token, so a selector is shown none before it
chooses.

The distribution of the text is the target's for every selection rule that is a function of the past; it is not for one
that peeks at the draft tokens of the round it chooses for.
"""

import random

import pytest

from speculative.drafts.no_draft import NoDraft
from speculative.engine.engine import Engine
from speculative.protocols.draft import Draft, DraftSession, Proposal
from speculative.protocols.request import Request
from speculative.protocols.selector import RoundContext
from speculative.sampling.sampling_params import SamplingParams
from tests.support.tiny_models import N_VOCAB, Arm

PROMPT = (3, 5, 8, 3, 5)


class RandomDraft(Draft):
    """Proposes at random from a generator of its own, and counts what it was asked."""

    def __init__(self, name, seed, looks_up):
        self.name, self.looks_up = name, looks_up
        self.rng = random.Random(seed)
        self.n_proposals = 0

    def open(self, prompt, shared=None):
        return _RandomSession(self)


class _RandomSession(DraftSession):
    def __init__(self, draft):
        self._draft = draft

    def propose(self, prefix, draft_length, sampler=None):
        self._draft.n_proposals += 1
        return Proposal([self._draft.rng.randrange(N_VOCAB) for _ in range(draft_length)])

    def match_length(self, prefix):
        return sum(token == prefix[-1] for token in prefix[:-1]) if self._draft.looks_up else None


class Noting:
    """Plays given arms and notes all that it is told before each round."""

    def __init__(self, n_arms, seed):
        self.n_arms, self.rng = n_arms, random.Random(seed)
        self.told, self.n_proposals = {}, []

    def start(self, query):
        pass

    def select(self, rounds):
        [round_] = rounds
        self.n_proposals.append(sum(draft.n_proposals for draft in self.drafts))
        asked = ("match_length", "certainty")
        values = [getattr(round_, name) for name in round_._fields if name not in asked]
        values += [round(value, 2) for value in round_.certainty()]  # passes of another width round otherwise
        lengths = [round_.match_length(action) for action in range(self.n_arms)]
        self.told[round_.n_new] = (*values, *lengths)
        self.n_proposals.append(sum(draft.n_proposals for draft in self.drafts))
        return [self.rng.randrange(1, self.n_arms)]

    def observe(self, observations):
        pass

    def finish(self, request_id):
        pass


def _run(model, sampling, draft_seed):
    drafts = [RandomDraft("model", draft_seed, False), RandomDraft("look_up", draft_seed + 1, True)]
    arms = [Arm(NoDraft(), 0), *(Arm(draft, length) for draft in drafts for length in (1, 4))]
    selector = Noting(len(arms), seed=0)
    selector.drafts = drafts
    engine = Engine(model, arms, selector)
    engine.submit(Request("a", PROMPT, 40, sampling=sampling))
    while engine.n_unfinished:
        before = sum(draft.n_proposals for draft in drafts)
        noted = len(selector.n_proposals)
        engine.step()
        assert selector.n_proposals[noted:] in ([], [before, before])  # chosen before anything was drafted
    assert selector.n_proposals
    assert sum(draft.n_proposals for draft in drafts) > 0
    return engine.take("a").token_ids, selector.told


def test_a_round_holds_these_facts_and_no_others():
    assert list(RoundContext._fields) == [
        "request_id",
        "n_prompt",
        "n_new",
        "available",
        "temperature",
        "n_running",
        "match_length",
        "certainty",
    ]
    assert not hasattr(RoundContext("a", 1, 1, (True,)), "__dict__")  # slots: nothing can be attached either


@pytest.mark.parametrize(
    "sampling", [SamplingParams(), SamplingParams(temperature=1.0, seed=3)], ids=["greedy", "coupled"]
)
def test_what_a_selector_is_told_is_a_function_of_the_committed_text(tiny, sampling):
    """Other draft tokens for the same text: the same things are told at the same places."""
    runs = [_run(tiny().decoder, sampling, draft_seed) for draft_seed in (0, 100, 200, 300)]
    assert len({token_ids for token_ids, _ in runs}) == 1
    lengths = set()
    for _, told in runs:
        for n_new, values in told.items():
            assert all(other[n_new] == values for _, other in runs if n_new in other)
            lengths.add(values[-1])
    assert len(lengths) > 2


def test_under_rejection_a_selector_chooses_before_anything_is_drafted(tiny):
    for seed in range(5):
        sampling = SamplingParams(temperature=1.0, verification="rejection", seed=seed)
        _, told = _run(tiny().decoder, sampling, draft_seed=seed)
        assert len(told) > 1
