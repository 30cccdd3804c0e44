import pytest

from tests.support.hard_cases import every_draft


@pytest.fixture(scope="session")
def target(tiny):
    return tiny("llama", seed=3)


@pytest.fixture(scope="session")
def drafts(tiny, target):
    return every_draft(tiny, target)
