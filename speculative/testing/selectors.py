"""The rules every selector keeps, as a check to run on your own: `check_selector(MySelector(), n_arms)`."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch

from arms.testing.assertions import global_generators_untouched, hold, instance_of
from speculative.protocols.request import Request
from speculative.protocols.selector import QueryState, RoundContext, RoundObservation, Selector
from speculative.sampling.certainty import Certainty
from speculative.sampling.sampling_params import SamplingParams

_SEED = 20
_Told = TypeVar("_Told")
_Answer = TypeVar("_Answer")


def check_selector(selector: Selector | Callable[[], Selector], n_arms: int, n_features: int = 8) -> None:
    """Check that a selector answers as the engine asks: one arm per request, while requests join and leave.

    Requests change places, end before their first round, come back under an id that is free again, and are greedy
    or sampled. The first arm looks nothing up; the others' match lengths come and go, as do their drafts. A
    selector may name an arm whose draft is not available; that round is then a plain decoding step.

    Args:
        selector: the selector to check, or what makes one.
        n_arms: arms it chooses from.
        n_features: size of the target's hidden states, for a selector that reads them.

    Raises:
        AssertionError: saying which rule was broken, and how.
    """
    selector = instance_of(selector, Selector, "a selector")
    with global_generators_untouched(f"{type(selector).__name__}: "):
        _played_through(selector, n_arms, n_features)


def _played_through(selector: Selector, n_arms: int, n_features: int) -> None:
    name, generator = type(selector).__name__, torch.Generator().manual_seed(_SEED)
    running: list[Request] = []
    for step in range(12):
        if step % 2 == 0:
            request_id = f"query-{step % 6}"
            ids = [request.id for request in running]
            if request_id in ids:  # ids come back once they are free
                _leave(name, selector, running, ids.index(request_id))
            running.append(_joined(name, selector, request_id, step, torch.rand(n_features, generator=generator)))
        rounds = [_MatchLengths(request, step, n_arms, len(running)) for request in running]
        actions = _selected(name, selector, rounds, n_arms)
        observations = [_played(r.context, action, step) for r, action in zip(rounds, actions, strict=True)]
        _asked(name, selector.observe, observations)
        for round_ in rounds:
            round_.check(name)
        if step % 5 == 4:
            _leave(name, selector, running, 0)
            ended = _joined(name, selector, "ends-at-once", step, torch.rand(n_features, generator=generator))
            _asked(name, selector.finish, ended.id)
    while running:
        _leave(name, selector, running, 0)


class _MatchLengths:
    """A round to choose for, and what its selector asked of it."""

    def __init__(self, request: Request, step: int, n_arms: int, n_running: int) -> None:
        self._step, self._asked_for, self._is_open = step, list[int](), True
        self._n_asked_late = 0
        available = tuple(arm == 0 or (step + arm) % 4 != 0 for arm in range(n_arms))
        temperature = request.sampling.temperature
        self.context = RoundContext(
            request.id, 3, 1 + step, available, temperature, n_running, self._match_length, self._certainty
        )

    def close(self) -> None:
        """Begin the round: the prefix is about to change."""
        self._is_open = False

    def check(self, name: str) -> None:
        """Reject questions that an engine could not answer, or not truly."""
        n_arms = len(self.context.available)
        beyond = [action for action in self._asked_for if not 0 <= action < n_arms]
        hold(not beyond, f"{name}: match_length must be asked for an arm in [0, {n_arms}), got {beyond}")
        hold(self._n_asked_late == 0, f"{name}: match_length must be asked in select only, before the round begins")

    def _certainty(self) -> Certainty:
        self._n_asked_late += not self._is_open
        return Certainty(1.5, 0.25)

    def _match_length(self, action: int) -> int | None:
        self._asked_for.append(action)
        self._n_asked_late += not self._is_open
        is_look_up = 0 < action < len(self.context.available) and self.context.available[action]
        return (5 * self._step + 3 * action) % 8 if is_look_up else None


def _joined(name: str, selector: Selector, request_id: str, step: int, hidden_mean: torch.Tensor) -> Request:
    sampling = SamplingParams(temperature=0.7 if step % 4 == 0 else 0.0)
    request = Request(request_id, (1, 2, 3), 16, text="a question", sampling=sampling)
    _asked(name, selector.start, QueryState(request, hidden_mean, hidden_mean))
    return request


def _leave(name: str, selector: Selector, running: list[Request], row: int) -> None:
    """End a request as the engine does: the last one moves into its place."""
    _asked(name, selector.finish, running[row].id)
    running[row] = running[-1]
    running.pop()


def _selected(name: str, selector: Selector, asked: list[_MatchLengths], n_arms: int) -> list[int]:
    rounds = [round_.context for round_ in asked]
    before = list(rounds)
    actions = _asked(name, selector.select, rounds)
    for round_ in asked:
        round_.close()
    hold(rounds == before, f"{name}: select must leave the list of rounds unmodified")
    hold(
        len(actions) == len(rounds),
        f"{name}: select must give one choice per request, got {len(actions)} for {len(rounds)}",
    )
    hold(
        all(isinstance(action, int | np.integer) and 0 <= action < n_arms for action in actions),
        f"{name}: an action must be an arm index in [0, {n_arms}), got {actions!r}",
    )
    return [int(action) for action in actions]


def _asked(name: str, method: Callable[[_Told], _Answer], told: _Told) -> _Answer:
    try:
        return method(told)
    except Exception as error:
        raise AssertionError(f"{name}: {method.__name__} must take {told!r}, but raised {error!r}") from error


def _played(round_: RoundContext, action: int, step: int) -> RoundObservation:
    n_proposed = 3 if round_.available[action] else 0
    n_accepted = min(step % 4, n_proposed)
    return RoundObservation(round_.request_id, action, n_proposed, n_accepted, n_accepted + 1, 0.01 * (1 + n_accepted))
