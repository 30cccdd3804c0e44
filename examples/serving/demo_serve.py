"""Serve real traffic with a policy in front of two engines, on this machine alone, and show what it chose.

    make demo-serve                # some three minutes; STAY=1 leaves it running, to be looked at

Starts llama.cpp's own server twice on the same small model, without speculation and with n-gram drafts, and `draftpick
serve` in front of them, live and knowing nothing. Sends prompts of four kinds through it with OpenAI's client, and ends
all that it started.
"""

import argparse
import signal
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
from serving_bench.engines import MODEL, PLAIN, ask, client_of, llama_upstreams, scripted_upstreams
from serving_bench.processes import served

from arms import Query
from bandits.online.segments import read_records
from bandits.statistics.table import Table
from speculative.demo.queries import demo_queries, pick_evenly

KINDS = {"rewrite": "edit", "code": "code", "passage": "prose", "chat": "chat"}
LOG_S = 10.0  # until the last reward is in the log


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=MODEL, help="GGUF file, or package: and a package that holds one")
    parser.add_argument("--n", type=int, default=120, help="requests")
    parser.add_argument("--seconds", type=float, default=210.0, help="no request begins after so many")
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--stay", action="store_true", help="go on serving after the table, until Ctrl-C")
    parser.add_argument("--smoke", action="store_true", help="few requests at scripted upstreams")
    options = parser.parse_args(arguments)
    if options.smoke:
        options.n, options.max_new_tokens = 16, 8
    signal.signal(signal.SIGTERM, _end)
    upstreams = scripted_upstreams() if options.smoke else llama_upstreams(options.model)
    with tempfile.TemporaryDirectory() as place, upstreams as urls, suppress(KeyboardInterrupt):
        folder = Path(place)
        more = "--mode", "live", "--exploration", "0.1", "--incumbent", PLAIN
        with served(folder, urls, *more, n_features=64) as (process, port):
            url = f"http://127.0.0.1:{port}"
            print(f"upstreams: {', '.join(f'{name} {at}' for name, at in urls.items())}")
            print(f"front door: {url}/v1, model draftpick\npage: {url}/draftpick\nmetrics: {url}/metrics", flush=True)
            kinds = send(url, options)
            for table in tables(settled(folder / "state" / "log", len(kinds)), kinds):
                print(f"\n{table.to_text()}")
            if options.stay:
                print(f"\nserving on {url} until Ctrl-C", flush=True)
                process.wait()


def send(url: str, options: argparse.Namespace) -> dict[str, str]:
    """Send the prompts, the kinds in turn; return decision to kind."""
    until = time.monotonic() + options.seconds
    kinds: dict[str, str] = {}
    with closing(client_of(url)) as client:
        for query in prompts(options.n):
            if time.monotonic() > until:
                break
            answer = ask(client, query, options.max_new_tokens)
            kinds[str(answer.decision_id)] = KINDS[str(query.domain)]
            print(".", end="", flush=True)
    print()
    return kinds


def prompts(n: int) -> list[Query]:
    """Return so many of the project's own prompts, and from the first one again where there are fewer."""
    mixed = [query for side in demo_queries() for query in side if query.domain in KINDS]
    mixed = pick_evenly(mixed, len(mixed))
    return [mixed[i % len(mixed)] for i in range(n)]


def settled(log: Path, n: int) -> dict[str, tuple[Mapping, Mapping]]:
    """Return decision and reward of each answered request, once all are in the log."""
    until = time.monotonic() + LOG_S
    while True:
        records = [placed.record for placed in read_records(log)]
        rewarded = {str(one["query"]): one for one in records if one["kind"] == "rewarded"}
        if len(rewarded) >= n or time.monotonic() > until:
            decided = {str(one["query"]): one for one in records if one["kind"] == "decided"}
            return {query: (decided[query], reward) for query, reward in rewarded.items()}
        time.sleep(0.05)


def tables(answered: Mapping[str, tuple[Mapping, Mapping]], kinds: Mapping[str, str]) -> list[Table]:
    """Return what each arm did, and what the policy itself would choose by kind, early and late."""
    arms = list(next(iter(answered.values()))[0]["probabilities"])
    lines = []
    for arm in arms:
        own = [reward for decided, reward in answered.values() if decided["arm"] == arm]
        seen = [one["observation"] for one in own]
        seconds, n_tokens = (sum(one[name] for one in seen) for name in ("seconds", "n_tokens"))
        speed = f"{n_tokens / seconds:.1f}" if seconds else "-"
        mean = f"{np.mean([one['reward'] for one in own]):+.3f}" if own else "-"
        lines.append((arm, str(len(own)), speed, mean))
    shares: dict[str, list[Mapping[str, float]]] = defaultdict(list)
    for query, kind in kinds.items():
        if query in answered:
            shares[kind].append(answered[query][0]["proposed"])
    halves = [
        (kind, proposed[: len(proposed) // 2], proposed[len(proposed) // 2 :]) for kind, proposed in shares.items()
    ]
    chosen = [
        (kind, *(f"{np.mean([one[arm] for one in half] or [np.nan]):.2f}" for half in parts for arm in arms))
        for kind, *parts in halves
    ]
    headings = tuple(f"{arm}, {half} half" for half in ("first", "second") for arm in arms)
    return [
        Table(title="What each arm did", headings=("arm", "requests", "tokens/s", "mean reward"), lines=tuple(lines)),
        Table(
            title="How probable the policy made each arm, by kind of prompt, in the first and second half",
            headings=("kind", *headings),
            lines=tuple(chosen),
            remarks=("The policy knows the prompt, never its kind. Rewards are minus seconds a token, scaled.",),
        ),
    ]


def _end(number: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
