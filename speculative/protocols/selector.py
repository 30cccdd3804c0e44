"""Who picks the arm of a round: the hook through which a policy steers the engine."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from speculative.protocols.request import Request
from speculative.sampling.certainty import Certainty


@dataclass(frozen=True, slots=True)
class QueryState:
    """A request whose prompt the target has just read.

    Attributes:
        request: what was asked.
        hidden_mean: (d,) mean over the prompt of the target's last hidden states.
        hidden_last: (d,) the last hidden state of its last token.
        context: (d,) float32, an encoder's features of the query where they are known already, as in a trace.
        encoder: name of what made `context`; None where it is not known.
    """

    request: Request
    hidden_mean: torch.Tensor
    hidden_last: torch.Tensor
    context: npt.NDArray[np.float32] | None = None
    encoder: str | None = None


def _no_match(action: int) -> int | None:
    return None


def _not_known() -> Certainty | None:
    return None


class RoundContext(NamedTuple):
    """What is known before a round; never a token of the drafts to come.

    Under rejection sampling the text keeps the target's distribution only if no choice depends on a sampled draft
    token.

    Attributes:
        request_id: the request.
        n_prompt: tokens of the prompt.
        n_new: tokens generated so far.
        available: per arm, whether its draft can work on this prefix.
        temperature: of the request; 0 for greedy.
        n_running: requests that share the coming step.
        match_length: asked with an arm's index, how many last tokens of the prefix its look-up has found elsewhere;
            None for an arm that looks nothing up. Works only until the round begins.
        certainty: asked, how sure the target was of the last token of the prefix, by its own logits; None where it is
            not known. Works only until the round begins.
    """

    request_id: str
    n_prompt: int
    n_new: int
    available: tuple[bool, ...]
    temperature: float = 0.0
    n_running: int = 1
    match_length: Callable[[int], int | None] = _no_match
    certainty: Callable[[], Certainty | None] = _not_known

    @property
    def cache_length(self) -> int:
        """Tokens that the target's cache holds: all but the last one."""
        return self.n_prompt + self.n_new - 1


class RoundObservation(NamedTuple):
    """What a round gave: what a selector learns from.

    Attributes:
        request_id: the request.
        action: index of the arm used.
        n_proposed: draft tokens; those after an accepted end of text do not count.
        n_accepted: those of them that were accepted.
        n_new: new tokens, the target's own included.
        seconds: what the round took this request, with its share of the work of all.
        select_s: of them, its share of the choosing of arms.
    """

    request_id: str
    action: int
    n_proposed: int
    n_accepted: int
    n_new: int
    seconds: float
    select_s: float = 0.0


class Selector(ABC):
    """Chooses an arm for every running request before each round.

    A subclass need only write `select`; one that learns overrides the rest. `speculative.testing.check_selector` tests
    that it keeps the rules.
    """

    @abstractmethod
    def select(self, rounds: Sequence[RoundContext]) -> Sequence[int]:
        """Return the index of an arm for each running request, in their order."""

    def start(self, query: QueryState) -> None:
        """Begin a request."""
        return

    def observe(self, observations: Sequence[RoundObservation]) -> None:
        """Receive the outcome of the choices."""
        return

    def finish(self, request_id: str) -> None:
        """Forget a request that has ended or was cancelled."""
        return
