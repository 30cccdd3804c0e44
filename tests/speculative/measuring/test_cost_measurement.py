"""What is measured, of which points. Clocks are fake: no figure here depends on the machine."""

from dataclasses import replace

import pytest

from speculative.drafts.draft_model import DraftModel
from speculative.drafts.no_draft import NoDraft
from speculative.drafts.prompt_lookup import PromptLookup
from speculative.drafts.suffix.draft import SuffixDraft
from speculative.measuring import cost_measurement
from speculative.measuring.cost_measurement import EXACT, QUICK, drift_from, measure_costs
from speculative.measuring.cost_profile import CostProfile, DraftCost
from speculative.models.graphs import Graphs
from speculative.protocols.draft import DraftSession
from tests.support.card_rounds import make_models, with_graphs
from tests.support.fake_time import FakeTime
from tests.support.pretended_card import PretendedCard
from tests.support.recorders import RepeatingRecorder
from tests.support.tiny_pool import plain_costs


@pytest.fixture
def clock(monkeypatch):
    fake = FakeTime()
    monkeypatch.setattr(cost_measurement, "time", fake)
    return fake


@pytest.fixture
def timed_model(tiny, clock, monkeypatch):
    """A decoder whose pass takes 1 s, 0.1 s a token and 0.001 s a cached token on the fake clock."""
    model = tiny().decoder
    real = type(model).forward

    def forward(self, batch, cache, logit_rows=None, n_layers=None):
        if self is model:
            clock.now += 1.0 + 0.1 * len(batch.token_ids) + 0.001 * cache.lengths[0]
        return real(self, batch, cache, logit_rows, n_layers)

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
    costs = measure_costs(
        timed_model, [NoDraft()], effort=replace(EXACT, n_repeats=2), on_progress=lambda: told.append(1)
    )
    assert costs.drafts["no_draft"] == DraftCost(0.0, 0.0, 0.0)
    assert len(told) == 3


def test_a_draft_that_learns_takes_nothing_of_the_random_text(timed_model):
    draft = SuffixDraft(learn=True)
    measure_costs(timed_model, [draft], effort=replace(EXACT, n_repeats=1))
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


def test_a_measured_profile_names_machine_and_threads(timed_model):
    costs = measure_costs(timed_model, [], effort=replace(EXACT, n_repeats=1))
    assert costs.machine
    assert costs.threads >= 1
    assert CostProfile.from_json(costs.to_json()).digest == costs.digest != plain_costs().digest


def test_every_round_times_every_point_and_draft_so_that_a_busy_moment_hits_all(timed_model, clock):
    order = []

    class Told(TimedLookup):
        def open(self, prompt, shared=None):
            order.append("draft")
            return super().open(prompt, shared)

    measure_costs(timed_model, [Told(clock)], effort=replace(EXACT, n_repeats=2), on_progress=lambda: order.append("-"))
    assert order == ["draft", "-"] * 3


def test_a_wider_pass_never_costs_less_and_the_correction_is_kept(timed_model, clock, monkeypatch):
    real = type(timed_model).forward

    def forward(self, batch, cache, logit_rows=None):
        clock.now += 0.3 if len(batch.token_ids) == 1 else 0.0
        return real(self, batch, cache, logit_rows)

    monkeypatch.setattr(type(timed_model), "forward", forward)
    costs = measure_costs(timed_model, [], effort=replace(EXACT, n_repeats=3))
    row = costs.verify_grid[0]
    assert list(row) == pytest.approx(sorted(row))
    assert list(row[:3]) == pytest.approx([(1.464 + 1.264 + 1.364) / 3] * 3)
    assert costs.correction == pytest.approx(row[0] / 1.264 - 1)


def test_noise_of_each_cell_and_drift_are_kept(timed_model, clock, monkeypatch):
    real, n_seen = type(timed_model).forward, [0]

    def forward(self, batch, cache, logit_rows=None):
        n_seen[0] += 1
        begin = clock.now
        output = real(self, batch, cache, logit_rows)
        clock.now += (
            clock.now - begin if n_seen[0] > 54 else 0.0
        )  # of 18 points a round: twice as slow from the fourth on
        return output

    monkeypatch.setattr(type(timed_model), "forward", forward)
    costs = measure_costs(timed_model, [], effort=replace(EXACT, n_repeats=4))
    assert costs.drift == pytest.approx(1.0)
    assert [len(row) for row in costs.noise_grid] == [len(costs.widths)]
    assert min(costs.noise_grid[0]) > 0.3
    assert CostProfile.from_json(costs.to_json()) == costs


def test_a_quick_look_times_fewer_points(timed_model):
    costs = measure_costs(timed_model, [], effort=QUICK)
    assert costs.widths == QUICK.widths
    assert costs.cache_lengths == (64,)


def test_drift_is_the_present_step_over_the_profiles(timed_model, clock, monkeypatch):
    costs = measure_costs(timed_model, [], effort=QUICK)
    assert drift_from(timed_model, costs) == pytest.approx(1.0)
    halved = replace(costs, verify_grid=tuple(tuple(s / 2 for s in row) for row in costs.verify_grid))
    assert drift_from(timed_model, halved) == pytest.approx(2.0)


def test_passes_of_every_width_are_timed_as_graphs_where_there_are_any(tiny):
    target, small = tiny().decoder.tapping([]), tiny("llama", 1).decoder.tapping([])
    recorders = []
    for model in (target, small):
        recorders.append(RepeatingRecorder())
        model.graphs = Graphs(model.device, model.max_positions, lambda own=recorders[-1]: own)
    draft = DraftModel(small, name="small", n_target_vocab=small.n_vocab)
    measure_costs(target, [draft], effort=replace(QUICK, widths=(1, 2, 9), cache_lengths=(8,), n_repeats=1))
    assert [len(recorder.recorded) for recorder in recorders] == [3, 3]
    assert recorders[0].n_replays >= 2 * 3
    assert target.graphs.widths == small.graphs.widths == {1}  # whoever answers announces his own


def test_a_draft_is_timed_on_a_card_by_the_programs_that_an_engine_runs():
    with PretendedCard():
        models = with_graphs(make_models("cuda", max_position_embeddings=256))
        draft, asked = models.arms["draft model"].draft, []
        run = draft.model.graphs.run

        def told(store, key, program, buffers):
            asked.append((program.width, getattr(program, "n_tokens", 0)))
            return run(store, key, program, buffers)

        draft.model.graphs.run = told
        measure_costs(models.target, [draft], effort=replace(QUICK, widths=(1, 4), prefill_widths=(32,), n_repeats=1))
    assert set(asked) == {(2, 1), (9, 8)}  # both proposals whole, not pass by pass
