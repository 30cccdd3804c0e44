"""Folders that are read batch by batch, as `--batch-rows` asks for, and what is made of them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from arms.atomic_file import write_file
from speculative.cli import options
from speculative.cli.data_files import STORED_REWARD, TableOptions
from speculative.cli.progress import busy

if TYPE_CHECKING:
    from bandits import FullInformationData, LoggedData, Policy
    from bandits.data import DataStream


def open_folder(
    path: Path, batch_rows: int, table: TableOptions | None = None, **others: object
) -> "DataStream[FullInformationData | LoggedData]":
    """Open a closed folder of draftpick's.

    Args:
        path: of the folder.
        batch_rows: most rows that are read at once.
        table: options of tables, of which none may be given.
        others: further options that need all rows at once, by name with _ for -, of which none may be given.

    Raises:
        ValueError: if it is something else, is not closed, or an option does not go with batches.
        FileNotFoundError: if it is not there.
    """
    from bandits import FullInformationData, LoggedData
    from bandits.data.closed_folder import closed_manifest
    from bandits.online.segments import segment_numbers

    given = [f"--{name.replace('_', '-')}" for name, value in others.items() if value]
    given += [] if table is None else table.given()
    if given:
        raise ValueError(f"{given[0]} needs all rows at once: leave it out, or leave out --batch-rows")
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; check the path")
    if not path.is_dir() or segment_numbers(path):
        raise ValueError(
            f"--batch-rows reads a folder of parts that draftpick wrote and closed, and {path} is none: write parts in "
            "Python with write_part and close_folder, or leave --batch-rows out"
        )
    if closed_manifest(path).kind == LoggedData.kind:
        return LoggedData.stream(path, batch_rows)
    return FullInformationData.stream(path, batch_rows)


def train_streamed(
    name: str, learner: "Policy", stream: "DataStream[FullInformationData | LoggedData]", out: Path, seed: int
) -> tuple[dict[str, object], list[str]]:
    """Learn from a stream, save the policy, and return what `draftpick train` reports, in data and in lines."""
    import bandits

    once = bandits.ComparisonSettings(train_shares=(1.0,))
    with busy("scoring on queries held out"):
        score = bandits.compare({name: learner}, stream, (seed,), settings=once)
    with busy("learning"):
        fitted = score.fit_best({name: learner}, stream)
    file = fitted.save(out)
    row = score[name]
    result: dict[str, object] = {
        "policy": name,
        "file": str(file),
        "reward": STORED_REWARD,
        "n_rows": score.n_rows,
        "n_queries": score.n_queries,
        "arm_names": list(fitted.arm_names),
        "held_out": {"value": row.value, "low": row.low, "high": row.high, "test_share": score.test_share},
        "conclusion": str(score.conclusion),
    }
    lines = [
        f"{name} learned from {score.n_rows} rows of {score.n_queries} queries; saved in {file}",
        f"mean {STORED_REWARD}: {row}",
        str(score.conclusion),
    ]
    return result, lines


def evaluate_streamed(
    policies: "Mapping[str, Policy]",
    stream: "DataStream[FullInformationData | LoggedData]",
    out: Path,
    as_json: bool,
) -> None:
    """Estimate what saved policies would have earned on a log; write NAME.json for each, and table.txt.

    Raises:
        ValueError: if it is no log, or a policy does not fit it.
    """
    import bandits
    from bandits.data import DataStream

    if stream.data_class is not bandits.LoggedData:
        raise ValueError(
            f"{stream.folder} holds every arm's reward, and --batch-rows estimates on logs: leave --batch-rows out, or "
            "use draftpick compare --batch-rows"
        )
    log: DataStream[LoggedData] = stream  # type: ignore[assignment]  # as was checked
    results, texts = {}, []
    for name, policy in policies.items():
        with busy(f"estimating {name}"):
            found = bandits.estimate(policy, log)
        found.save(out / f"{name}.json")
        results[name] = json.loads(found.to_json())
        texts.append(f"{name}, reward: {STORED_REWARD}\n{found.to_text()}")
    write_file(out / "table.txt", "\n\n".join(texts) + "\n")
    options.report(results, "\n\n".join(texts), as_json)
