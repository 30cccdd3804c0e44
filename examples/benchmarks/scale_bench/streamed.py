"""What is done to a log on disk in batches, and to the same rows in memory; one piece a process, for its peak."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from bandits import BestFixedArm, ComparisonSettings, LinTS, LinUCB, LoggedData, compare, estimate
from scale_bench.drawn import drawn_log, write_log

BATCH_ROWS = 65_536


def write(folder: Path, n: int, d: int, k: int) -> None:
    write_log(folder, n, d, k)


def fit(folder: Path, n: int, d: int, k: int) -> None:
    LinUCB().fit_stream(LoggedData.stream(folder, BATCH_ROWS))


def estimate_(folder: Path, n: int, d: int, k: int) -> None:
    print(estimate(_policy(d, k), LoggedData.stream(folder, BATCH_ROWS)).to_text(), file=sys.stderr)


def compare_(folder: Path, n: int, d: int, k: int) -> None:
    stream = LoggedData.stream(folder, BATCH_ROWS)
    settings = ComparisonSettings(train_shares=(1.0,))
    policies = {"fixed": BestFixedArm(), "LinUCB": LinUCB(), "LinTS": LinTS()}
    print(compare(policies, stream, (0,), settings=settings).to_text(), file=sys.stderr)


def command_compare(folder: Path, n: int, d: int, k: int) -> None:
    command = [sys.executable, "-m", "speculative.cli", "compare", str(folder), "--batch-rows", str(BATCH_ROWS)]
    chosen = ["--policies", "best_fixed_arm, lin_ucb, lin_ts", "--seeds", "1", "--out", f"{folder}-comparison"]
    subprocess.run([*command, *chosen], check=True, stdout=sys.stderr)


def fit_in_memory(folder: Path, n: int, d: int, k: int) -> None:
    LinUCB().fit(LoggedData.load(folder))


def estimate_in_memory(folder: Path, n: int, d: int, k: int) -> None:
    print(estimate(_policy(d, k), LoggedData.load(folder)).to_text(), file=sys.stderr)


def _policy(d: int, k: int) -> LinUCB:
    return LinUCB().fit(drawn_log(2_000 * k, d, k, seed=0))


PIECES: dict[str, tuple[str, Callable[[Path, int, int, int], None]]] = {
    "write": ("Parquet parts are written and closed", write),
    "fit": ("LinUCB: fit_stream", fit),
    "estimate": ("estimate: LinUCB, five estimators, streamed", estimate_),
    "compare": ("compare: best fixed arm, LinUCB, LinTS, one seed, three estimators, streamed", compare_),
    "command": ("draftpick compare --batch-rows, the same, with its table and plots", command_compare),
    "fit-in-memory": ("LinUCB: load and fit", fit_in_memory),
    "estimate-in-memory": ("estimate: LinUCB, five estimators, load", estimate_in_memory),
}
