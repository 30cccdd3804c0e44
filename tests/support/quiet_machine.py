"""Tests measure tiny models on whatever machine there is: its noise must not fail what is not about noise."""

from collections.abc import Iterator

import pytest

from speculative.measuring.cost_profile import CostProfile

_CHECK = CostProfile.check


@pytest.fixture(autouse=True, scope="session")
def measured_costs_are_taken_as_they_are() -> Iterator[None]:
    """Let every cost profile price data."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CostProfile, "check", lambda self, *, allow_noisy=False: None)
        yield


@pytest.fixture
def noise_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse noisy profiles, as outside of tests."""
    monkeypatch.setattr(CostProfile, "check", _CHECK)
