"""Rounds to choose for, without an engine."""

import random

import torch

from speculative.protocols.request import Request
from speculative.protocols.selector import QueryState, RoundContext, RoundObservation


def query(request_id="a"):
    return QueryState(Request(request_id, (1,), 8), torch.zeros(2), torch.zeros(2))


def context(available, match_lengths=None, request_id="a"):
    """`match_lengths`: action to length; whoever asks for another arm's fails the test."""
    known = match_lengths or {}
    return RoundContext(request_id, 1, 1, tuple(available), match_length=lambda action: known[action])


def observation(action, n_accepted, request_id="a", n_proposed=4, seconds=0.01):
    return RoundObservation(request_id, action, n_proposed, n_accepted, n_accepted + 1, seconds)


def play(selector, n_arms, n_rounds, play_arm):
    """Run one request; `play_arm(action) -> RoundObservation`. Returns how often each arm was chosen."""
    counts = [0] * n_arms
    selector.start(query())
    for _ in range(n_rounds):
        [choice] = selector.select([context([True] * n_arms)])
        counts[choice] += 1
        selector.observe([play_arm(choice)])
    selector.finish("a")
    return counts


def n_accepted(rng, acceptance_rate, draft_length):
    """Accepted tokens of a round when each token is accepted on its own: a truncated geometric variable."""
    accepted = 0
    while accepted < draft_length and rng.random() < acceptance_rate:
        accepted += 1
    return accepted


def rounds_of(seed, acceptance_rates, draft_length, seconds=None):
    """Arms that draft `draft_length` tokens, accepted at these rates: action -> observation."""
    rng = random.Random(seed)

    def play_arm(action):
        accepted = n_accepted(rng, acceptance_rates[action], draft_length)
        return observation(action, accepted, seconds=0.01 if seconds is None else seconds[action])

    return play_arm


def mean_accepted(acceptance_rate, draft_length):
    return sum(acceptance_rate**i for i in range(1, draft_length + 1))
