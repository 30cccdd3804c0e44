"""To and from Vowpal Wabbit's decision-service JSON (dsjson), one decision a line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from arms.atomic_file import atomic_file
from arms.input_file import read_bytes
from bandits.checks import Bool, Float32, Float64
from bandits.data.io.dsjson_line import DsjsonLine, read_line, timestamp
from bandits.data.logged_data import LoggedData
from bandits.encoders.columns import mark_of_names

_NAMELESS = "context"
_MOST_NUMBERS = 1 << 28


def write_dsjson(log: LoggedData, path: str | Path) -> None:
    """Write a log for `vw --dsjson`; `read_dsjson` gives back the same ids, times, arms, propensities and contexts.

    Rewards become costs, which are minus the reward. The context is one list of numbers under the name of its encoder,
    an arm's name is its tag.

    Args:
        log: with nothing that dsjson has no field for.
        path: of the file.

    Raises:
        ValueError: if the log has costs, weights, domains or estimated propensities, or a time is no moment.

    Source: https://github.com/VowpalWabbit/vowpal_wabbit/wiki/DSJSON
    """
    for name in ("costs", "weights", "domains"):
        if getattr(log, name) is not None:
            raise ValueError(f"dsjson has no field for {name}: write dataclasses.replace(log, {name}=None)")
    if log.propensities_estimated:
        raise ValueError("dsjson has no mark for estimated propensities, so they would be taken for logged ones")
    with atomic_file(path) as file:
        for row in range(len(log)):
            try:
                line = json.dumps(_record(log, row), separators=(",", ":"))
            except ValueError as error:
                raise ValueError(f"row {row}: {error}") from error
            file.write(line.encode() + b"\n")


def read_dsjson(path: str | Path) -> LoggedData:
    """Read decisions with their labels, as decision services and `write_dsjson` write them.

    An arm is named by its `_tag`, and by its features where it has none. Numbers of the shared context are features,
    texts and `true` become a feature each that is 1 where they stand and 0 elsewhere, as Vowpal Wabbit takes them;
    keys that begin with `_` are no features there, and features of the arms are not read.

    Args:
        path: of a file in UTF-8, with one decision a line.

    Raises:
        FileNotFoundError: if there is no file.
        ValueError: naming line, field, rule and value, if a line is no labelled decision, or gives a feature twice,
            as objects of one list with the same key do.
    """
    lines: list[DsjsonLine] = []
    for number, text in enumerate(read_bytes(path).split(b"\n"), 1):
        if not text.strip():
            continue
        try:
            lines.append(read_line(text))
            _check_alike(lines[0], lines[-1])
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}: line {number}: {error}") from error
    if not lines:
        raise ValueError(f"{path} holds no decision")
    try:
        return _logged(lines)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


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
    record["c"] = {log.encoder or _NAMELESS: log.contexts[row].tolist(), "_multi": multi}
    if log.action_probabilities is not None:
        record["p"] = log.action_probabilities[row, able[order]].tolist()
    record["VWState"] = {"m": "N/A"}
    return record


def _check_alike(first: DsjsonLine, line: DsjsonLine) -> None:
    if (first.time is None) != (line.time is None):
        raise ValueError("Timestamp must be in every line or in none")
    if first.vector != line.vector:
        raise ValueError(
            f"c must hold its features in one form: the first line has {_shown(first)}, this one {_shown(line)}"
        )


def _shown(line: DsjsonLine) -> str:
    return "named features" if line.vector is None else f"{line.vector[1]} numbers under {line.vector[0]!r}"


def _logged(lines: Sequence[DsjsonLine]) -> LoggedData:
    names = tuple(dict.fromkeys(arm for line in lines for arm in line.arms))
    column = {name: i for i, name in enumerate(names)}
    available = _by_arm(lines, column) > 0
    contexts, encoder = _contexts(lines)
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


def _contexts(lines: Sequence[DsjsonLine]) -> tuple[Float32, str | None]:
    """Return (n, d) contexts and the mark of what made them."""
    vector = lines[0].vector
    if vector is not None:
        name, length = vector
        rows = np.array([list(line.features.values()) for line in lines], np.float64).reshape(len(lines), length)
        return rows.astype(np.float32), None if name == _NAMELESS else name
    names = tuple(dict.fromkeys(name for line in lines for name in line.features))
    if len(names) * len(lines) > _MOST_NUMBERS:
        raise ValueError(
            f"{len(names)} features in {len(lines)} lines are more than a table holds: leave out texts that are "
            "different in every line, such as ids (a name that begins with _ is not read)"
        )
    place = {name: i for i, name in enumerate(names)}
    contexts = np.zeros((len(lines), max(1, len(names))), np.float32)
    for row, line in enumerate(lines):
        for name, value in line.features.items():
            contexts[row, place[name]] = value
    return contexts, mark_of_names(names) if names else None
