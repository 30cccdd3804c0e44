"""Kill the front door again and again under load: every answer has its decision once, and nothing is learned twice.

python examples/benchmarks/check_serving_kills.py             # 200 kills, some 5 minutes
python examples/benchmarks/check_serving_kills.py --smoke
"""

import argparse
import asyncio
import json
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
from serving_bench.processes import forked_front_door, upstream
from serving_bench.scripted_upstream import Script
from serving_bench.streaming_clients import Asked, ask_all

from arms.atomic_file import write_file
from bandits import HashingEncoder, Learner, LinUCB
from bandits.online.segments import read_records
from speculative.measuring.machine import machine_facts

N_TOKENS, N_FEATURES = 3, 256
LIFE_S = (0.05, 0.6)
RESULT = Path(__file__).parents[2] / "docs" / "results" / "check_serving_kills.json"
ENOUGH = 1_000_000  # requests: more than a life has time for

Life = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-kills", type=int, default=200)
    parser.add_argument("--n-clients", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="keep the state there; a run that was ended is gone on with")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--smoke", action="store_true", help="two kills")
    options = parser.parse_args(arguments)
    if options.smoke:
        options.n_kills = 2
    with ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = stack.enter_context(upstream(Script(n_tokens=N_TOKENS, first_s=0.01, token_s=0.005)))
        lives = answer_and_kill(folder, port, options)
        answered = [one for life in lives for one in life["answered"]]
        figures = {"kills": n_killed(lives), "answered": len(answered), **checked(folder / "state", answered)}
    print(json.dumps(figures, indent=1))
    if not options.smoke:
        write_file(options.out, json.dumps(report(options, figures), indent=1) + "\n")
    if figures["missing"] or figures["repeated"] or figures["learned_differently"]:
        raise SystemExit("the log or the learner differs from an undisturbed one's")


def report(options: argparse.Namespace, figures: Mapping[str, float]) -> dict[str, object]:
    """Return the figures with what they are meant to be, and where they come from."""
    names = {
        "missing": "answers without their decision in the log",
        "repeated": "decisions that stand in the log twice",
        "learned_differently": "learners that differ from an undisturbed one",
    }
    bars = [
        {"name": name, "value": figures[key], "bar": 0.0, "at_most": True, "holds": figures[key] <= 0}
        for key, name in names.items()
    ]
    return {
        "command": "python examples/benchmarks/check_serving_kills.py",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine_facts(),
        "settings": {"n_kills": options.n_kills, "n_clients": options.n_clients, "seed": options.seed},
        "figures": figures,
        "bars": bars,
    }


def answer_and_kill(folder: Path, port: int, options: argparse.Namespace) -> list[Life]:
    """Return of every life its settings, whether it was killed, and its whole answers; the last one ends in order.

    Lives that the folder knows of are not lived again.

    Raises:
        ValueError: if they had other settings, or more of them were killed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "lives.jsonl"
    settings = {"seed": options.seed, "n_clients": options.n_clients}
    lives: list[Life] = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    before = {name: lives[0][name] for name in settings} if lives else settings
    if before != settings or n_killed(lives) > options.n_kills:
        raise ValueError(
            f"{folder} must hold a run of {settings} and at most {options.n_kills} kills, got {before} and "
            f"{n_killed(lives)}: give another --folder"
        )
    while not lives or lives[-1]["killed"] or n_killed(lives) < options.n_kills:
        rng = np.random.default_rng([options.seed, n_killed(lives)])
        seconds = float(rng.uniform(*LIFE_S)) if n_killed(lives) < options.n_kills else None
        with forked_front_door(folder, [port, port]) as (process, door):
            outcomes = asyncio.run(one_life(process, door, seconds, options.n_clients))
        answered = [one.decision_id for one in outcomes if one.is_whole]
        lives.append({**settings, "killed": seconds is not None, "answered": answered})
        with file.open("a") as opened:
            opened.write(json.dumps(lives[-1]) + "\n")
    return lives


def n_killed(lives: Sequence[Life]) -> int:
    """Return how many lives were killed."""
    return sum(life["killed"] for life in lives)


async def one_life(process: BaseProcess, door: int, seconds: float | None, n_clients: int) -> list[Asked]:
    """Ask until the server is killed, after so many seconds; without a time, ask a few hundred and leave it alive."""
    if seconds is None:
        return await ask_all([door], range(200), n_clients, N_TOKENS)
    asking = asyncio.ensure_future(ask_all([door], range(ENOUGH), n_clients, N_TOKENS))
    await asyncio.sleep(seconds)
    process.kill()
    return await asking


def checked(state: Path, answered: Sequence[str]) -> dict[str, float]:
    """Return how many answers have no decision or two, and whether an undisturbed learner knows something else."""
    decided = Counter(
        str(one.record["query"]) for one in read_records(state / "log") if one.record["kind"] == "decided"
    )
    learned = [learner_of(state, folder) for folder in ("learner", "undisturbed")]
    contexts = HashingEncoder(N_FEATURES).encode([f"please repeat this w{i}" for i in range(50)])
    rewards = [policy.predict_rewards(contexts) for policy in learned]
    return {
        "missing": sum(decided[one] == 0 for one in answered),
        "repeated": sum(count > 1 for count in decided.values()),
        "learned_differently": float(np.abs(rewards[0] - rewards[1]).max() > 1e-6),
    }


def learner_of(state: Path, name: str) -> LinUCB:
    """Return what a learner with this checkpoint, or none yet, knows at the end of the log."""
    policy = LinUCB(arm_names=("a0", "a1"))
    policy.start(("a0", "a1"), N_FEATURES, f"hashing-{N_FEATURES}")
    learner = Learner(policy, state / "log", state / name)
    try:
        while learner.step(whole_batches=False):
            pass
        assert isinstance(learner.policy, LinUCB)
        return learner.policy
    finally:
        learner.close()


if __name__ == "__main__":
    main()
