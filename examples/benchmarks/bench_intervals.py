"""How far off-policy estimates are off, and how often their intervals hold the truth.

Handwritten digits are the queries and the ten digits the arms, so every reward is known and a policy's true value is
exact. Again and again a log is drawn (rows with replacement, actions from a known logging policy), every estimator
is run on it, and each interval either holds the true value or does not.

    python examples/benchmarks/bench_intervals.py            # some minutes on one thread; writes docs/results/
    python examples/benchmarks/bench_intervals.py --smoke    # a few repeats; writes nothing
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from arms.atomic_file import write_file
from bandits import (
    IPS,
    SNIPS,
    DirectMethod,
    DoublyRobust,
    EpsilonGreedy,
    FullInformationData,
    LinUCB,
    LoggedData,
    Policy,
    SelfNormalisedDR,
)
from bandits.data.decision import draw_actions
from bandits.evaluation.canvas import legend_below, save_figure, stacked_figure
from bandits.evaluation.colours import TEXT, colours_of
from bandits.off_policy import (
    BootstrapInterval,
    ConstantReward,
    DeltaMethod,
    EmpiricalBernstein,
    Interval,
    OffPolicyProblem,
    Terms,
)
from bandits.off_policy.estimators import ClippedIPS, OffPolicyEstimator, RejectionReplay
from bandits.policies.linear.prior_precision import choose_prior_precision

RESULTS = Path(__file__).parents[2] / "docs" / "results"
CONFIDENCES = (0.9, 0.95)
EPSILON = 0.5  # of the logging policy: every arm has at least 0.05, so weights are at most 20
FINISHED = "bootstrap of finished terms"
LEAST_SHOWN = 0.85  # the picture's axis begins there

ESTIMATORS: dict[str, OffPolicyEstimator] = {
    "IPS": IPS(),
    "ClippedIPS(5)": ClippedIPS(5.0),
    "SNIPS": SNIPS(),
    "DirectMethod": DirectMethod(),
    "DoublyRobust": DoublyRobust(),
    "DoublyRobust, constant model": DoublyRobust(ConstantReward(0.5)),
    "SelfNormalisedDR": SelfNormalisedDR(),
    "RejectionReplay": RejectionReplay(),
}


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Measure, print, and write `docs/results/bench_intervals.json` and its plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=400, help="logs drawn for each sample size")
    parser.add_argument("--resamples", type=int, default=400, help="of each bootstrap")
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 300, 1000, 3000])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="a few repeats; writes nothing")
    options = parser.parse_args(arguments)
    if options.smoke:
        options.repeats, options.resamples, options.sizes = 8, 50, [60, 120]
    started = time.perf_counter()
    population = Population.build(options.seed)
    rows = []
    for size in options.sizes:
        rows += measure(population, size, options)
        print_rows(rows, size)
    result: dict[str, Any] = {
        "true_value": population.value,
        "rows": rows,
        "bars": bars(rows, max(options.sizes)),
        "repeats": options.repeats,
        "resamples": options.resamples,
        "seconds": round(time.perf_counter() - started, 1),
        "command": f"python examples/benchmarks/bench_intervals.py {' '.join(arguments or sys.argv[1:])}".strip(),
        "seed": options.seed,
        "date": time.strftime("%Y-%m-%d"),
    }
    print(f"true value {population.value:.4f}; {result['seconds']} s")
    for bar in bars(rows, max(options.sizes)):
        print("{holds!s:5} {name}: {value:.3f} (bar {bar})".format(**bar))
    if not options.smoke:
        from speculative.measuring.machine import machine_facts

        result["machine"] = machine_facts()
        write_file(RESULTS / "bench_intervals.json", json.dumps(result, indent=1, allow_nan=False) + "\n")
        draw(rows, RESULTS / "bench_intervals.png")
    return result


@dataclass(frozen=True)
class Population:
    """The rows that logs are drawn from, with both policies' probabilities on it."""

    data: FullInformationData
    logging: np.ndarray
    evaluation: np.ndarray
    value: float

    @classmethod
    def build(cls, seed: int) -> Population:
        """Fit a fair logging policy and a better policy to evaluate on digits that the pool does not hold."""
        data = digits(np.random.default_rng(seed))
        train, pool = data.subset(np.arange(600)), data.subset(np.arange(600, len(data)))
        weak = train.subset(np.arange(60))
        logging: Policy = EpsilonGreedy(LinUCB(ucb_width=0.0), epsilon=EPSILON).fit(weak)
        greedy = LinUCB(ucb_width=0.0, prior_precision=choose_prior_precision(train))
        evaluation: Policy = EpsilonGreedy(greedy, epsilon=0.1).fit(train)
        return cls(pool, pool.probabilities_of(logging), pool.probabilities_of(evaluation), pool.value(evaluation))

    def draw(self, n_rows: int, rng: np.random.Generator) -> OffPolicyProblem:
        """Draw a log of independent rows."""
        rows = rng.integers(len(self.data), size=n_rows)
        logging = self.logging[rows]
        actions = draw_actions(logging, rng)
        log = LoggedData(
            self.data.contexts[rows],
            actions,
            self.data.rewards[rows, actions],
            logging[np.arange(n_rows), actions],
            self.data.arm_names,
            query_ids=tuple(f"{row}" for row in range(n_rows)),
        )
        return OffPolicyProblem(log, self.evaluation[rows], (0.0, 1.0), len(self.data.arm_names) / EPSILON)


def digits(rng: np.random.Generator) -> FullInformationData:
    """Return sklearn's digits: naming the right one is worth 1."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    rows = rng.permutation(len(images))
    contexts = images[rows] / np.linalg.norm(images[rows], axis=1, keepdims=True)
    rewards = (labels[rows, None] == np.arange(10)).astype(float)
    return FullInformationData(contexts, rewards, tuple(f"digit_{i}" for i in range(10)))


METHOD_NAMES = (BootstrapInterval.kind, DeltaMethod.kind, EmpiricalBernstein.kind)


@dataclass
class Tally:
    """What one estimator did over the repeats."""

    n_undefined: int = 0
    values: list[float] = field(default_factory=list)
    hits: dict[tuple[str, float], list[bool]] = field(default_factory=lambda: defaultdict(list))
    widths: dict[tuple[str, float], list[float]] = field(default_factory=lambda: defaultdict(list))
    refusals: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def note(self, interval: Interval, kind: str, truth: float) -> None:
        """Keep whether an interval held the truth, and its width."""
        if interval.low is None or interval.high is None:
            self.refusals[kind].append(str(interval.refused))
            return
        self.hits[kind, interval.confidence].append(interval.low <= truth <= interval.high)
        self.widths[kind, interval.confidence].append(interval.high - interval.low)


def measure(population: Population, n_rows: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return error and coverage of every estimator and interval at one sample size."""
    tallies: dict[str, Tally] = defaultdict(Tally)
    seeds = np.random.SeedSequence((options.seed, n_rows)).spawn(options.repeats)
    for repeat, sequence in enumerate(seeds):
        problem = population.draw(n_rows, np.random.default_rng(sequence))
        bootstrap = BootstrapInterval(options.resamples, seed=repeat)
        found: dict[str, Terms] = {}
        # one seed for all logs would keep the same row numbers, and the luck of those draws would not average out
        drawing = {**ESTIMATORS, "RejectionReplay": RejectionReplay(seed=repeat)}
        for name, estimator in drawing.items():
            try:
                found[name] = estimator.terms(problem)
                tallies[name].values.append(found[name].value)
            except ValueError:  # replay kept no row
                tallies[name].n_undefined += 1
        for confidence in CONFIDENCES:
            for method in (bootstrap, DeltaMethod(), EmpiricalBernstein()):
                intervals = method.intervals([*found.values(), finished(found["SNIPS"])], confidence)
                for name, interval in zip(found, intervals, strict=False):
                    tallies[name].note(interval, method.kind, population.value)
                if method is bootstrap:  # in one call, so that it shares the draws and their time
                    tallies["SNIPS"].note(intervals[-1], FINISHED, population.value)
    return [row for name, tally in tallies.items() for row in summary(name, tally, population.value, n_rows)]


def finished(terms: Terms) -> Terms:
    """Estimate the wrong way, as other libraries do: terms w r / mean(w), as if the mean weight were known."""
    assert terms.denominator is not None
    return Terms(terms.numerator / terms.denominator.mean(), terms.row_weights, terms.queries)


def summary(name: str, tally: Tally, truth: float, n_rows: int) -> list[dict[str, Any]]:
    """Return one row for each interval kind."""
    errors = np.array(tally.values) - truth
    common = {
        "estimator": name,
        "n_rows": n_rows,
        "bias": float(errors.mean()),
        "bias_standard_error": float(errors.std(ddof=1) / np.sqrt(len(errors))),
        "rmse": float(np.sqrt((errors**2).mean())),
        "n_repeats": len(errors),
        "n_undefined": tally.n_undefined,
    }
    rows: list[dict[str, Any]] = []
    for kind in (*METHOD_NAMES, FINISHED):
        row: dict[str, Any] = {**common, "interval": kind}
        refused = tally.refusals[kind]
        row["refused_share"] = len(refused) / (len(CONFIDENCES) * len(errors))
        if refused:
            row["refused"] = max(set(refused), key=refused.count)
        if refused and not tally.hits[kind, CONFIDENCES[0]]:
            rows.append(row)
        elif tally.hits[kind, CONFIDENCES[0]]:
            for confidence in CONFIDENCES:
                row[f"coverage_{confidence:.0%}"] = float(np.mean(tally.hits[kind, confidence]))
                row[f"width_{confidence:.0%}"] = float(np.mean(tally.widths[kind, confidence]))
            rows.append(row)
    return rows


def print_rows(rows: list[dict[str, Any]], n_rows: int) -> None:
    """Print one sample size."""
    print(f"\nn = {n_rows}: estimator, interval, bias, rmse, coverage at 90 % and 95 %, mean width at 95 %")
    for row in rows:
        if row["n_rows"] == n_rows and "coverage_95%" in row:
            print(
                "{estimator:29} {interval:28} {bias:+.4f} {rmse:.4f}  {coverage_90%:.3f} {coverage_95%:.3f}  "
                "{width_95%:.4f}".format(**row)
            )


def bars(rows: list[dict[str, Any]], n_rows: int) -> list[dict[str, Any]]:
    """Return what the run is meant to show, at the largest sample size."""
    at = {(row["estimator"], row["interval"]): row for row in rows if row["n_rows"] == n_rows}
    ratio = at["SNIPS", FINISHED]["width_95%"] / at["SNIPS", "bootstrap"]["width_95%"]
    found: list[dict[str, Any]] = [
        {"name": "SNIPS: width of finished-term bootstrap over joint", "value": ratio, "bar": 1.5, "holds": ratio > 1.5}
    ]
    for name in ("IPS", "SNIPS", "DoublyRobust", "SelfNormalisedDR", "RejectionReplay"):
        for kind in ("bootstrap", "delta"):
            value = at[name, kind]["coverage_95%"]
            title = f"{name}, {kind}: coverage at 95 %"
            found.append({"name": title, "value": value, "bar": 0.93, "holds": value >= 0.93})
    return found


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Error over sample size, and coverage of the 95 % intervals at the largest."""
    names = list(dict.fromkeys(str(row["estimator"]) for row in rows))
    sizes = sorted({int(str(row["n_rows"])) for row in rows})
    figure, (above, below) = stacked_figure([4.4, 1.0 + 0.34 * len(names)])
    for name, colour in colours_of(names).items():
        own = [row for row in rows if row["estimator"] == name and row["interval"] == "delta"]
        above.loglog([row["n_rows"] for row in own], [row["rmse"] for row in own], "o-", ms=4, color=colour, label=name)
    above.set_xticks(sizes, [f"{size:,}" for size in sizes])
    above.minorticks_off()
    above.set_xlabel("rows of the log", fontsize=9)
    above.set_title("Root mean squared error", loc="left", color=TEXT, fontsize=10)
    above.legend(frameon=False, fontsize=9, labelcolor=TEXT, ncols=2, loc="upper center", bbox_to_anchor=(0.4, -0.2))
    kinds = (*METHOD_NAMES, FINISHED)
    for place, (kind, colour) in enumerate(colours_of(kinds).items()):
        own = [row for row in rows if row["n_rows"] == sizes[-1] and row["interval"] == kind and "coverage_95%" in row]
        heights = [names.index(str(row["estimator"])) + 0.15 * (place - 1.5) for row in own]
        for row, height in zip(own, heights, strict=True):
            share = row["coverage_95%"]
            below.plot(max(share, LEAST_SHOWN), height, "o" if share >= LEAST_SHOWN else "<", ms=5, color=colour)
        below.plot([], [], "o", ms=5, color=colour, label=kind)
    below.axvline(0.95, color=TEXT, linewidth=0.8, linestyle="--")
    below.set_yticks(range(len(names)), names)
    below.invert_yaxis()
    below.set_xlabel(f"share of intervals that hold the true value (triangles: below {LEAST_SHOWN})", fontsize=9)
    below.set_title(f"Coverage of 95 % intervals, {sizes[-1]:,} rows", loc="left", color=TEXT, fontsize=10)
    legend_below(figure, below)
    save_figure(figure, path)


if __name__ == "__main__":
    main()
