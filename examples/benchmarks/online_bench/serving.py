"""A policy that starts from nothing serves a stream as `draftpick serve --mode live` does, and learns from it."""

import numpy as np

from bandits import LoggedData, Policy
from bandits.data.decision import draw_actions
from bandits.online import Rollout
from online_bench.streams import Stream

EXPLORATION = 0.05
LEARN_EVERY = 10  # requests that come in between two steps of learning


def served_seconds(policy: Policy, stream: Stream, rng: np.random.Generator, new_arm_rows: float = 0.0) -> np.ndarray:
    """Return the seconds of each request, (n,) float64.

    Args:
        policy: unfitted; not changed.
        stream: of requests.
        rng: of the choices.
        new_arm_rows: what an arm that joins starts with; see `Learner.keep_arms`.
    """
    names = tuple(name for name in stream.arm_names if name != stream.joins)
    policy = policy.clone()
    policy.start(names, stream.contexts.shape[1])
    chosen = np.empty(len(stream.contexts), np.int64)
    for start in range(0, len(chosen), LEARN_EVERY):
        if stream.joins is not None and start == stream.half:
            policy.add_arm(stream.joins, names if new_arm_rows else None, rows=new_arm_rows or None)
        rollout = Rollout(policy, stream.arm_names[0], share=1.0 - EXPLORATION, exploration=EXPLORATION)
        rows = np.arange(start, min(start + LEARN_EVERY, len(chosen)))
        probabilities = rollout.probabilities(stream.contexts[rows])
        actions = draw_actions(probabilities, rng)
        chosen[rows] = [stream.arm_names.index(policy.arm_names[action]) for action in actions]
        propensities = np.minimum(probabilities[np.arange(len(rows)), actions], 1.0)
        rewards = stream.rewards[rows, chosen[rows]]
        policy.update(LoggedData(stream.contexts[rows], actions, rewards, propensities, policy.arm_names))
    return stream.seconds[np.arange(len(chosen)), chosen]
