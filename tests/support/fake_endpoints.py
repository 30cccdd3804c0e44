"""Two arms like HTTP endpoints: each answers some queries well, fails on some, and never takes any time."""

import numpy as np

from arms import Arm, Observation, Query
from rewards import OnFailure, Reward

ARM_NAMES = ("north", "south")


class FakeEndpoint(Arm):
    """Answers or fails as its seed has it; good at the queries whose number has its parity."""

    def __init__(self, name: str, parity: int, failure_rate: float = 0.1) -> None:
        self.name, self._parity, self._failure_rate = name, parity, failure_rate

    def pull(self, query: Query, seed: int) -> Observation:
        rng = np.random.default_rng(seed)
        if rng.random() < self._failure_rate:
            raise ConnectionError(f"{self.name} gave no answer")
        good = int(query.id.removeprefix("q")) % 2 == self._parity
        n_tokens = int(rng.integers(60, 90) if good else rng.integers(10, 40))
        return Observation(self.name, query.id, text=f"answer of {self.name}", n_tokens=n_tokens, seconds=0.0)


class TokensGiven(Reward):
    """A hundredth of the tokens."""

    bounds = (0.0, 1.0)

    def _value(self, observation: Observation) -> float:
        return observation.n_tokens / 100


TOKENS_GIVEN = OnFailure(TokensGiven(), 0.0)


def endpoints(failure_rate: float = 0.1) -> list[FakeEndpoint]:
    return [FakeEndpoint(name, parity, failure_rate) for parity, name in enumerate(ARM_NAMES)]


def numbered_queries(n: int) -> list[Query]:
    words = ("even as can be", "odd one out")
    return [Query(id=f"q{i}", prompt=f"{words[i % 2]} {i}") for i in range(n)]
