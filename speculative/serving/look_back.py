"""What look-ups would have made of each answer that one's own engine wrote, told off the path of the answers."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

from arms import Observation
from bandits.online import DecisionLog, Hindsight, LoggedDecision
from bandits.online.hindsight import HINDSIGHT
from rewards import Reward
from speculative.collection.answer_tokens import AnswerTokens
from speculative.collection.look_ups import replay_look_ups, replayable_arms
from speculative.measuring.cost_profile import CostProfile
from speculative.targets.rule_arm import PoolArm

_RECENT = 64  # answers that the machine's present speed is told from
_MOST_WAITING = 1_000
_MOST_AT_ONCE = 100  # answers replayed before the rewards are learned from again


class LookBack:
    """Replays the look-ups among a pool's arms on answers, and writes what each would have been worth in the log.

        seconds of arm a = measured seconds * replayed seconds of a / replayed seconds of the arm that was taken

    so that load and machine are those of the answer; where the arm taken cannot be replayed, their ratio is that of the
    last 64 answers where it could, 1 before the first. A `Learner` with `hindsight=look_back.names` learns these arms
    from such records and from the rewards of pulls that failed, of which there is no answer to replay, and the others
    from their rewards.

    Args:
        arms: of the pool.
        costs: of their drafts.
        reward: values observations, as the agent's.

    Attributes:
        names: of the arms that are replayed.
        n_passed_over: answers that were not, because more than a thousand waited; of these the look-ups learn nothing.

    Raises:
        ValueError: if none of the arms can be replayed, or the profile lacks a draft.
    """

    def __init__(self, arms: Sequence[PoolArm], costs: CostProfile, reward: Reward) -> None:
        self._arms, self._costs, self._reward = replayable_arms(arms), costs, reward
        self.names = tuple(arm.name for arm in self._arms)
        if not self.names:
            raise ValueError(
                f"hindsight needs an arm that is a look-up or drafts nothing, got {[a.name for a in arms]}"
            )
        self._waiting: deque[tuple[LoggedDecision, Observation, AnswerTokens]] = deque()
        self._ratios: deque[tuple[float, float]] = deque(maxlen=_RECENT)
        self.n_passed_over = 0

    def take(self, decision: LoggedDecision, observation: Observation, answer: AnswerTokens) -> None:
        """Keep an answer for `step`."""
        if len(self._waiting) < _MOST_WAITING:
            self._waiting.append((decision, observation, answer))
        else:
            self.n_passed_over += 1

    def step(self, log: DecisionLog, stop: threading.Event | None = None) -> int:
        """Replay what waits, and write it down; return how many answers that were, a hundred at most.

        Args:
            log: to write in.
            stop: once it is set, what still waits is left; None for never.
        """
        n_told = 0
        while self._waiting and n_told < _MOST_AT_ONCE and not (stop is not None and stop.is_set()):
            decision, observation, answer = self._waiting.popleft()
            log.noted(HINDSIGHT, Hindsight.of(decision, self.rewards(observation, answer)).to_record())
            n_told += 1
        return n_told

    def rewards(self, observation: Observation, answer: AnswerTokens) -> dict[str, float]:
        """Return what each of the arms would have been worth on an answer.

        Args:
            observation: what the arm taken has shown.
            answer: its tokens.
        """
        replayed = replay_look_ups(self._arms, answer, self._costs)
        own = replayed.get(observation.arm)
        if own is not None:
            self._ratios.append((observation.seconds, own))
        pairs = [(observation.seconds, own)] if own is not None else list(self._ratios) or [(1.0, 1.0)]
        ratio = sum(measured for measured, _ in pairs) / sum(modelled for _, modelled in pairs)
        return {name: self._reward(_seen(observation, name, ratio * seconds)) for name, seconds in replayed.items()}


def _seen(observation: Observation, arm: str, seconds: float) -> Observation:
    return Observation(arm, observation.query_id, text="", n_tokens=observation.n_tokens, seconds=seconds)
