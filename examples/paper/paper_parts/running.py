"""How an experiment is run and what it leaves: a table, a plot, one JSON file."""

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from arms.atomic_file import write_file
from bandits import Estimate
from paper_parts.stored import Stored, first_queries, read_stored
from paper_parts.targets import PaperTarget
from speculative.measuring.machine import machine_facts

HERE = Path(__file__).parents[1]
RESULTS = HERE.parents[1] / "docs" / "results"
TRACES = HERE / "traces"
Plot = Callable[[Path], None]


@dataclass(frozen=True)
class Options:
    """What an experiment may be told.

    Attributes:
        seeds: of policies that draw.
        results: folder of the JSON and the plot.
    """

    seeds: Sequence[int]
    results: Path


@dataclass(frozen=True)
class Found:
    """What an experiment found.

    Attributes:
        rows: of its table, in order; values are numbers, texts or estimates.
        answer: one sentence with its interval, told from the rows.
        plot: draws the picture.
    """

    rows: Sequence[Mapping[str, object]]
    answer: str
    plot: Plot


Experiment = Callable[[Stored, Options], Found]


def run(name: str, experiment: Experiment, arguments: Sequence[str] | None = None) -> dict[str, object]:
    """Read a target's traces, run an experiment, write its JSON and its plot, print the table and the answer.

    Args:
        name: of the experiment, which is that of its script.
        experiment: what is run.
        arguments: of the command line.
    """
    parser = argparse.ArgumentParser(prog=f"{name}.py")
    parser.add_argument(
        "--traces", type=Path, default=TRACES / "smollm2", help="folder of a target that make_traces.py packed"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON and the plot")
    parser.add_argument("--n", type=int, help="queries of each side; all by default")
    parser.add_argument("--seeds", type=int, default=5, help="of policies that draw")
    told = parser.parse_args(arguments)
    stored = read_stored(told.traces)
    if told.n is not None:
        stored = first_queries(stored, told.n)
    return write(name, experiment, stored, Options(range(told.seeds), told.results))


def write(name: str, experiment: Experiment, stored: Stored, options: Options) -> dict[str, object]:
    """Run an experiment on traces that are read already; see `run`."""
    begin = time.perf_counter()
    found = experiment(stored, options)
    profile, target = stored.costs, stored.target
    result = {
        "name": name,
        "command": command(name, target),
        "answer": found.answer,
        "rows": [{key: _json(value) for key, value in row.items()} for row in found.rows],
        "n_train": len(stored.sides["train"].traces),
        "n_test": len(stored.sides["test"].traces),
        "seeds": list(options.seeds),
        "target": stored.facts["target_name"],
        "cost_profile": profile.digest,
        "machine": machine_facts(threads=profile.threads),
        "date": time.strftime("%Y-%m-%d"),
        "seconds": round(time.perf_counter() - begin, 1),
    }
    options.results.mkdir(parents=True, exist_ok=True)
    write_file(options.results / f"{target.results}{name}.json", json.dumps(result, indent=1, allow_nan=False) + "\n")
    found.plot(options.results / f"{target.results}{name}.png")
    _print(found)
    return result


def command(name: str, target: PaperTarget) -> str:
    """Return what runs an experiment on a target's traces."""
    words = "" if target.name == "smollm2" else f" --traces examples/paper/traces/{target.name}"
    return f"python examples/paper/{name}.py{words}"


def _json(value: object) -> object:
    return asdict(value) if isinstance(value, Estimate) else value


def _print(found: Found) -> None:
    for row in found.rows:
        print(
            "  ".join(
                f"{key} {value:.3f}" if isinstance(value, float | Estimate) else str(value)
                for key, value in row.items()
            )
        )
    print(found.answer)
