"""The front door on two real engines: the live policy against each upstream alone, and shadow's estimate against live.

    PYTHONUNBUFFERED=1 python examples/benchmarks/bench_serving_engines.py       # some 20 minutes; a killed run goes on
    python examples/benchmarks/bench_serving_engines.py --smoke

llama.cpp's server runs twice on SmolLM2, without speculation and with n-gram drafts. First the front door serves the
learning prompts in shadow mode, and its log says what the policy would earn. Then it serves the held-out prompts live,
still learning; each of them is sent to both upstreams directly as well, in an order drawn for each prompt.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import openai
from serving_bench.engines import MODEL, PLAIN, ask, client_of, llama_upstreams, scripted_upstreams
from serving_bench.policy_and_fixed import POLICY, Timed, bars, compared
from serving_bench.processes import served

from arms import Query
from arms.atomic_file import write_file
from bandits import DecisionLog, LinTS
from bandits.evaluation import replay_log
from bandits.online.segments import read_records
from speculative.demo.queries import demo_queries
from speculative.measuring.machine import machine_facts

RESULT = Path(__file__).parents[2] / "docs" / "results" / "bench_serving_engines.json"
N_FEATURES, EXPLORATION = 64, 0.5
MOVED = 3  # of each domain's training prompts, held out here too


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--n-passes", type=int, default=2, help="over the learning prompts, in shadow mode")
    parser.add_argument("--max-new-tokens", type=int, default=96)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--work", type=Path, default=Path("serving_engines.work"), help="what a killed run goes on with"
    )
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--smoke", action="store_true", help="few prompts at scripted upstreams; write no result")
    options = parser.parse_args(arguments)
    if not options.smoke:
        report = measured(options, options.work, partial(llama_upstreams, options.model))
        write_file(options.out, json.dumps(report, indent=1) + "\n")
    else:
        options.max_new_tokens = 8
        with tempfile.TemporaryDirectory() as place:
            report = measured(options, Path(place), scripted_upstreams)
    print(json.dumps({"figures": report["figures"], "bars": report["bars"]}, indent=1))


def measured(options: argparse.Namespace, work: Path, upstreams: Callable) -> dict[str, object]:
    """Run both stages, as far as they are not done, and return the report."""
    work.mkdir(exist_ok=True)
    learn, held_out = prompts(options.smoke)
    with upstreams() as urls:
        shadow = in_shadow(options, work, urls, learn)
        live = in_turn(options, work, urls, held_out)
    rewards = {
        str(one["query"]): float(one["reward"])  # type: ignore[arg-type]
        for one in (placed.record for placed in read_records(work / "state" / "log"))
        if one["kind"] == "rewarded"
    }
    earned = np.array([rewards[one.decision_id] for one in live if one.decision_id in rewards])
    figures = {**compared(live, options.seed), **shadow, "live_reward": round(float(earned.mean()), 4)}
    return {
        "machine": machine_facts(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "command": "python examples/benchmarks/bench_serving_engines.py "
        f"--n-passes {options.n_passes} --max-new-tokens {options.max_new_tokens}",
        "seed": options.seed,
        "settings": {name: getattr(options, name) for name in ("n_passes", "max_new_tokens")},
        "figures": figures,
        "bars": bars(figures),
    }


def prompts(smoke: bool) -> tuple[list[Query], list[Query]]:
    """Return the prompts to learn from and those to measure on: all of the project's own, half and half."""
    train, test = demo_queries()
    domains = {query.domain: [one for one in train if one.domain == query.domain] for query in train}
    moved = [query for group in domains.values() for query in group[-MOVED:]]
    learn = [query for query in train if query not in moved]
    order = np.random.default_rng(0).permutation(len(learn))
    learn, held_out = [learn[i] for i in order], [*test, *moved]
    return (learn[:20], held_out[:6]) if smoke else (learn, held_out)


def in_shadow(
    options: argparse.Namespace, work: Path, urls: Mapping[str, str], learn: Sequence[Query]
) -> dict[str, object]:
    """Serve the learning prompts while the incumbent decides, and return what the log says of the policy."""
    done, result = work / "shadow.done", work / "shadow.json"
    if result.exists():
        return json.loads(result.read_text())
    begun = len(done.read_text().splitlines()) if done.exists() else 0
    with front_door(work, urls, "shadow", EXPLORATION) as door:
        for query in [*learn] * options.n_passes:
            if begun:
                begun -= 1
                continue
            ask(door, query, options.max_new_tokens)
            with done.open("a") as file:
                print(query.id, file=file)
            print("s", end="", flush=True)
    log = DecisionLog.load(work / "state" / "log")
    replayed = replay_log(LinTS(), log, seed=options.seed)
    rows = {row.name: row for row in replayed.rows}
    own = rows["LinTS"]
    found = {
        "shadow_decisions": len(log),
        "shadow_valued_on": replayed.n_rows,
        "shadow_estimate": own.value,
        "shadow_interval": list(own.interval),
        "shadow_problems": list(own.problems),
        "shadow_conclusion": replayed.conclusion,
    }
    write_file(result, json.dumps(found))
    return found


def in_turn(options: argparse.Namespace, work: Path, urls: Mapping[str, str], held_out: Sequence[Query]) -> list[Timed]:
    """Ask each prompt at every upstream and through the front door; a prompt that was cut short is asked again."""
    file = work / "live.jsonl"
    rows = [Timed(**json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []
    with ExitStack() as stack:
        sides = {name: stack.enter_context(closing(client_of(url))) for name, url in urls.items()}
        sides[POLICY] = stack.enter_context(front_door(work, urls, "live", 0.0))
        for side in sides.values():
            ask(side, held_out[0], 4)  # warms up
        for number, query in enumerate(held_out):
            if any(row.query == query.id for row in rows):
                continue
            order = np.random.default_rng([options.seed, number]).permutation(list(sides)).tolist()
            found = []
            for side in order:
                answer = ask(sides[side], query, options.max_new_tokens)
                own = answer.seconds, answer.n_tokens, answer.arm, answer.decision_id
                found.append(Timed(query.id, str(query.domain), side, *own))
            with file.open("a") as opened:
                opened.write("".join(json.dumps(asdict(one)) + "\n" for one in found))
            rows += found
            print(".", end="", flush=True)
    print()
    return rows


@contextmanager
def front_door(work: Path, urls: Mapping[str, str], mode: str, exploration: float) -> Iterator[openai.OpenAI]:
    """Run the front door in a mode on what it has learned so far, and give a client of it."""
    more = "--mode", mode, "--exploration", str(exploration), "--incumbent", PLAIN
    with served(work, urls, *more, n_features=N_FEATURES) as (process, port):
        with closing(client_of(f"http://127.0.0.1:{port}")) as client:
            yield client
        process.terminate()
        process.wait(30)  # the last rewards are in the log then


if __name__ == "__main__":
    main()
