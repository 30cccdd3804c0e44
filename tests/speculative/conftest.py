from collections.abc import Callable

import pytest

from tests.support.quiet_machine import measured_costs_are_taken_as_they_are as measured_costs_are_taken_as_they_are
from tests.support.quiet_machine import noise_matters as noise_matters
from tests.support.tiny_models import TinyModel, make_tiny


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., TinyModel]:
    """A tiny model by kind, seed and changed sizes; each is made once a session."""
    made: dict[object, TinyModel] = {}

    def get(kind: str = "llama", seed: int = 0, **changes: object) -> TinyModel:
        key = (kind, seed, *sorted(changes.items()))
        if key not in made:
            made[key] = make_tiny(kind, tmp_path_factory.mktemp(kind), seed, **changes)
        return made[key]

    return get
