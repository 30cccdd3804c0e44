"""`draftpick serve --replicas 2` on a real Ray, with real requests and one replica killed: part of `make test-ray`."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import httpx2
import numpy as np

sys.path.insert(0, "examples/benchmarks")
from serving_bench.scripted_upstream import Script, ScriptedUpstream

from bandits import DecisionLog, LinUCB
from bandits.online import PooledLearner
from bandits.online.segments import read_records

START_S, CALM_S = 180, 90
ARMS = ("fast", "slow")


@contextmanager
def replicas(folder, urls):
    """Serve with two replicas until the block is left, and give their common address."""
    pool = folder / "pool.toml"
    arms = [f'[[arms]]\nkind = "upstream"\nname = "{name}"\nurl = "{url}"' for name, url in urls.items()]
    pool.write_text("\n".join(['[encoder]\nkind = "hashing"\nn_features = 16', *arms]))
    command = [sys.executable, "-m", "speculative.cli", "serve", pool, "--state", folder / "state", "--port", "0"]
    more = "--replicas", "2", "--policy", "lin_ucb", "--mode", "live", "--rewards", "caller", "--columns", "none"
    with subprocess.Popen([*map(str, command), *more], stderr=subprocess.PIPE, text=True) as process:
        watchdog = signal.signal(signal.SIGALRM, lambda *_: process.kill())
        signal.alarm(START_S)
        try:
            yield address(process)
        finally:
            process.terminate()
            said = process.communicate()[1]
            signal.alarm(0)
            signal.signal(signal.SIGALRM, watchdog)
        assert process.returncode == 0, said[-2000:]


def address(process):
    said = []
    for line in process.stderr:
        said.append(line)
        if found := re.search(r"with 2 replicas on (http://\S+)", line):
            signal.alarm(0)
            return found[1]
    raise AssertionError("".join(said)[-2000:])


class Callers:
    """Ask, reward, and remember what was answered."""

    def __init__(self, url, state):
        self.url, self.state, self.answered, self.n_failed = url, state, set(), 0
        self.client = httpx2.Client(trust_env=False, timeout=30)

    def ask(self, number):
        body = {"model": "draftpick", "messages": [{"role": "user", "content": f"word{number % 7} again"}]}
        body["stream"] = number % 2 == 0
        try:
            answer = self.client.post(f"{self.url}/v1/chat/completions", json=body)
        except httpx2.HTTPError:
            self.n_failed += 1
            return
        if answer.status_code == 200 and ("[DONE]" in answer.text or not body["stream"]):
            self.answered.add(answer.headers["x-draftpick-id"])
        else:
            self.n_failed += 1

    def reward(self, name):
        """Reward a decision at whichever replica, again while the one that made it is down."""
        until = time.monotonic() + CALM_S
        while True:
            answer = self.client.post(f"{self.url}/v1/draftpick/reward", json={"id": name, "reward": 0.5})
            if answer.status_code == 200:
                return answer.json()["counted"]
            assert answer.status_code in (500, 503), answer.text
            assert time.monotonic() < until, answer.text
            time.sleep(0.5)

    def ask_many(self, numbers):
        with ThreadPoolExecutor(4) as callers:
            list(callers.map(self.ask, numbers))

    def learned(self, number):
        """Return how many decisions a replica serves the knowledge of; None while it does not listen."""
        try:
            page = self.client.get((self.state / f"replica-{number}" / "url").read_text() + "/metrics").text
        except httpx2.HTTPError:
            return None
        lines = [line for line in page.splitlines() if line.startswith("draftpick:learned_decisions ")]
        return float(lines[0].split()[-1]) if lines else None

    def wait_until_all_know(self, n):
        until = time.monotonic() + CALM_S
        while [self.learned(number) for number in (0, 1)] != [n, n]:
            assert time.monotonic() < until, [self.learned(number) for number in (0, 1)]
            time.sleep(0.2)


def check_serving(folder, urls):
    state = folder / "state"
    with replicas(folder, urls) as url:
        callers = Callers(url, state)
        callers.ask_many(range(60))
        assert callers.n_failed == 0
        names = sorted(callers.answered)
        assert {name.split("-")[1] for name in names} == {"r0", "r1"}, "one replica answered nothing"
        assert all(callers.reward(name) for name in names), "each first reward counts, wherever it comes"
        callers.wait_until_all_know(60)
        print("two replicas answered, rewards found their decisions, each serves what both learned", flush=True)
        os.kill(int((state / "replica-1" / "lock").read_text()), signal.SIGKILL)
        callers.ask_many(range(60, 120))
        more = sorted(callers.answered - set(names))
        assert all(callers.reward(name) for name in more)
        callers.wait_until_all_know(60 + len(more))
        assert len(more) >= 50, f"{callers.n_failed} of 60 requests failed"
        print(f"one was killed: {callers.n_failed} of 60 requests failed, the log was kept, it goes on", flush=True)
        callers.client.close()
    check_logs(state, callers.answered)


def check_logs(state, answered):
    """Every answer has its decision in one log, once, and the sum of what was learned is one policy's of all rows."""
    decided = [
        placed.record["query"]
        for number in (0, 1)
        for placed in read_records(state / f"replica-{number}" / "log")
        if placed.record["kind"] == "decided"
    ]
    assert len(decided) == len(set(decided))
    assert answered <= set(decided)
    logs = [DecisionLog.load(state / f"replica-{number}" / "log") for number in (0, 1)]
    whole = LinUCB().fit(logs[0])
    whole.update(logs[1])
    start = LinUCB()
    start.start(whole.arm_names, whole.state.n_features, whole.state.encoder)
    folders = [state / f"replica-{number}" for number in (0, 1)]
    with closing(
        PooledLearner(start, folders[0] / "log", folders[0] / "learner", lambda: [folders[1] / "learner"])
    ) as all_:
        assert all_.policy.state.n_rows == whole.state.n_rows == len(logs[0]) + len(logs[1])
        for name, array in whole.state.per_arm.items():
            np.testing.assert_allclose(all_.policy.state.per_arm[name], array, rtol=1e-9, atol=1e-9)
    print("the two logs hold each answer once; what was learned is one policy's of all rows", flush=True)


def main():
    scripts = Script(token_s=0.001), Script(token_s=0.004)
    with (
        tempfile.TemporaryDirectory() as folder,
        ScriptedUpstream(scripts[0]) as one,
        ScriptedUpstream(scripts[1]) as two,
    ):
        check_serving(Path(folder), dict(zip(ARMS, (one.url, two.url), strict=True)))
    print("passed")


if __name__ == "__main__":
    main()
