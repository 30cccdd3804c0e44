"""What the front door adds: streaming clients at two scripted upstreams, directly and through `draftpick serve`.

    python examples/benchmarks/bench_serving.py              # 64 clients, 2,000 requests each way, alternating
    python examples/benchmarks/bench_serving.py --smoke

Every client checks each word that it gets. The clients begin evenly over one answer's time. What is added where all
begin at once is measured beside it: those keep in step, and wait for one another as well. Server, upstreams and clients
are processes of their own on one machine, so that the added time holds the processors' share that they take from one
another.
"""

import argparse
import asyncio
import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from serving_bench.processes import front_door, upstream
from serving_bench.scripted_upstream import Script
from serving_bench.streaming_clients import Asked, ask_all

from arms.atomic_file import write_file
from bandits.online.segments import read_records
from speculative.measuring.machine import machine_facts

RESULT = Path(__file__).parents[2] / "docs" / "results" / "bench_serving.json"
MEMORY_TOKENS = 3  # of an answer while memory is watched
MEDIAN_BAR_MS, HIGH_BAR_MS, GROWTH_BAR = 2.0, 10.0, 1.1


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-clients", type=int, default=64)
    parser.add_argument("--n-requests", type=int, default=2000, help="each way")
    parser.add_argument("--n-together", type=int, default=512, help="each way, where all clients begin at once")
    parser.add_argument("--n-blocks", type=int, default=8, help="directly and through the front door, alternating")
    parser.add_argument("--n-tokens", type=int, default=24)
    parser.add_argument("--first-ms", type=float, default=50.0, help="until an upstream's first token")
    parser.add_argument("--token-ms", type=float, default=20.0, help="until each further one")
    parser.add_argument("--n-memory", type=int, default=20_000, help="further requests while memory is watched")
    parser.add_argument("--remark", help="on the run, for the page, such as what else the machine did")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--smoke", action="store_true", help="few requests; write nothing")
    options = parser.parse_args(arguments)
    if options.smoke:
        options.n_clients, options.n_requests, options.n_blocks, options.n_memory = 8, 32, 2, 32
        options.n_together, options.n_tokens, options.token_ms, options.first_ms = 8, 4, 1.0, 1.0
    figures = asyncio.run(measure(options))
    remark = {"remark": options.remark} if options.remark else {}
    report = {**origin(), "settings": settings_of(options), **remark, "figures": figures, "bars": bars(figures)}
    print(json.dumps({"figures": figures, "bars": report["bars"]}, indent=1))
    if not options.smoke:
        write_file(options.out, json.dumps(report, indent=1) + "\n")


async def measure(options: argparse.Namespace) -> dict[str, float]:
    """Return the figures."""
    script = Script(n_tokens=options.n_tokens, first_s=options.first_ms / 1e3, token_s=options.token_ms / 1e3)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ports = [stack.enter_context(upstream(script)) for _ in range(2)]
        process, door = stack.enter_context(front_door(folder, ports))
        await asked_both_ways(ports, door, options, 64, 0.0)  # warms up
        before_s = processor_seconds(process.pid)
        answer_s = script.first_s + script.token_s * (script.n_tokens - 1)
        direct, through = await asked_both_ways(ports, door, options, options.n_requests, answer_s)
        cpu_s = processor_seconds(process.pid) - before_s
        figures = {**compared(direct, through), "server_cpu_ms": round(1e3 * cpu_s / len(through), 2)}
        at_once = await asked_both_ways(ports, door, options, options.n_together, 0.0)
        figures |= {f"together_{name}": value for name, value in compared(*at_once).items()}
        further, megabytes = await memory(process.pid, door, options)
        figures |= megabytes
        process.terminate()
        process.wait(30)
        logged = [placed.record for placed in read_records(folder / "state" / "log")]
    return figures | in_log(logged, [one.decision_id for one in (*through, *at_once[1], *further) if one.is_whole])


async def asked_both_ways(
    ports: Sequence[int], door: int, options: argparse.Namespace, n_requests: int, spread_s: float
) -> tuple[list[Asked], list[Asked]]:
    """Ask directly and through the front door, in alternating blocks."""
    direct: list[Asked] = []
    through: list[Asked] = []
    for block in np.array_split(np.arange(n_requests), max(1, options.n_blocks * n_requests // options.n_requests)):
        for side, at in ((direct, ports), (through, [door])):
            side += await ask_all(at, block.tolist(), options.n_clients, options.n_tokens, spread_s)
    return direct, through


def in_log(logged: Sequence[Mapping[str, object]], answered: Sequence[str]) -> dict[str, float]:
    """Return how many answers have no decision in the log or no reward, and how often another arm was asked."""
    decided, rewarded = ({one["query"] for one in logged if one["kind"] == kind} for kind in ("decided", "rewarded"))
    return {
        "decisions_missing": sum(one not in decided for one in answered),
        "rewards_missing": sum(one not in rewarded for one in answered),
        "asked_again": sum(str(one).count("-") > 1 for one in decided),
    }


def compared(direct: Sequence[Asked], through: Sequence[Asked]) -> dict[str, float]:
    """Return what was lost, and the times in milliseconds."""
    figures: dict[str, float] = {
        "n_requests": len(through),
        "lost": sum(not one.is_whole for one in through),
        "crossed": sum(one.is_crossed for one in through),
    }
    for what in ("first_s", "total_s"):
        name = what.removesuffix("_s")
        for share in (50, 99):
            before, after = (
                1e3 * np.percentile([getattr(one, what) for one in side], share) for side in (direct, through)
            )
            figures[f"{name}_p{share}_direct_ms"] = round(float(before), 2)
            figures[f"{name}_p{share}_through_ms"] = round(float(after), 2)
            figures[f"{name}_p{share}_added_ms"] = round(float(after - before), 2)
    return figures


async def memory(pid: int, door: int, options: argparse.Namespace) -> tuple[list[Asked], dict[str, float]]:
    """Ask further requests; return them, and the server's memory after a tenth and after all of them."""
    megabytes, outcomes = [], []
    n_first = options.n_memory // 10
    for numbers in (range(n_first), range(n_first, options.n_memory)):
        outcomes += await ask_all([door], numbers, options.n_clients, MEMORY_TOKENS)
        megabytes.append(resident_megabytes(pid))
    lost = sum(not one.is_whole for one in outcomes)
    return outcomes, {"memory_first_mb": megabytes[0], "memory_last_mb": megabytes[1], "lost_in_memory_run": lost}


def resident_megabytes(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return round(int(found[1]) / 1024, 1)


def processor_seconds(pid: int) -> float:
    """Return what all threads of a process have computed so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def bars(figures: dict[str, float]) -> list[dict[str, object]]:
    """Return what the front door is meant to reach, and whether it does."""
    growth = figures["memory_last_mb"] / figures["memory_first_mb"]
    rows = [
        ("requests lost", figures["lost"] + figures["together_lost"] + figures["lost_in_memory_run"], 0.0),
        ("requests crossed", figures["crossed"] + figures["together_crossed"], 0.0),
        ("decisions missing in the log", figures["decisions_missing"], 0.0),
        ("added to the first token, median, ms", figures["first_p50_added_ms"], MEDIAN_BAR_MS),
        ("added to the first token, 99th percentile, ms", figures["first_p99_added_ms"], HIGH_BAR_MS),
        ("added to the whole answer, median, ms", figures["total_p50_added_ms"], MEDIAN_BAR_MS),
        ("added to the whole answer, 99th percentile, ms", figures["total_p99_added_ms"], HIGH_BAR_MS),
        ("memory after all over memory after a tenth", round(growth, 3), GROWTH_BAR),
    ]
    return [
        {"name": name, "value": value, "bar": bar, "at_most": True, "holds": value <= bar} for name, value, bar in rows
    ]


def settings_of(options: argparse.Namespace) -> dict[str, object]:
    return {name: value for name, value in vars(options).items() if name not in ("out", "smoke", "remark")}


def origin() -> dict[str, object]:
    command = "python examples/benchmarks/bench_serving.py"
    return {"command": command, "date": datetime.now(UTC).date().isoformat(), "machine": machine_facts()}


if __name__ == "__main__":
    main()
