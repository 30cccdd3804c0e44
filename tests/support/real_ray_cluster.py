"""Work on a real Ray cluster that was started beside it, by its address: part of `make test-ray`."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import psutil

from bandits import FullInformationData
from tests.support.tiny_pool import save_pool

N_PROMPTS = 128  # eight parts
START_S, JOB_S = 60, 240


ENVIRONMENT = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
    "RAY_CLIENT_RECONNECT_GRACE_PERIOD": "1",
}
"""The cluster asks for a token, and the commands give it."""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextmanager
def cluster():
    """Start a head node with two processors and a client server, and give its process and its address."""
    port, place = free_port(), tempfile.mkdtemp(prefix="ray")
    command = [
        *(str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--num-cpus=2"),
        *(f"--port={free_port()}", f"--ray-client-server-port={port}", "--node-ip-address=127.0.0.1"),
        *("--include-dashboard=false", "--disable-usage-stats", "--object-store-memory=80000000"),
        f"--temp-dir={place}",
    ]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, start_new_session=True, env=os.environ | ENVIRONMENT, **quiet) as head:
        try:
            until = time.monotonic() + START_S
            while not listens(port):
                assert head.poll() is None, "ray start ended"
                assert time.monotonic() < until, "the client server did not start"
                time.sleep(0.2)
            yield head, f"ray://127.0.0.1:{port}"
        finally:
            end(head)
            shutil.rmtree(place, ignore_errors=True)


def listens(port):
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


def family(process):
    """Return a process and all below it, as far as they live."""
    try:
        first = psutil.Process(process.pid)
        return [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def end(head):
    """Kill a cluster's processes, all at once."""
    members = family(head)
    for member in members:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(members, timeout=20)


def start(*arguments):
    """Run `draftpick` in a process of its own."""
    command = [sys.executable, "-m", "speculative.cli", *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | ENVIRONMENT
    )


def ended(process):
    """Return status and last words of a command."""
    out, err = process.communicate(timeout=JOB_S)
    return process.returncode, (out + err)[-2000:]


def traces(folder):
    """Return the traced parts that are whole, with when they were written."""
    return {path.name: path.stat().st_mtime_ns for path in (folder / "traces").glob("part-*")}


def wait_for_parts(job, folder, n):
    until = time.monotonic() + JOB_S
    while len(traces(folder)) < n:
        assert job.poll() is None, ended(job)
        assert time.monotonic() < until, f"no {n} parts were written"
        time.sleep(0.02)


def check_collect(folder):
    """A collection whose worker, and then whose cluster, was killed goes on, and ends where one process ends."""
    pool, prompts = save_pool(folder / "pool"), folder / "prompts.jsonl"
    prompts.write_text(
        "\n".join(json.dumps({"prompt": f"{i} of many of them", "id": f"q{i}"}) for i in range(N_PROMPTS))
    )
    ask = "collect", prompts, "--pool", pool, "--allow-noisy-costs", "--threads", 1, "--cache", folder / "costs"
    assert ended(start(*ask, "--out", folder / "plain", "--executor", "serial"))[0] == 0
    out = folder / "spread"
    with cluster() as (head, address):
        job = start(*ask, "--out", out, "--executor", address)
        wait_for_parts(job, out, 1)
        os.kill(next(one.pid for one in family(head) if one.cmdline()[:1] == ["ray::Worker.run"]), signal.SIGKILL)
        status, said = ended(job)
        assert (status != 0, "the Ray worker died" in said) == (True, True), said
        print("a collection whose worker died ended with an error", flush=True)
        before = traces(out)
        job = start(*ask, "--out", out, "--executor", address)
        wait_for_parts(job, out, len(before) + 2)
        end(head)
        status, said = ended(job)
        assert status != 0, said
        print(f"one whose cluster was killed ended with an error: {said.strip().splitlines()[-1]}", flush=True)
    between = traces(out)
    assert before.items() <= between.items()
    assert len(between) < N_PROMPTS // 16, "the cluster was killed too late"
    with cluster() as (_, address):
        status, said = ended(start(*ask, "--out", out, "--executor", address))
        assert status == 0, said
        assert between.items() <= traces(out).items(), "a part that was there was made again"
        plain, spread = (FullInformationData.load(one) for one in (folder / "plain", out))
        for row, other in zip(plain.observations, spread.observations, strict=True):
            assert [(o.arm, o.text, o.n_tokens) for o in row] == [(o.arm, o.text, o.n_tokens) for o in other]
        print("on another cluster it went on, to what one process collects", flush=True)
        check_compare(folder, out, address)


def check_compare(folder, data, address):
    """A comparison on the cluster prints what one process prints."""
    ask = "compare", data, "--policies", "lin_ucb, best_fixed_arm", "--json"
    tables = []
    for out, executor in ((folder / "one", "serial"), (folder / "two", address)):
        process = start(*ask, "--out", out, "--executor", executor)
        printed, said = process.communicate(timeout=JOB_S)
        assert process.returncode == 0, said[-2000:]
        tables.append(json.loads(printed))
    first, second = (
        {key: value for key, value in table.items() if key not in ("files", "seconds")} for table in tables
    )
    assert first == second, (first, second)
    print("a comparison was that of one process", flush=True)


def main():
    with tempfile.TemporaryDirectory() as folder:
        check_collect(Path(folder))
    print("passed")


if __name__ == "__main__":
    main()
