"""An agent and its learner that are killed again and again: `python killed_agent.py FOLDER SEED N_KILLS N_QUERIES`.

The program imports once and forks a child for each life, so that thirty of them take seconds. A child counts what
reaches the disk (os.write, os.fsync, os.replace, os.unlink) and ends itself with SIGKILL at a seeded count: before
the call, after it, or within a write, a part of which is then on the disk.
"""

import os
import signal
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from bandits import EpsilonGreedy, HashingEncoder, LinUCB  # noqa: E402  found by the path above
from bandits.online import Agent, DecisionLog, Learner  # noqa: E402
from tests.support.fake_endpoints import TOKENS_GIVEN, endpoints, numbered_queries  # noqa: E402

N_FEATURES = 12
BATCH = 10
REACH_THE_DISK = ("write", "fsync", "replace", "unlink")


def new_policy() -> EpsilonGreedy:
    return EpsilonGreedy(LinUCB(), epsilon=0.2)


def serve(folder: Path, n_queries: int) -> None:
    """Go on where the last life ended: finish what it left open, learn what it had not learned, answer the rest."""
    queries = numbered_queries(n_queries)
    with DecisionLog(folder / "log", segment_bytes=20_000) as log:
        learner = Learner(new_policy(), folder / "log", folder / "learner", batch=BATCH)
        agent = Agent(learner.policy, HashingEncoder(N_FEATURES), log, arms=endpoints(), reward=TOKENS_GIVEN, seed=3)
        agent.serve(learner.policy, learner.version)
        agent.resume(queries)
        learn(agent, learner)
        for query in queries[log.n_decisions :]:
            agent.answer(query)
            learn(agent, learner)
        learner.close()


def learn(agent: Agent, learner: Learner) -> None:
    while learner.step():
        agent.serve(learner.policy, learner.version)


def die_at(count: int, rng: np.random.Generator) -> None:
    """Make the calls that reach the disk fatal: the one of this count is the last."""
    left = count
    moment = rng.choice(["before", "within", "after"])
    share = rng.random()

    def fatal(call):
        def counted(*arguments, **options):
            nonlocal left
            left -= 1
            if left == 0 and moment == "within" and call is write:
                handle, content = arguments
                write(handle, content[: int(share * len(content))])
            try:
                return call(*arguments, **options) if left > 0 or moment == "after" else None
            finally:  # a file that is unlinked may be missing
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        return counted

    write = os.write
    for name in REACH_THE_DISK:
        setattr(os, name, fatal(getattr(os, name)))


def main(folder: Path, seed: int, n_kills: int, n_queries: int) -> None:
    for life in range(n_kills + 1):
        child = os.fork()
        if child == 0:
            if life < n_kills:
                rng = np.random.default_rng((seed, life))
                die_at(int(rng.integers(1, 100)), rng)
            serve(folder, n_queries)
            sys.exit(0)
        _, status = os.waitpid(child, 0)
        ended = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        expected = -signal.SIGKILL if life < n_kills else 0
        if ended != expected:
            sys.exit(f"life {life} ended with {ended}, expected {expected}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *(int(value) for value in sys.argv[2:]))
