"""A measurement in cells: each is saved when it is done, and none is measured twice."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from arms.atomic_file import write_file
from gpu_bench.bars import bars
from gpu_bench.machine import Machine

Row = dict[str, Any]


class Cell(NamedTuple):
    """One thing to measure: what it is, and the program that gives its figures."""

    what: Mapping[str, Any]
    measure: Callable[[], Row]


Stage = Callable[[Machine], Iterator[Cell]]


class Record:
    """What was measured so far, in a JSON file that is written anew after every cell.

    Args:
        path: of the file; None to keep nothing. What it holds is kept, cells that failed aside.
        head: what the figures are to be told with. Cells of another head are not kept.
        budget_s: seconds after which no cell is begun.
    """

    def __init__(self, path: Path | None, head: Row, budget_s: float) -> None:
        self._path, self._end = path, time.monotonic() + budget_s
        self.content: Row = {**head, "stages": {}}
        if path is not None and path.is_file():
            kept = json.loads(path.read_text(encoding="utf-8"))
            if all(kept.get(key) == head[key] for key in ("machine", "settings")):
                self.content["stages"] = {
                    name: [row for row in rows if "error" not in row] for name, rows in kept["stages"].items()
                }

    def run(self, name: str, stage: Stage, machine: Machine) -> bool:
        """Measure the cells of a stage that are missing; whether all were reached in time."""
        rows: list[Row] = self.content["stages"].setdefault(name, [])
        for cell in stage(machine):
            if any(all(row.get(key) == value for key, value in cell.what.items()) for row in rows):
                continue
            if time.monotonic() > self._end:
                return False
            rows.append({**cell.what, **_measured(cell)})
            print(f"{name}: {json.dumps(rows[-1])[:300]}", flush=True)
            self.save()
        return True

    def save(self) -> None:
        """Write what there is, and which bars it keeps."""
        self.content["bars"] = bars(self.content["stages"])
        if self._path is not None:
            write_file(self._path, json.dumps(self.content, indent=1, allow_nan=False) + "\n")


def _measured(cell: Cell) -> Row:
    """Measure one cell; an error, such as of memory or of another version of torch, costs this cell alone."""
    try:
        return cell.measure()
    except Exception as error:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return {"error": f"{type(error).__name__}: {error}"[:300]}
