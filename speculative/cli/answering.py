"""Answering requests with a pool's engine, and the account of each answer."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from arms import acceptance_length, acceptance_rate
from speculative.cli.arm_choice import ArmChoice
from speculative.cli.explanations import Explanations

if TYPE_CHECKING:
    from speculative.cli.reward_log import RewardLog
    from speculative.pools.pool import Pool
    from speculative.protocols.request import Generation, Request
    from speculative.selectors.policy_selector import PolicyChoice


class Answering:
    """Answers requests one by one as text that grows, or many together.

    Args:
        pool: target, arms and encoder.
        choice: what picks the arms.
        rewards: where a policy's decisions and their rewards are logged; None for nowhere.
        max_batch: most requests answered at once.
        explanations: take the answers apart, where that is asked for.
        prefix_cache_bytes: most memory for what earlier requests have read.
    """

    def __init__(
        self,
        pool: "Pool",
        choice: ArmChoice,
        *,
        rewards: "RewardLog | None" = None,
        max_batch: int = 1,
        explanations: Explanations | None = None,
        prefix_cache_bytes: int = 0,
    ) -> None:
        self._names, self._rewards, self._fixed = pool.arms.names, rewards, choice.arm
        self._target, self._explanations = pool.target, explanations or Explanations()
        self._choices: dict[str, PolicyChoice] = {}
        selector = choice.selector_of(pool, self._keep, None if rewards is None else rewards.log)
        self._engine = pool.target.engine(
            pool.arms, selector, decode=True, max_batch=max_batch, prefix_cache_bytes=prefix_cache_bytes
        )

    def texts(self, request: "Request") -> Iterator[str]:
        """Yield one answer's text as it grows; `account` follows.

        Abandoning the iterator forgets the answer, and drops the decision that was logged for it.

        Raises:
            ValueError: if the request cannot be answered.
        """
        from speculative.engine.generate import stream

        is_whole = False
        try:
            for result in stream(self._engine, request):
                if result.text:
                    yield result.text
            is_whole = True
        finally:
            if not is_whole:
                self._break_off(request.id)

    def account(self, request: "Request") -> dict[str, Any]:
        """Hand over a finished answer: text, arm, counts and seconds; its reward is logged."""
        generation = self._engine.take(request.id)
        choice = self._choices.pop(request.id, None)
        if self._rewards is not None and choice is not None:
            self._rewards.reward(request, generation, choice.decision.arm)
        self._explanations.take(self._target, request, generation)
        return self._picked(generation, choice) | account_of(generation) | self._explanations.rounds(request)

    def each(self, requests: "Sequence[Request]") -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield (request id, account) of each request as it finishes; abandoning the iterator forgets the rest.

        Raises:
            ValueError: if a request cannot be answered; none is left in the engine then.
        """
        waiting: dict[str, Request] = {}
        try:
            for request in requests:
                waiting[self._engine.submit(request)] = request
            while waiting:
                for result in self._engine.step():
                    if result.finished is not None:
                        yield result.request_id, self.account(waiting.pop(result.request_id))
        finally:
            for request_id in waiting:
                self._engine.discard(request_id)
                self._break_off(request_id)

    def _break_off(self, request_id: str) -> None:
        """Forget the choice of an answer that was not finished, and drop its decision."""
        self._choices.pop(request_id, None)
        if self._rewards is not None:
            self._rewards.break_off(request_id)

    def _keep(self, choice: "PolicyChoice") -> None:
        self._choices[choice.request_id] = choice

    def _picked(self, generation: "Generation", choice: "PolicyChoice | None") -> dict[str, Any]:
        """Return the arm, None where rounds had several, the rounds of each, and what a policy drew from."""
        rounds = Counter(self._names[action] for action in generation.stats.actions)
        only = next(iter(rounds)) if len(rounds) == 1 else self._fixed
        return {
            "arm": only if choice is None else choice.decision.arm,
            "probabilities": None if choice is None else dict(choice.decision.probabilities),
            "rounds_by_arm": dict(rounds),
        }


def account_of(generation: "Generation") -> dict[str, Any]:
    """Return an answer's text, counts and seconds as JSON values."""
    stats = generation.stats
    return {
        "text": generation.text,
        "finished": generation.finished,
        "failure": generation.failure,
        "logprobs": None if generation.logprobs is None else [asdict(one) for one in generation.logprobs],
        "seed": generation.seed,
        "n_tokens": stats.n_new,
        "n_rounds": stats.n_rounds,
        "acceptance_rate": acceptance_rate(stats.n_accepted, stats.n_proposed),
        "acceptance_length": acceptance_length(stats.n_accepted, stats.n_rounds),
        "n_caught_up": stats.n_caught_up,
        "faults": [asdict(fault) for fault in stats.faults],
        "seconds": stats.seconds,
        "select_seconds": stats.select_s,
        "catch_up_seconds": stats.catch_up_s,
        "tokens_per_second": stats.n_new / stats.seconds,
    }


def picked_line(account: dict[str, Any]) -> str:
    """Say which arm helped, and what it was drawn from."""
    if account["probabilities"] is not None:
        ranked = sorted(account["probabilities"].items(), key=lambda item: -item[1])
        drawn = ", ".join(f"{name} {probability:.2f}" for name, probability in ranked)
        return f"arm: {account['arm']}, picked with probability {drawn}"
    if account["arm"] is None:
        rounds = ", ".join(f"{name} {n}" for name, n in account["rounds_by_arm"].items())
        return f"arms by round: {rounds or 'no round was needed'}"
    return f"arm: {account['arm']}"


def speed_line(account: dict[str, Any]) -> str:
    """Say how fast it was."""
    return (
        f"speed: {account['n_tokens']} tokens in {account['seconds']:.2f} s "
        f"({account['tokens_per_second']:.1f} a second, choosing took {account['select_seconds'] * 1000:.1f} ms)"
    )


def summary(account: dict[str, Any]) -> str:
    """Explain an answer to people, a fact a line."""
    lines = [picked_line(account)]
    if account["seed"] is not None:
        lines.append(f"sampled: --sampling-seed {account['seed']} gives this text again")
    if account["acceptance_rate"] is not None:
        lines.append(
            f"accepted: {account['acceptance_rate']:.0%} of draft tokens, "
            f"{account['acceptance_length']:.2f} tokens a round"
        )
    if account["n_caught_up"]:
        milliseconds = account["catch_up_seconds"] * 1000
        lines.append(f"caught up: {account['n_caught_up']} tokens that a draft had missed, {milliseconds:.1f} ms")
    lines += [
        f"fault: draft {fault['draft']} was disabled in round {fault['round']} ({fault['reason']})"
        for fault in account["faults"]
    ]
    if account["finished"] == "failed":
        lines.append(f"failed: {account['failure']}; the text ends there")
    return "\n".join([*lines, speed_line(account)])
