"""What a policy that chooses between two upstreams takes, beside each of them alone on the same prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bandits import Bootstrap
from serving_bench.engines import NGRAM, PLAIN

POLICY = "policy"


@dataclass(frozen=True, slots=True)
class Timed:
    """One answer: of an upstream asked directly, or of the front door, which then says what it chose."""

    query: str
    domain: str
    side: str
    seconds: float
    n_tokens: int
    arm: str | None
    decision_id: str | None


def compared(rows: Sequence[Timed], seed: int) -> dict[str, Any]:
    """Return each side's totals, the policy's seconds over each fixed upstream's, and what it chose by domain."""
    sides = {side: [row for row in rows if row.side == side] for side in (PLAIN, NGRAM, POLICY)}
    totals = {side: sum(row.seconds for row in own) for side, own in sides.items()}
    best = min((PLAIN, NGRAM), key=totals.__getitem__)
    figures: dict[str, Any] = {"n_prompts": len(sides[POLICY]), "best_fixed": best, "by_domain": {}}
    for side, own in sides.items():
        n_tokens = sum(row.n_tokens for row in own)
        figures |= {f"{side}_s": round(totals[side], 2), f"{side}_tokens_per_s": round(n_tokens / totals[side], 2)}
    bootstrap = Bootstrap(seed=seed)
    for side in (PLAIN, NGRAM):
        pairs = np.array([(a.seconds, b.seconds) for a, b in zip(sides[POLICY], sides[side], strict=True)])
        sums = bootstrap.sums(pairs)
        ratio = bootstrap.estimate(sums[:, 0] / sums[:, 1], len(pairs))
        figures[f"policy_over_{side}"] = [round(float(one), 4) for one in (ratio.value, ratio.low, ratio.high)]
    fastest = [min(a.seconds, b.seconds) for a, b in zip(sides[PLAIN], sides[NGRAM], strict=True)]
    figures["best_of_each_s"] = round(sum(fastest), 2)
    for domain in sorted({row.domain for row in rows}):
        plain, ngram, chosen = ([row for row in own if row.domain == domain] for own in sides.values())
        figures["by_domain"][domain] = {
            "ngram_over_plain": round(sum(row.seconds for row in ngram) / sum(row.seconds for row in plain), 3),
            "ngram_chosen": round(float(np.mean([row.arm == NGRAM for row in chosen])), 2),
        }
    return figures


def bars(figures: Mapping[str, Any]) -> list[dict[str, object]]:
    """Return what the figures are meant to reach, and whether they do."""
    low, high = figures["shadow_interval"]
    distance = abs(figures["live_reward"] - (low + high) / 2) / ((high - low) / 2)
    rows = [
        ("policy's seconds over the best fixed upstream's", figures[f"policy_over_{figures['best_fixed']}"][0]),
        ("live reward's distance from the middle of shadow's interval, in half intervals", round(distance, 3)),
    ]
    return [{"name": name, "value": value, "bar": 1.0, "at_most": True, "holds": value <= 1} for name, value in rows]
