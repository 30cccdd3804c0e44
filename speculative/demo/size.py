"""How much the demo measures, so that it ends in time on a fast machine and on a slow one."""

from dataclasses import dataclass

from speculative.measuring.cost_profile import CostProfile

TOKENS = (96, 64, 48, 32, 24, 16)  # longest answers that are tried, longest first
SHARES = (1.0, 0.6, 0.4)  # of the prompts
LEARNING_S = 55.0  # every policy, choosing among them by leaving each prompt out, and the choice per round
BATCH = 16
RAGGED = 1.6  # a decoding pass of 16 sequences of unlike length over one of 16 tokens of one sequence
PEER = 2.5  # transformers' time a token over ours, at most
_CACHED = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSize:
    """How much a demo measures.

    Attributes:
        max_new_tokens: length of an answer.
        share: of the prompts that are collected, in (0, 1].
        least_timed: prompts of the wall-clock stage that run whatever the time.
        most_timed: prompts of the stage; after the least it stops when the time is up.
        timed_by_transformers: of these, how many transformers answers too.
        seconds: for the whole demo, set-up and loading apart; None sets no limit.
    """

    max_new_tokens: int = 48
    share: float = 1.0
    least_timed: int = 14
    most_timed: int = 84
    timed_by_transformers: int = 84
    seconds: float | None = 600.0


FULL_SIZE = DemoSize(max_new_tokens=96, least_timed=84, seconds=None)


def choose_size(
    costs: CostProfile, n_prompt: float, n_queries: int, n_modes: int, n_peers: int, seconds: float
) -> DemoSize:
    """Return the largest size that is expected to end in time, longer answers before more prompts.

    Args:
        costs: of this machine.
        n_prompt: tokens of a prompt, on average.
        n_queries: prompts, training and held out.
        n_modes: modes of the wall-clock stage that are draftpick's own.
        n_peers: modes of the stage that are transformers'.
        seconds: what all of it may take.
    """
    plain = DemoSize()
    for share in SHARES:
        for n_new in TOKENS:
            collecting = n_queries * share * _collecting_s(costs, n_prompt, n_new)
            timing = 2 * plain.least_timed * _timing_s(costs, n_prompt, n_new, n_modes + PEER * n_peers)
            if collecting + LEARNING_S + timing <= seconds:
                return DemoSize(max_new_tokens=n_new, share=share, seconds=seconds)
    return DemoSize(max_new_tokens=TOKENS[-1], share=SHARES[-1], least_timed=7, seconds=seconds)


def _collecting_s(costs: CostProfile, n_prompt: float, n_new: int) -> float:
    """Seconds of one prompt: the target's text in a batch, and each draft's look at it."""
    target = costs.prefill_s(round(n_prompt)) + n_new * RAGGED * costs.verify_s(BATCH, _CACHED) / BATCH
    drafts = sum(cost.read_s * (n_prompt + n_new) for cost in costs.drafts.values())
    return 1.2 * (target + drafts)


def _timing_s(costs: CostProfile, n_prompt: float, n_new: int, times: float) -> float:
    """Seconds of one prompt in every mode, so many times those of no draft, which is the slowest of our own."""
    return times * (costs.prefill_s(round(n_prompt)) + n_new * costs.verify_s(1, _CACHED))
