"""What one online decision costs: choosing, logging with and without fsync, and learning from the log.

    python examples/benchmarks/time_online.py

Prints microseconds, the median over repeats, for 8 arms and 384 features.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from arms import Query
from bandits import Agent, DecisionLog, EpsilonGreedy, HashingEncoder, Learner, LinUCB

ARM_NAMES = tuple(f"arm_{i}" for i in range(8))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-decisions", type=int, default=1000)
    parser.add_argument("--n-repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="on the disk to measure; a temporary folder by default")
    options = parser.parse_args(arguments)
    for sync_every in (0, 1):
        repeats = [measure(options.n_decisions, sync_every, options.folder) for _ in range(options.n_repeats)]
        print(f"sync_every={sync_every}")
        for name in repeats[0]:
            print(f"  {name:28} {statistics.median(repeat[name] for repeat in repeats):9.1f} us")


def measure(n: int, sync_every: int, folder: Path | None) -> dict[str, float]:
    """Return microseconds a decision of each part of the loop."""
    encoder = HashingEncoder(384)
    policy = EpsilonGreedy(LinUCB(arm_names=ARM_NAMES), epsilon=0.1)
    queries = [Query(id=f"q{i}", prompt=f"what is {i} times {i % 7}?") for i in range(n)]
    with tempfile.TemporaryDirectory(dir=folder) as place, DecisionLog(f"{place}/log", sync_every=sync_every) as log:
        agent = Agent(policy, encoder, log)
        seconds = {
            "encode": timed(encoder.encode_query, queries),
            "choose (encode, draw, log)": timed(agent.choose, queries),
            "reward (log)": timed(lambda query: agent.reward(query.id, 0.5), queries),
        }
        learner = Learner(policy, f"{place}/log", f"{place}/learner", batch=n)
        begin = time.perf_counter()
        learner.step()
        seconds["learn (read, update, save)"] = time.perf_counter() - begin
        learner.close()
    return {name: 1e6 * value / n for name, value in seconds.items()}


def timed(call: Callable[[Query], object], queries: Sequence[Query]) -> float:
    """Return the seconds that a call takes for all queries."""
    begin = time.perf_counter()
    for query in queries:
        call(query)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
