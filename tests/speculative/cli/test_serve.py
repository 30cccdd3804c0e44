"""`draftpick serve` as a process: it serves, survives SIGKILL without losing a decision, and ends in order."""

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager

import httpx2
import pytest
from serving_bench.scripted_upstream import Script, ScriptedUpstream

from bandits import DecisionLog, load_policy
from bandits.online.segments import read_records
from tests.support.command_runner import refused
from tests.support.front_door import CHAT, wait_for
from tests.support.public_names import ROOT
from tests.support.tiny_pool import ARMS, POOL, TEMPLATE, save_pool


def pool_file(folder, url, more=""):
    file = folder / "pool.toml"
    arms = [f'[[arms]]\nkind = "upstream"\nname = "{name}"\nurl = "{url}"\n{more}' for name in ("a", "b")]
    file.write_text("\n".join(arms))
    return file


@contextmanager
def serving(folder, pool, *options):
    command = [sys.executable, "-m", "speculative.cli", "serve", pool, "--state", folder / "state"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [*map(str, command), "--port", "0", *options], stderr=subprocess.PIPE, text=True, env=environment, cwd=folder
    ) as process:
        try:
            lines = []
            for line in process.stderr:
                lines.append(line)
                if found := re.search(r"serving draftpick \((\w+)\) on (http://127\.0\.0\.1:\d+)", line):
                    yield process, found[2], lines
                    break
            else:
                raise AssertionError("".join(lines))
        finally:
            process.kill()


def ask(url):
    response = httpx2.post(f"{url}/v1/chat/completions", json=CHAT, trust_env=False, timeout=20)
    assert response.status_code == 200
    return response.headers["x-draftpick-id"]


def test_a_killed_server_has_logged_every_answer_once_and_goes_on(tmp_path):
    answered = []
    with ScriptedUpstream(Script()) as server:
        for ending in (signal.SIGKILL, signal.SIGTERM):
            options = ("--policy", "lin_ucb", "--mode", "live", "--set", "ucb_width=0.5", "--slowest", "0.1")
            with serving(tmp_path, pool_file(tmp_path, server.url), *options) as (process, url, lines):
                answered += [ask(url) for _ in range(5)]
                process.send_signal(ending)
                assert process.wait(20) == (-signal.SIGKILL if ending == signal.SIGKILL else 0)
    assert re.match(r"arm a: [\d.]+ tokens/s", lines[0])
    decided = Counter(
        placed.record["query"]
        for placed in read_records(tmp_path / "state" / "log")
        if placed.record["kind"] == "decided"
    )
    assert decided == Counter(answered)


def logged(folder, kind):
    return [one.record for one in read_records(folder / "state" / "log") if one.record["kind"] == kind]


def test_a_server_goes_on_when_arms_join_and_leave(tmp_path):
    checkpoint = tmp_path / "state" / "learner" / "checkpoint.json"
    options = ("--policy", "lin_ucb", "--slowest", "0.1", "--discount", "0.99", "--new-arm-rows", "2")
    with ScriptedUpstream(Script()) as server:
        pool = pool_file(tmp_path, server.url)
        with serving(tmp_path, pool, *options) as (process, url, lines):
            ask(url)
            wait_for(checkpoint.exists)
            pool.write_text(pool.read_text().replace('name = "b"', 'name = "c"'))
            process.send_signal(signal.SIGHUP)
            wait_for(lambda: len(logged(tmp_path, "stage")) == 2)
            ask(url)
            wait_for(lambda: len(logged(tmp_path, "rewarded")) == 2)
            process.send_signal(signal.SIGKILL)
            process.wait(20)
        pool.write_text(pool.read_text().replace('name = "c"', 'name = "d"'))
        with serving(tmp_path, pool, *options) as (process, url, lines):
            ask(url)
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
    assert lines[:2] == ["arm d joins\n", "arm c leaves\n"]
    learned = load_policy(checkpoint.with_name(json.loads(checkpoint.read_text())["policy"]))
    assert (type(learned).__name__, learned.arm_names) == ("Discounted", ("a", "d"))
    data = DecisionLog.load(tmp_path / "state" / "log")
    assert (len(data), data.arm_names) == (3, ("a", "b", "c", "d"))
    assert data.available.tolist() == [
        [True, True, False, False],
        [True, False, True, False],
        [True, False, False, True],
    ]
    assert [one["reason"] for one in logged(tmp_path, "stage")][1:] == [
        "arm c joins, arm b leaves (SIGHUP): a new trial begins",
        "arm d joins, arm c leaves: a new trial begins",
    ]


def test_what_cannot_be_served_is_refused_in_one_line(tmp_path):
    nowhere = pool_file(tmp_path, "http://127.0.0.1:9")
    state = ("--state", tmp_path / "state")
    assert "no upstream answers" in refused("serve", nowhere, *state, "--port", 0)
    assert "incumbent must be one of the arms a, b, got 'z'" in refused("serve", nowhere, *state, "--incumbent", "z")
    short = tmp_path / "keys"
    short.write_text("short\n")
    assert "each of 16 ASCII characters or more" in refused("serve", nowhere, *state, "--key-file", short)
    assert "unknown policy 'best'" in refused("serve", nowhere, *state, "--policy", "best")
    forgetful = ("--discount", 0.9, "--window", 9)
    assert "two ways to forget: give one of them" in refused("serve", nowhere, *state, *forgetful)
    keyed = pool_file(tmp_path, "http://127.0.0.1:9", 'headers = { Authorization = "DRAFTPICK_TEST_MISSING" }\n')
    assert "needs the environment variable DRAFTPICK_TEST_MISSING" in refused("serve", keyed, *state)
    assert "--hindsight needs a pool with a target of its own" in refused("serve", nowhere, *state, "--hindsight")
    bounded = ("--conservative", 60, "--rewards", "caller")
    assert "conservative needs rewards 'own'" in refused("serve", nowhere, *state, *bounded)
    assert "give conservative too" in refused("serve", nowhere, *state, "--conservative-share", 0.1)
    scaled = ("--slowest", 0.1, "--rewards", "caller")
    assert "slowest is the scale of rewards 'own'" in refused("serve", nowhere, *state, *scaled)
    named = ("--policy", "lin_ucb", "--policy-class", "bandits:LinUCB")
    assert "--policy-class is for a saved policy" in refused("serve", nowhere, *state, *named)


@pytest.mark.parametrize("option", [("--rewards", "caller"), ("--slowest", "0.2")])
def test_a_folder_with_rewards_of_another_kind_is_refused(tmp_path, option):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "service.json").write_text('{"rewards": "own", "slowest": 0.1}')
    with ScriptedUpstream(Script()) as server:
        file = pool_file(tmp_path, server.url)
        assert "holds rewards" in refused("serve", file, "--state", tmp_path / "state", "--port", 0, *option)


def test_a_second_server_on_one_folder_is_refused(tmp_path):
    with ScriptedUpstream(Script()) as server, serving(tmp_path, pool_file(tmp_path, server.url)) as _:
        error = refused("serve", tmp_path / "pool.toml", "--state", tmp_path / "state", "--port", 0)
    assert "decision log" in error


def test_a_pool_of_drafts_is_served_by_an_engine_of_its_own(tmp_path):
    pool = save_pool(tmp_path, TEMPLATE)
    options = ("--policy", "hedge", "--mode", "live", "--conservative", "60", "--selector", "tap_out")
    options += ("--cache", str(tmp_path / "cache"))
    with serving(tmp_path, pool, *options) as (process, url, lines):
        texts = {
            httpx2.post(f"{url}/v1/chat/completions", json={**CHAT, "temperature": 0}, trust_env=False, timeout=20).text
            for _ in range(4)
        }
        refusal = httpx2.post(f"{url}/v1/chat/completions", json={**CHAT, "tools": [1]}, trust_env=False, timeout=20)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert len({json.loads(text)["choices"][0]["message"]["content"] for text in texts}) == 1
    assert (refusal.status_code, refusal.json()["error"]["param"]) == (400, "tools")
    assert [line.partition(":")[0] for line in lines if line.startswith("arm ")] == [
        f"arm {name}" for name in (*ARMS, "tap_out")
    ]
    kinds = Counter(placed.record["kind"] for placed in read_records(tmp_path / "state" / "log"))
    assert (kinds["decided"], kinds["rewarded"], kinds["dropped"], kinds["time_budget"]) == (5, 4, 1, 1)


def test_a_pool_whose_encoder_needs_the_target_cannot_be_served(tmp_path):
    text = POOL.replace('kind = "hashing"\nn_features = 8', 'kind = "hidden_state"')
    pool = save_pool(tmp_path, TEMPLATE, text)
    error = refused("serve", pool, "--state", tmp_path / "state", "--port", 0, "--cache", tmp_path / "cache")
    assert "the pool's encoder must read texts alone to serve" in error
