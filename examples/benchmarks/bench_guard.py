"""Whether the time lost against no draft ever exceeds a budget, on requests whose drafts and selector are hostile.

python examples/benchmarks/bench_guard.py             # writes docs/results/bench_guard.json
python examples/benchmarks/bench_guard.py --smoke     # a tenth of a percent; writes nothing

An adversary chooses: it knows where the budget stands, saves time until there is room, and then takes the arm that
loses most; or arms turn slow once they have saved; or it draws at random. Seconds are drawn, so what no draft would
have taken is known exactly here, whatever the guard knows of it.
"""

import argparse
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from arms.atomic_file import write_file
from bandits.online import TimeBudget
from speculative.measuring.machine import machine_facts
from speculative.protocols.selector import RoundContext, RoundObservation, Selector
from speculative.selectors import Conservative

RESULT = Path(__file__).parents[2] / "docs" / "results" / "bench_guard.json"
PLAIN_S = 0.01
NOISE = 0.1  # standard deviation over mean of an undrafted round


class Adversary(Selector):
    """Takes the arm that loses whenever it is allowed, and saves until it is."""

    def __init__(self, budget: TimeBudget, rng: random.Random) -> None:
        self.budget = budget

    def select(self, rounds: Sequence[RoundContext]) -> Sequence[int]:
        """Choose by where the budget stands."""
        return [2 if self.budget.allows(2, len(rounds)) else 1] * len(rounds)


class AtRandom(Adversary):
    """Any arm."""

    def __init__(self, budget: TimeBudget, rng: random.Random) -> None:
        self._rng = rng

    def select(self, rounds: Sequence[RoundContext]) -> Sequence[int]:
        """Draw an arm for each."""
        return [self._rng.randrange(3) for _ in rounds]


class Turning(Adversary):
    """An arm that saves for a thousand rounds and then loses for a thousand."""

    def __init__(self, budget: TimeBudget, rng: random.Random) -> None:
        self._n = 0

    def select(self, rounds: Sequence[RoundContext]) -> Sequence[int]:
        """Take one arm, then the other."""
        self._n += 1
        return [1 + (self._n // 1_000) % 2] * len(rounds)


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to try it: who chooses, how much may be lost, how many requests run at once, what the guard knows."""

    adversary: type[Adversary]
    budget_s: float
    n_at_once: int = 1
    measured: bool = False
    share: float = 0.0

    @property
    def name(self) -> str:
        """What the table says."""
        words = [self.adversary.__name__, f"budget {self.budget_s:g} s"]
        words += [f"and {self.share:.0%}"] if self.share else []
        words += [f"{self.n_at_once} at once"] if self.n_at_once > 1 else []
        return ", ".join([*words, "pace measured" if self.measured else "pace known"])


SETTINGS = (
    *(Setting(Adversary, budget_s) for budget_s in (0.0, 1.0, 10.0)),
    Setting(Adversary, 1.0, n_at_once=8),
    *(Setting(kind, 1.0, measured=True) for kind in (Adversary, AtRandom, Turning)),
    Setting(Adversary, 1.0, measured=True, n_at_once=8),
    Setting(Adversary, 1.0, measured=True, share=0.01),
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--smoke", action="store_true", help="few requests; write nothing")
    options = parser.parse_args(arguments)
    n_requests = 100 if options.smoke else options.n_requests
    rows = {setting.name: play(setting, n_requests, options.seed) for setting in SETTINGS}
    bars = [
        {"name": f"{name}: rounds beyond the budget and one round", "value": row["n_beyond"], "bar": 0, "at_most": True}
        for name, row in rows.items()
    ]
    bars = [{**bar, "holds": bar["value"] <= bar["bar"]} for bar in bars]
    print(json.dumps({"rows": rows, "bars": bars}, indent=1))
    if not options.smoke:
        record = {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": "python examples/benchmarks/bench_guard.py",
            "machine": machine_facts(),
            "settings": {"n_requests": n_requests, "seed": options.seed, "plain_s": PLAIN_S, "noise": NOISE},
            "rows": rows,
            "bars": bars,
        }
        write_file(options.out, json.dumps(record, indent=1) + "\n")


def play(setting: Setting, n_requests: int, seed: int) -> dict[str, float]:
    """Serve requests, and return how far the loss went, and how often beyond what is promised."""
    rng = random.Random(seed)
    budget = TimeBudget(setting.budget_s, share=setting.share, pace_s=None if setting.measured else PLAIN_S)
    guard = Conservative(setting.adversary(budget, rng), budget, plain=0, seed=seed)
    left: dict[str, int] = {}
    lost = safe = most = largest = 0.0
    n_started = n_rounds = n_beyond = n_drafted = 0
    while n_started < n_requests or left:
        while n_started < n_requests and len(left) < setting.n_at_once:
            left[f"r{n_started}"] = 1 + rng.randrange(6)
            n_started += 1
        names = list(left)
        rounds = [RoundContext(name, 9, 1, (True,) * 3, n_running=len(names)) for name in names]
        told = [outcome(name, action, rng) for name, action in zip(names, guard.select(rounds), strict=True)]
        guard.observe(told)
        step = sum(one.seconds - one.n_new * PLAIN_S for one in told if one.action)
        lost, safe = lost + step, safe + PLAIN_S * sum(one.n_new for one in told)
        allowed = setting.budget_s + setting.share * safe
        largest, most = max(largest, step), max(most, lost - setting.share * safe)
        n_beyond += lost > allowed + largest + 1e-9
        n_rounds, n_drafted = n_rounds + len(told), n_drafted + sum(one.action > 0 for one in told)
        for name in names:
            left[name] -= 1
            if not left[name]:
                del left[name]
                guard.finish(name)
    return {
        "n_requests": n_requests,
        "n_rounds": n_rounds,
        "n_drafted": n_drafted,
        "n_withheld": budget.n_withheld,
        "n_beyond": int(n_beyond),
        "most_lost_s": most,
        "largest_round_s": largest,
        "lost_at_the_end_s": lost,
    }


def outcome(name: str, action: int, rng: random.Random) -> RoundObservation:
    """Return what a round gives: without a draft, with one that saves, or with one that loses, at times very much."""
    if action == 0:
        return RoundObservation(name, 0, 0, 0, 1, PLAIN_S * max(0.1, 1 + NOISE * rng.gauss(0.0, 1.0)))
    if action == 1:
        n_new = 1 + rng.randrange(5)
        return RoundObservation(name, 1, 4, n_new - 1, n_new, 1.5 * PLAIN_S)
    return RoundObservation(name, 2, 4, 0, 1, PLAIN_S * rng.choice((3.0, 8.0, 40.0)))


if __name__ == "__main__":
    main()
