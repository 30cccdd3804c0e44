"""A small job, from a table to a choice: `python small_job.py FOLDER ARM`; prints what it gives.

Run with other settings of the machine, it must print the same. Numbers count to nine decimals: with more threads the
sums of a product are added in another order, which changes their last digits.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from bandits import (  # noqa: E402  found by the path above
    FullInformationData,
    HashingEncoder,
    LinUCB,
    LoggedData,
    compare,
    estimate,
    from_long_table,
    load_policy,
)
from bandits.data.io import TableLayout  # noqa: E402
from bandits.policies import make_policy  # noqa: E402
from speculative.cli.main import app  # noqa: E402

LEVELS = ("maths", "code", "ıstanbul", "數學")


def digest(*values: np.ndarray | str) -> str:
    """The first letters of the SHA-256 of arrays and texts."""
    return hashlib.sha256(b"".join(map(_bytes, values))).hexdigest()[:16]


def _bytes(value: np.ndarray | str) -> bytes:
    if isinstance(value, str):
        return value.encode()
    rounded = np.round(value, 9) + 0.0 if value.dtype.kind == "f" else value  # 0.0 takes the sign of a zero away
    return np.ascontiguousarray(rounded).tobytes()


def rounded(text: str) -> str:
    """JSON with its numbers to nine decimals."""
    return json.dumps(json.loads(text, parse_float=lambda number: round(float(number), 9) + 0.0))


def run(*arguments: str) -> None:
    """Run a command of draftpick's, which must end well."""
    assert not app(arguments, standalone_mode=False)


def table(path: Path) -> Path:
    """Write a log of 120 decisions with text columns and local times, some in an hour that summer time skips."""
    rng = np.random.default_rng(0)
    lines = ["query_id,query,topic,arm,reward,propensity,time"]
    for i, level in enumerate(rng.choice(LEVELS, 120)):
        arm = ("größe", "klein")[rng.integers(2)]
        lines.append(f"{i:03d},{level} {i},{level},{arm},{rng.random():.6f},0.5,2026-03-29T02:30:{i % 60:02d}")
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def policies() -> dict[str, str]:
    """What policies say of contexts after learning from full information."""
    rng = np.random.default_rng(1)
    contexts, rewards = rng.normal(size=(200, 16)), rng.normal(size=(200, 5))
    data = FullInformationData(contexts, rewards, tuple("abcde"))
    names = ("lin_ucb", "lin_ts", "square_cb", "softmax", "knn")
    learned = {name: make_policy(name, {}).fit(data).probabilities(contexts[:50]) for name in names}
    compared = compare({"lin_ucb": LinUCB(), "knn": make_policy("knn", {})}, data, range(2))
    return {name: digest(rows) for name, rows in learned.items()} | {"compare": digest(rounded(compared.to_json()))}


def main(folder: Path, arm: str) -> None:
    """Do it."""
    path = table(folder / "table.csv")
    log = from_long_table(path, HashingEncoder(16), TableLayout(context_columns=["topic"]))
    assert isinstance(log, LoggedData)
    found = {"log": digest(log.contexts, log.times, log.rewards, *log.arm_names, str(log.encoder))}
    found["estimate"] = digest(rounded(estimate(LinUCB().fit(log), log).to_json()))
    arguments = ["train", str(path), "--out", str(folder / "policy"), "--context-columns", "topic", "--json"]
    run(*arguments)
    found["policy"] = digest(load_policy(folder / "policy").probabilities(np.eye(len(LEVELS))))
    sys.stdout.write(json.dumps(found | policies()) + "\n")
    context = json.dumps({"topic": LEVELS[2]}, ensure_ascii=False)
    arguments = ["choose", "--policy", str(folder / "policy"), "--context", context, "--available", arm, "--id", "a"]
    run(*arguments)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
