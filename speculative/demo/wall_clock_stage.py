"""The demo's longest stage, prompt by prompt: it can be stopped and goes on, and it ends when its time is up."""

import json
import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from arms import Query
from arms.atomic_file import write_file
from arms.input_file import read_text
from arms.manifest import check_manifest
from speculative.measuring.wall_clock import Mode, Run

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageLimits:
    """How much of the stage runs.

    Attributes:
        seconds: no prompt is begun that would end later, measured over all calls; None runs all prompts.
        least: prompts that run whatever the time.
        only: for a mode named here, the ids of the queries that it runs on.
    """

    seconds: float | None = None
    least: int = 1
    only: Mapping[str, Set[str]] = field(default_factory=dict)


def run_wall_clock(
    queries: Sequence[Query],
    modes: Mapping[str, Mode],
    folder: Path,
    *,
    seed: int,
    limits: StageLimits,
    on_progress: Progress | None = None,
) -> list[Run]:
    """Run every mode on one prompt after another, each prompt's modes in a random order, until the time is up.

    A prompt's runs are written when all its modes have run; a stopped stage goes on with the next prompt when it is
    called again, and a finished one runs nothing.

    Args:
        queries: prompts, in the order in which they are taken.
        modes: by name.
        folder: takes a file a prompt, and `stage.json`, which says what the stage was begun with.
        seed: of the orders.
        limits: when it ends, and what it leaves out.
        on_progress: called with how many prompts are done, of at most how many.

    Raises:
        ValueError: if the folder was begun with other queries or modes, or one of its files is damaged.
    """
    asked = {"queries": [query.id for query in queries], "modes": list(modes), "seed": seed}
    check_manifest(folder / "stage.json", asked)
    runs: list[Run] = []
    spent = longest = 0.0
    warm = False
    for index, query in enumerate(queries):
        if index >= limits.least and limits.seconds is not None and spent + longest > limits.seconds:
            break
        file = folder / f"prompt-{index:05d}.json"
        if not file.is_file():
            if not warm:
                _warm_up(modes, query)
                warm = True
            asked_modes = [name for name in modes if query.id in limits.only.get(name, {query.id})]
            _write(file, _run_all(query, modes, np.random.default_rng((seed, index)).permutation(asked_modes).tolist()))
        took, found = _read(file)
        runs += found
        spent, longest = spent + took, max(longest, took)
        if on_progress is not None:
            on_progress(index + 1, len(queries))
    return runs


def _warm_up(modes: Mapping[str, Mode], query: Query) -> None:
    for mode in modes.values():
        mode(query.model_copy(update={"max_new_tokens": 4}))


def _run_all(query: Query, modes: Mapping[str, Mode], order: Sequence[str]) -> dict[str, object]:
    begin = time.perf_counter()
    runs = [asdict(modes[name](query)) for name in order]
    return {"seconds": time.perf_counter() - begin, "runs": runs}


def _write(file: Path, record: Mapping[str, object]) -> None:
    write_file(file, json.dumps(record))


def _read(file: Path) -> tuple[float, list[Run]]:
    try:
        record = json.loads(read_text(file))
        return float(record["seconds"]), [Run.of_record(row) for row in record["runs"]]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"{file} is damaged ({error}): delete it and run again") from error
