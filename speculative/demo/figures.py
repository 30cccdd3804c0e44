"""All figures of a demo, in one record."""

from dataclasses import dataclass, field
from typing import Any

from bandits import Estimate
from bandits.evaluation import Evaluation
from speculative.measuring.machine import machine_facts


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport:
    """All figures of a demo.

    Attributes:
        seed: of policies, orders and bootstraps.
        max_new_tokens: length of an answer.
        n_timed: prompts that every mode ran on.
        n_transformers: of these, prompts that transformers ran on.
        chosen: the policy chosen on the training prompts.
        held_out: policy to its score on training prompts that were left out, in words.
        evaluation: held-out values by replay.
        speeds: mode to tokens a second, total over total, on the timed prompts.
        ratios: mode to its speed over no draft's, over the best fixed arm's and over each transformers mode's.
        picks: policy to (domain to (arm to share of held-out queries)).
        domain_speed: domain to (arm to replayed speed over no draft).
        equality: counts of identical texts, ties and differences against no draft's text.
        peers_compared: whether transformers' texts are among these; they have dense weights, and so another text than a
            target at 4 bits.
        looping_share: share of timed texts in which over half of the 4-grams are repeats.
        conclusion: what it comes to: the chosen policy, and a choice at every round.
        machine: what it ran on.
    """

    seed: int
    max_new_tokens: int
    n_timed: int
    n_transformers: int
    chosen: str
    held_out: dict[str, str]
    evaluation: Evaluation
    speeds: dict[str, float]
    ratios: dict[str, dict[str, Estimate]]
    picks: dict[str, dict[str, dict[str, float]]]
    domain_speed: dict[str, dict[str, float]]
    equality: dict[str, int]
    peers_compared: bool
    looping_share: float
    conclusion: str
    machine: dict[str, Any] = field(default_factory=machine_facts)
