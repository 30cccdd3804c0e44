"""How far off-policy estimates are off, and how often the intervals that are printed hold the truth.

In five environments the evaluated policy's value is known: five arms with rewards of 0 or 1, five arms with linear
rewards and normal noise, handwritten digits, five arms that a log of sharp choices hardly compares, and sixty arms of
six families. Again and again a log is drawn, every estimator that suits it is run as `estimate` does, and each interval
that is printed either holds the true value or does not.

    python examples/benchmarks/bench_intervals.py --workers 2 # tens of minutes; writes docs/results/
    python examples/benchmarks/bench_intervals.py --smoke     # a few repeats; writes nothing
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from interval_bench.environments import ENVIRONMENTS, Environment

from arms import ProcessExecutor
from arms.atomic_file import write_file
from arms.executors import Failed, SerialExecutor
from bandits import IPS, SNIPS, DirectMethod, DoublyRobust, SelfNormalisedDR
from bandits.evaluation.canvas import legend_below, save_figure, stacked_figure
from bandits.evaluation.colours import TEXT, colours_of
from bandits.off_policy import (
    Anytime,
    BootstrapInterval,
    DeltaMethod,
    EmpiricalBernstein,
    OffPolicyEstimate,
    RefittedBootstrap,
    estimate_problem,
)
from bandits.off_policy.estimators import (
    BalancedIPS,
    ClippedIPS,
    MarginalisedIPS,
    MoreRobustDR,
    OffPolicyEstimator,
    RejectionReplay,
    ShrunkDR,
    Slope,
    SubGaussianDR,
    SubGaussianIPS,
    SwitchDR,
)

RESULTS = Path(__file__).parents[2] / "docs" / "results"
LEAST = 0.92  # coverage of a nominal 95 %
LEAST_PRINTED = 0.1  # of the logs; of an interval that is refused on more, those printed are too few to judge
LEAST_SHOWN = 0.85  # the picture's axis begins there
MOST_OF_DR = 1.1  # the error of Slope's choice, as a multiple of DoublyRobust's
KINDS = (DeltaMethod.kind, BootstrapInterval.kind, EmpiricalBernstein.kind, Anytime.kind, RefittedBootstrap.kind)
MODELLED = (RefittedBootstrap.kind,)  # of what a reward model says: no more than that is promised


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Measure, print, and write `docs/results/bench_intervals.json` and its plot."""
    options = options_of(arguments)
    started = time.perf_counter()
    rows: list[dict[str, Any]] = []
    tasks = [(name, size, options) for name in options.only or ENVIRONMENTS for size in options.sizes]
    executor = SerialExecutor() if options.workers == 1 else ProcessExecutor(options.workers)
    for (name, size, _), found in zip(tasks, executor.map(measure, tasks), strict=True):
        if isinstance(found, Failed):
            raise SystemExit(f"{name}, {size} rows: {found.error}")
        rows += found
        print_rows(rows, name, size)
    kept = RESULTS / "bench_intervals.json"
    old: list[dict[str, Any]] = []
    if options.only and not options.smoke and kept.is_file():
        measured = {(name, size) for name, size, _ in tasks}
        old = json.loads(kept.read_text(encoding="utf-8"))["rows"]
        old = [row for row in old if (row["environment"], row["n_rows"]) not in measured]
        rows = sorted([*rows, *old], key=place_of)
    result: dict[str, Any] = {
        "rows": rows,
        "bars": bars(rows),
        "repeats": options.repeats,
        "resamples": options.resamples,
        "refits": options.refits,
        "seconds": round(time.perf_counter() - started, 1),
        "command": f"python examples/benchmarks/bench_intervals.py {' '.join(arguments or sys.argv[1:])}".strip(),
        "seed": options.seed,
        "date": time.strftime("%Y-%m-%d"),
        "kept": list(dict.fromkeys(f"{row['environment']}, {row['n_rows']:,} rows" for row in old)),
    }
    for bar in result["bars"]:
        if not bar["holds"]:
            print("misses the bar: {name}: {value:.3f} (bar {bar})".format(**bar))
    print(f"{sum(bar['holds'] for bar in result['bars'])} of {len(result['bars'])} bars hold; {result['seconds']} s")
    if not options.smoke:
        from speculative.measuring.machine import machine_facts

        result["machine"] = machine_facts()
        write_file(kept, json.dumps(result, indent=1, allow_nan=False) + "\n")
        draw(rows, RESULTS / "bench_intervals.png")
    return result


def place_of(row: dict[str, Any]) -> tuple[int, int]:
    """Return where the row's environment and size stand in tables."""
    return list(ENVIRONMENTS).index(row["environment"]), row["n_rows"]


def options_of(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options, fewer of everything for a try."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=200, help="logs drawn for each environment and size")
    parser.add_argument("--resamples", type=int, default=300, help="of each bootstrap")
    parser.add_argument("--refits", type=int, default=25, help="of each direct method, where they are quick")
    parser.add_argument("--sizes", type=int, nargs="+", default=[500, 2000, 8000])
    parser.add_argument("--only", nargs="+", choices=list(ENVIRONMENTS), help="measure these, keep other figures")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes; the figures are the same")
    parser.add_argument("--smoke", action="store_true", help="a few repeats; writes nothing")
    options = parser.parse_args(arguments)
    if options.smoke:
        options.repeats, options.resamples, options.refits, options.sizes = 20, 100, 3, [500]
    return options


def estimators(environment: Environment, seed: int, n_refits: int) -> tuple[OffPolicyEstimator, ...]:
    """Return every estimator that applies, without what fits again and again where that takes long.

    Rejection replay draws anew on each log, or the luck of its draws would not average.
    """
    quick = environment.quick
    embeddings = environment.embeddings
    return (
        DoublyRobust(),
        Slope(),
        SelfNormalisedDR(),
        MoreRobustDR(),
        SubGaussianDR(),
        ShrunkDR(),
        SwitchDR(),
        SNIPS(),
        IPS(),
        SubGaussianIPS(),
        ClippedIPS(5.0),
        *((BalancedIPS(),) if quick else ()),
        *(() if embeddings is None else (MarginalisedIPS(embeddings),)),
        RejectionReplay(seed),
        DirectMethod(n_refits=n_refits if quick else 0, seed=seed),
    )


@dataclass
class Tally:
    """What one estimator did over the repeats."""

    values: list[float] = field(default_factory=list)
    hits: dict[str, list[bool]] = field(default_factory=lambda: defaultdict(list))
    widths: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    refusals: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def note(self, estimate: OffPolicyEstimate, truth: float) -> None:
        """Keep the value, whether each interval held the truth, and its width."""
        if estimate.value is not None:
            self.values.append(estimate.value)
        for interval in estimate.intervals:
            if interval.low is None or interval.high is None:
                self.refusals[interval.kind][str(interval.refused)] += 1
            else:
                self.hits[interval.kind].append(interval.low <= truth <= interval.high)
                self.widths[interval.kind].append(interval.high - interval.low)


def measure(task: tuple[str, int, argparse.Namespace]) -> list[dict[str, Any]]:
    """Return error and coverage of every estimator and interval in one environment at one sample size."""
    name, n_rows, options = task
    environment = ENVIRONMENTS[name](options.seed)
    tallies: dict[str, Tally] = defaultdict(Tally)
    sizes = []
    seeds = np.random.SeedSequence((options.seed, n_rows)).spawn(options.repeats)
    for repeat, sequence in enumerate(seeds):
        problem = environment.draw(n_rows, np.random.default_rng(sequence))
        bootstrap = BootstrapInterval(options.resamples, seed=repeat)
        methods = (DeltaMethod(), bootstrap, EmpiricalBernstein(), Anytime(), RefittedBootstrap())
        found = estimate_problem(problem, estimators(environment, repeat, options.refits), methods)
        sizes.append(found.rows[0].diagnostics.effective_sample_size)
        for estimate in found:
            tallies[estimate.name].note(estimate, environment.value)
    common = {
        "environment": name,
        "n_rows": n_rows,
        "true_value": environment.value,
        "effective_size": float(np.mean(sizes)),
    }
    return [
        {**common, "estimator": estimator, **row}
        for estimator, tally in tallies.items()
        for row in summary(tally, environment.value, options.repeats)
    ]


def summary(tally: Tally, truth: float, n_repeats: int) -> list[dict[str, Any]]:
    """Return one row for each kind of interval."""
    errors = np.array(tally.values) - truth
    rows = []
    for kind in KINDS:
        hits = tally.hits[kind]
        row: dict[str, Any] = {
            "interval": kind,
            "bias": float(errors.mean()),
            "rmse": float(np.sqrt((errors**2).mean())),
            "printed_share": len(hits) / n_repeats,
        }
        if hits:
            row |= {"coverage": float(np.mean(hits)), "width": float(np.mean(tally.widths[kind]))}
        if tally.refusals[kind]:
            row["refused"] = tally.refusals[kind].most_common(1)[0][0]
        rows.append(row)
    return rows


def print_rows(rows: list[dict[str, Any]], environment: str, n_rows: int) -> None:
    """Print one environment at one sample size."""
    own = [row for row in rows if (row["environment"], row["n_rows"]) == (environment, n_rows)]
    print(f"\n{environment}, n = {n_rows}, worth {own[0]['effective_size']:.0f}: rmse, coverage, width, share printed")
    for row in (row for row in own if "coverage" in row):
        print("{estimator:18} {interval:20} {rmse:.4f}  {coverage:.3f}  {width:.4f}  {printed_share:.2f}".format(**row))


def bars(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what the run is meant to show: intervals hold the truth often enough, Slope is no worse than plain DR."""
    covered = [
        {
            "name": f"{row['environment']}, n = {row['n_rows']}: {row['estimator']}, {row['interval']}: coverage",
            "value": row["coverage"],
            "bar": LEAST,
            "holds": row["coverage"] >= LEAST,
        }
        for row in rows
        if "coverage" in row and row["interval"] not in MODELLED and row["printed_share"] >= LEAST_PRINTED
    ]
    rmse = {(row["environment"], row["n_rows"], row["estimator"]): row["rmse"] for row in rows}
    chosen = [
        {
            "name": f"{environment}, n = {n_rows}: error of Slope over that of DoublyRobust",
            "value": error / rmse[environment, n_rows, "DoublyRobust"],
            "bar": MOST_OF_DR,
            "at_most": True,
            "holds": error <= MOST_OF_DR * rmse[environment, n_rows, "DoublyRobust"],
        }
        for (environment, n_rows, estimator), error in rmse.items()
        if estimator == "Slope"
    ]
    return [*covered, *chosen]


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Coverage of every interval that is printed, a panel an environment."""
    environments = list(dict.fromkeys(str(row["environment"]) for row in rows))
    names = list(dict.fromkeys(str(row["estimator"]) for row in rows if "coverage" in row))
    sizes = sorted({int(row["n_rows"]) for row in rows})
    figure, panels = stacked_figure([1.0 + 0.34 * len(names)] * len(environments))
    for environment, panel in zip(environments, panels, strict=True):
        for place, (kind, colour) in enumerate(colours_of(KINDS[:2]).items()):
            for size in sizes:
                for row in rows:
                    if (row["environment"], row["interval"], row["n_rows"]) == (
                        environment,
                        kind,
                        size,
                    ) and "coverage" in row:
                        height = names.index(str(row["estimator"])) + 0.24 * (place - 0.5)
                        face = colour if size == sizes[-1] else "none"
                        share = max(float(row["coverage"]), LEAST_SHOWN)
                        panel.plot(share, height, "o", ms=5, color=colour, markerfacecolor=face)
            panel.plot([], [], "o", ms=5, color=colour, label=f"{kind} (filled: {sizes[-1]:,} rows, hollow: fewer)")
        panel.axvline(0.95, color=TEXT, linewidth=0.8, linestyle="--")
        panel.set_yticks(range(len(names)), names)
        panel.set_xlim(LEAST_SHOWN - 0.005, 1.005)
        panel.invert_yaxis()
        panel.set_title(
            f"Coverage of 95 % intervals, {environment} (at the left edge: {LEAST_SHOWN} or less)",
            loc="left",
            color=TEXT,
            fontsize=10,
        )
    legend_below(figure, panels[-1])
    save_figure(figure, path)


if __name__ == "__main__":
    main()
