"""To and from Vowpal Wabbit's decision-service JSON (dsjson), one decision a line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from arms.atomic_file import atomic_file
from arms.input_file import read_lines
from bandits.checks import Bool, Float64
from bandits.data.io.dsjson_contexts import NAMELESS, DsjsonContexts
from bandits.data.io.dsjson_line import DsjsonLine, read_line, timestamp
from bandits.data.logged_data import LoggedData

MOST_LINE_BYTES = 64 << 20


def write_dsjson(log: LoggedData | Iterable[LoggedData], path: str | Path) -> int:
    """Write a log for `vw --dsjson`; `read_dsjson` gives back the same ids, times, arms, propensities and contexts.

    Rewards become costs, which are minus the reward. The context is one list of numbers under the name of its encoder,
    an arm's name is its tag.

    Args:
        log: with nothing that dsjson has no field for; or its parts, one after another, such as `DecisionLog.stream`
            gives them, of which no more than one is in memory.
        path: of the file.

    Returns:
        How many rows were written.

    Raises:
        ValueError: if the log has costs, weights, domains or estimated propensities, its parts are of two encoders, or
            a time is no moment.

    Source: https://github.com/VowpalWabbit/vowpal_wabbit/wiki/DSJSON
    """
    n, encoder = 0, None
    with atomic_file(path) as file:
        for part in (log,) if isinstance(log, LoggedData) else log:
            _check_writable(part)
            if n and part.encoder != encoder:
                raise ValueError(
                    f"row {n} is of the encoder {part.encoder!r}, those before of {encoder!r}: write two files"
                )
            encoder = part.encoder
            for row in range(len(part)):
                try:
                    line = json.dumps(_record(part, row), separators=(",", ":"))
                except ValueError as error:
                    raise ValueError(f"row {n}: {error}") from error
                file.write(line.encode() + b"\n")
                n += 1
        if n == 0:
            raise ValueError("a log must hold at least one row, got none")
    return n


def read_dsjson(path: str | Path) -> LoggedData:
    """Read decisions with their labels, as decision services and `write_dsjson` write them.

    An arm is named by its `_tag`, and by its features where it has none. Numbers of the shared context are features,
    texts and `true` become a feature each that is 1 where they stand and 0 elsewhere, as Vowpal Wabbit takes them;
    keys that begin with `_` are no features there, and features of the arms are not read. The file is read line by
    line, in little more memory than its table of contexts takes.

    Args:
        path: of a file in UTF-8, with one decision a line.

    Raises:
        FileNotFoundError: if there is no file.
        ValueError: naming line, field, rule and value, if a line is no labelled decision, or gives a feature twice,
            as objects of one list with the same key do.
    """
    lines: list[DsjsonLine] = []
    contexts, known = DsjsonContexts(), dict[tuple[str, ...], tuple[str, ...]]()
    for number, text in enumerate(read_lines(path, MOST_LINE_BYTES), 1):
        if not text.strip():
            continue
        try:
            line = read_line(text)
            contexts.take(line)
            arms = known.setdefault(line.arms, line.arms)  # one tuple for all lines with the same arms
            lines.append(replace(line, arms=arms, vector=None, features={}))
            _check_alike(lines[0], lines[-1])
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}: line {number}: {error}") from error
    if not lines:
        raise ValueError(f"{path} holds no decision")
    try:
        return _logged(lines, contexts)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _check_writable(log: LoggedData) -> None:
    for name in ("costs", "weights", "domains"):
        if getattr(log, name) is not None:
            raise ValueError(f"dsjson has no field for {name}: write dataclasses.replace(log, {name}=None)")
    if log.propensities_estimated:
        raise ValueError("dsjson has no mark for estimated propensities, so they would be taken for logged ones")


def _record(log: LoggedData, row: int) -> dict[str, object]:
    able = np.arange(log.n_arms) if log.available is None else np.flatnonzero(log.available[row])
    place = int(np.flatnonzero(able == log.actions[row])[0])
    order = [place, *(i for i in range(len(able)) if i != place)]  # the arm taken stands first
    reward, query_id = float(log.rewards[row]), None if log.query_ids is None else log.query_ids[row]
    record: dict[str, object] = {
        "_label_cost": -reward,
        "_label_probability": float(log.propensities[row]),
        "_label_Action": place + 1,
        "_labelIndex": place,
        "o": [{"v": reward} | ({} if query_id is None else {"EventId": query_id})],
    }
    if log.times is not None:
        record["Timestamp"] = timestamp(float(log.times[row]))
    record["Version"] = "1"
    if query_id is not None:
        record["EventId"] = query_id
    record["a"] = [i + 1 for i in order]
    multi = [{"_tag": log.arm_names[arm], "arm": {log.arm_names[arm]: 1}} for arm in able]
    record["c"] = {log.encoder or NAMELESS: log.contexts[row].tolist(), "_multi": multi}
    if log.action_probabilities is not None:
        record["p"] = log.action_probabilities[row, able[order]].tolist()
    record["VWState"] = {"m": "N/A"}
    return record


def _check_alike(first: DsjsonLine, line: DsjsonLine) -> None:
    if (first.time is None) != (line.time is None):
        raise ValueError("Timestamp must be in every line or in none")


def _logged(lines: Sequence[DsjsonLine], gathered: DsjsonContexts) -> LoggedData:
    names = tuple(dict.fromkeys(arm for line in lines for arm in line.arms))
    column = {name: i for i, name in enumerate(names)}
    available = _by_arm(lines, column) > 0
    contexts, encoder = gathered.table()
    times = [line.time for line in lines if line.time is not None]
    return LoggedData(
        contexts=contexts,
        actions=np.array([column[line.arm] for line in lines]),
        rewards=np.array([line.reward for line in lines]),
        propensities=np.array([line.propensity for line in lines]),
        arm_names=names,
        available=None if available.all() else available,
        action_probabilities=_probabilities(lines, column, available),
        times=np.array(times) if times else None,
        query_ids=None if all(line.event_id is None for line in lines) else tuple(line.event_id for line in lines),
        encoder=encoder,
    )


def _by_arm(lines: Sequence[DsjsonLine], column: dict[str, int]) -> Float64:
    there = np.zeros((len(lines), len(column)))
    for row, line in enumerate(lines):
        there[row, [column[arm] for arm in line.arms]] = 1.0
    return there


def _probabilities(lines: Sequence[DsjsonLine], column: dict[str, int], available: Bool) -> Float64 | None:
    if any(line.probabilities is None for line in lines):
        return None
    whole = np.zeros(available.shape)
    for row, line in enumerate(lines):
        for arm, probability in (line.probabilities or {}).items():
            whole[row, column[arm]] = probability
    return whole
