"""When a stored profile is used, and when it is measured anew; time is fake."""

import dataclasses
import json

import pytest

from speculative.drafts.no_draft import NoDraft
from speculative.drafts.prompt_lookup import PromptLookup
from speculative.measuring import cost_cache
from speculative.measuring.cost_cache import cached_costs
from tests.support.fake_time import FakeTime
from tests.support.tiny_pool import plain_costs

DAY = 86_400


@pytest.fixture
def clock(monkeypatch):
    fake = FakeTime()
    monkeypatch.setattr(cost_cache, "time", fake)
    return fake


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
        monkeypatch.setattr(cost_cache, "measure_costs", measure)
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
