"""What a pass costs: interpolation, break-even, storage. Clocks are fake: no figure here depends on the machine."""

import dataclasses
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speculative.drafts.draft_model import DraftModel
from speculative.drafts.no_draft import NoDraft
from speculative.drafts.prompt_lookup import PromptLookup
from speculative.drafts.suffix.draft import SuffixDraft
from speculative.measuring import cost_profile
from speculative.measuring.cost_profile import CostProfile, DraftCost, cached_costs, measure_costs
from speculative.protocols.draft import DraftSession
from tests.support.tiny_models import bounded
from tests.support.tiny_pool import plain_costs

DAY = 86_400


class FakeTime:
    """A clock that only moves when told; `time()` is the calendar, `perf_counter()` the stopwatch."""

    def __init__(self):
        self.now = 0.0
        self.calendar = 1000.0 * DAY

    def perf_counter(self):
        return self.now

    def time(self):
        return self.calendar


@pytest.fixture
def clock(monkeypatch):
    fake = FakeTime()
    monkeypatch.setattr(cost_profile, "time", fake)
    return fake


@pytest.fixture
def timed_model(tiny, clock, monkeypatch):
    """A decoder whose pass takes 1 s, 0.1 s a token and 0.001 s a cached token on the fake clock."""
    model = tiny().decoder
    real = type(model).forward

    def forward(self, batch, cache, logit_rows=None):
        if self is model:
            clock.now += 1.0 + 0.1 * len(batch.token_ids) + 0.001 * cache.lengths[0]
        return real(self, batch, cache, logit_rows)

    monkeypatch.setattr(type(model), "forward", forward)
    return model


class TimedLookup(PromptLookup):
    """Its rounds take 0.5 s and 0.25 s a token, its first reading 0.01 s a token more."""

    def __init__(self, clock):
        super().__init__()
        self.clock = clock

    def open(self, prompt, shared=None):
        return _TimedSession(self.clock)


class _TimedSession(DraftSession):
    def __init__(self, clock):
        self.clock, self.fresh = clock, True

    def propose(self, prefix, draft_length, sampler=None):
        self.clock.now += 0.5 + 0.25 * draft_length + 0.01 * len(prefix) * self.fresh
        self.fresh = False


def test_measured_points_and_what_lies_between(timed_model, clock):
    costs = measure_costs(timed_model, [])
    assert costs.cache_lengths == (64,)  # what fits a context of 96 tokens
    assert costs.prefill_widths == (32,)
    assert costs.spread == pytest.approx(0.0, abs=1e-9)
    assert costs.verify_s(4, 64) == pytest.approx(1.464)
    assert costs.widths == tuple(range(1, 18))
    assert costs.verify_s(10, 64) == pytest.approx(2.064)
    assert costs.verify_s(34, 64) == pytest.approx(2 * 2.764)  # beyond the grid at the last rate
    assert costs.prefill_s(32) == pytest.approx(4.2)


def test_a_drafts_three_constants(timed_model, clock):
    cost = measure_costs(timed_model, [TimedLookup(clock)]).drafts["prompt_lookup"]
    assert (cost.round_s, cost.token_s) == (pytest.approx(0.5), pytest.approx(0.25))
    assert cost.read_s == pytest.approx(0.01)


def test_no_draft_costs_nothing_and_progress_is_told(timed_model, clock):
    told = []
    costs = measure_costs(timed_model, [NoDraft()], n_repeats=2, on_progress=lambda: told.append(1))
    assert costs.drafts["no_draft"] == DraftCost(0.0, 0.0, 0.0)
    assert len(told) == 3


def test_a_draft_that_learns_takes_nothing_of_the_random_text(timed_model):
    draft = SuffixDraft(learn=True)
    measure_costs(timed_model, [draft], n_repeats=1)
    assert draft.store.n_tokens == 0


def test_a_draft_of_short_context_is_measured_within_it(timed_model, tiny):
    decoder = tiny(max_position_embeddings=48).decoder
    costs = measure_costs(timed_model, [DraftModel(decoder, name="short", n_target_vocab=decoder.n_vocab)])
    assert "short" in costs.drafts
    decoder = tiny(max_position_embeddings=40).decoder
    with pytest.raises(ValueError, match="draft 'short': a context of 40 tokens is too short"):
        measure_costs(timed_model, [DraftModel(decoder, name="short", n_target_vocab=decoder.n_vocab)])


def test_too_short_a_target_is_refused(tiny):
    with pytest.raises(ValueError, match="a context of 80 tokens is too short to profile; it needs at least 81"):
        measure_costs(tiny(max_position_embeddings=80).decoder, [])


def test_interpolation_and_beyond_the_grid():
    costs = plain_costs("draft")
    assert costs.verify_s(3, 64) == pytest.approx(1.2)
    assert costs.verify_s(3, 96) == pytest.approx(1.3)
    assert costs.verify_s(5, 10) == costs.verify_s(5, 64)
    assert costs.verify_s(5, 4000) == costs.verify_s(5, 128)
    assert costs.verify_s(18, 64) == pytest.approx(2 * costs.verify_s(9, 64))  # the last rate goes on
    assert costs.prefill_s(1) == pytest.approx(1.0)
    assert costs.prefill_s(64) == pytest.approx(2 * costs.prefill_s(32))
    assert costs.draft_s("draft", 4, 10) == pytest.approx(0.01 + 0.4 + 0.01)
    with pytest.raises(ValueError, match=r"draft 'other' is not in the cost profile \(drafts: \['draft'\]\)"):
        costs.draft_s("other", 1)


@bounded(max_examples=60)
@given(acceptance=st.floats(0.01, 0.99), draft_length=st.integers(1, 8))
def test_break_even_inverts_the_closed_form(acceptance, draft_length):
    """A round that costs (1 - a^(g+1)) / (1 - a) plain steps breaks even at a."""
    tokens = (1 - acceptance ** (draft_length + 1)) / (1 - acceptance)
    cost = DraftCost(round_s=tokens - 1, token_s=0.0, read_s=0.0)
    flat = dataclasses.replace(plain_costs(), verify_grid=((1.0,) * 3,) * 2, drafts={"draft": cost})
    assert flat.break_even("draft", draft_length) == pytest.approx(acceptance, abs=1e-6)


@pytest.mark.parametrize(
    ("round_s", "share", "words"),
    [
        (0.5, 0.5, "prompt_lookup at draft length 1 pays once each token is accepted with probability 50%"),
        (1.5, math.inf, "cannot pay"),
        (0.0, 0.0, "costs nothing"),
    ],
)
def test_conclusion_says_whether_drafting_pays(round_s, share, words):
    drafts = {"prompt_lookup": DraftCost(round_s, 0.0, 0.0)}
    flat = dataclasses.replace(plain_costs(), verify_grid=((1.0,) * 3,) * 2, drafts=drafts)
    assert flat.break_even("prompt_lookup", 1) == pytest.approx(share)
    assert words in flat.conclusion("prompt_lookup", 1)


def test_noise_and_one_token_slower_than_two_are_faults():
    sound = plain_costs("draft")
    assert sound.faults() == []
    assert "its noise is 40% of a median" in dataclasses.replace(sound, spread=0.4).faults()[0]
    slow = dataclasses.replace(sound, verify_grid=((1.34, 0.92, 1.5), (1.0, 1.1, 1.2)))
    [fault] = slow.faults()
    assert fault.startswith("a pass over 1 token(s) took 1.34e+03 ms and one over 5 only 920 ms, at 64 cached")
    within = dataclasses.replace(slow, spread=0.3, verify_grid=((1.1, 1.0, 1.5), (1.0, 1.1, 1.2)))
    assert within.faults() == []


def test_a_measured_profile_names_machine_and_threads(timed_model):
    costs = measure_costs(timed_model, [], n_repeats=1)
    assert costs.machine
    assert costs.threads >= 1
    assert CostProfile.from_json(costs.to_json()).digest == costs.digest != plain_costs().digest


def test_json_round_trip():
    costs = plain_costs("one", "two")
    assert CostProfile.from_json(costs.to_json()) == costs


@pytest.mark.parametrize("text", ["", "[]", "{}", '"text"', '{"drafts": {"a": {"x": 1}}}'])
def test_json_that_is_no_profile_is_refused(text):
    with pytest.raises(ValueError, match="not a cost profile"):
        CostProfile.from_json(text)


class TestCache:
    """When a stored profile is used, and when it is measured anew."""

    @pytest.fixture
    def costs_of(self, tiny, clock, monkeypatch, tmp_path):
        measured = []

        def measure(model, drafts, *, key, on_progress):
            measured.append([draft.name for draft in drafts])
            return dataclasses.replace(
                plain_costs(*measured[-1]), key=key, spread=self.spread, measured_at=clock.time()
            )

        self.spread = 0.1
        self.measured, self.folder = measured, tmp_path
        monkeypatch.setattr(cost_profile, "measure_costs", measure)
        return lambda *drafts, **options: cached_costs(
            tiny().decoder, options.pop("target", "model"), drafts, tmp_path, **options
        )

    def test_a_fresh_one_is_used(self, costs_of):
        first = costs_of(PromptLookup(), NoDraft())
        assert costs_of(PromptLookup()) == first
        assert len(self.measured) == 1

    def test_one_a_target(self, costs_of):
        costs_of(NoDraft())
        costs_of(NoDraft(), target="other")
        assert len(self.measured) == 2
        assert len(list(self.folder.glob("costs-*.json"))) == 2

    def test_an_old_one_is_measured_again(self, costs_of, clock):
        costs_of(NoDraft())
        clock.calendar += 29 * DAY
        costs_of(NoDraft())
        assert len(self.measured) == 1
        clock.calendar += 2 * DAY
        costs_of(NoDraft())
        assert len(self.measured) == 2

    def test_a_noisy_one_is_measured_again(self, costs_of):
        self.spread = 0.5
        costs_of(NoDraft())
        self.spread = 0.1
        assert costs_of(NoDraft()).spread == 0.1
        costs_of(NoDraft())
        assert len(self.measured) == 2

    def test_one_that_lacks_a_draft_is_measured_again_and_keeps_the_others(self, costs_of):
        costs_of(NoDraft())
        assert set(costs_of(PromptLookup()).drafts) == {"no_draft", "prompt_lookup"}
        costs_of(NoDraft(), PromptLookup())
        assert self.measured == [["no_draft"], ["prompt_lookup"]]

    def test_a_refresh_measures_in_any_case(self, costs_of):
        costs_of(NoDraft())
        costs_of(NoDraft(), refresh=True)
        assert len(self.measured) == 2

    def test_a_broken_file_is_named(self, costs_of):
        costs_of(NoDraft())
        file = next(self.folder.glob("costs-*.json"))
        file.write_text(json.dumps(json.loads(file.read_text()))[:-20])
        with pytest.raises(ValueError, match=f"{file.name}: not a cost profile.*delete it and run again"):
            costs_of(NoDraft())
