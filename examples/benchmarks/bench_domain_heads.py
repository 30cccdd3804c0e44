"""Distil heads for several domains of a target, and tell how often each is right on every domain.

    python examples/benchmarks/bench_domain_heads.py q15.gguf train.jsonl held_out.jsonl \
        --domains generalist_25,generalist,maths,code

Prompts name their domains. Hours on a core for a model of 1.5 billion parameters; a stopped run goes on where it was.
`--read` only tells what the heads in `--out` say of themselves, also those that `draftpick distill` made; those whose
names begin with `generalist_` were made from less text, and show what more of it gives.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from arms import read_queries
from arms.atomic_file import write_file
from speculative.distillation.distill import GENERALIST, distill_domains
from speculative.distillation.head_training import HeadSettings
from speculative.measuring.machine import machine_facts
from speculative.models.settings import ModelSettings
from speculative.targets.target import Target

RESULTS = Path(__file__).parents[2] / "docs" / "results"
BARS = (("value", "match rate of the best head", 0.5), ("tokens_per_round", "tokens a round of the best head", 1.9))
Metrics = Mapping[str, Any]


def main(arguments: Sequence[str] | None = None) -> dict[str, object]:
    """Distil where asked, and write `domain_heads.json`."""
    options = _options(arguments)
    torch.set_num_threads(1)
    if not options.read:
        make_heads(options)
    heads = {path.parent.name: json.loads(path.read_text()) for path in sorted(options.out.glob("*/metrics.json"))}
    if not heads:
        raise SystemExit(f"{options.out} holds no head")
    whole = {name: head for name, head in heads.items() if not name.startswith(f"{GENERALIST}_")}
    result = {
        "target": next(iter(heads.values()))["target"],
        "matrix": {name: head["by_domain"] for name, head in whole.items()},
        "heads": {name: _facts(options.out / name, head) for name, head in whole.items()},
        "curve": curve(heads),
        "bars": bars(whole),
        "command": "python examples/benchmarks/bench_domain_heads.py TARGET TRAIN HELD_OUT "
        f"--domains {','.join(whole)}{' --read' if options.read else ''}",
        "machine": machine_facts(),
        "threads": 1,
        "date": time.strftime("%Y-%m-%d"),
    }
    write_file(options.results / "domain_heads.json", json.dumps(result, indent=1) + "\n")
    print(json.dumps(result["matrix"], indent=1))
    return result


def make_heads(options: argparse.Namespace) -> None:
    """Distil a head for each name."""
    settings = ModelSettings(dtype=torch.bfloat16)
    target = Target.load(options.target, settings, max_new_tokens=options.max_new_tokens)
    sides = read_queries(options.train), read_queries(options.held_out)
    told = [0.0]

    def tell(stage: str, done: int, total: int) -> None:
        if time.monotonic() - told[0] > 20 or done == total:
            told[0] = time.monotonic()
            print(f"{stage}: {done} of {total}", file=sys.stderr)

    head = HeadSettings(
        n_epochs=options.epochs, n_intermediate=options.units, dtype="bfloat16", n_vocab=options.vocabulary
    )
    distill_domains(target, sides, options.out, options.domains.split(","), head, tell)


def curve(heads: Mapping[str, Metrics]) -> list[dict[str, object]]:
    """Return the match rate of each generalist on all domains, by the tokens that it learned from."""
    found = [(name, head) for name, head in heads.items() if name.split("_")[0] == GENERALIST]
    return [
        {
            "name": name,
            "begun_from": _begun_from(head),
            "n_train_tokens": head["n_train_tokens"],
            **head["match_rate"],
        }
        for name, head in sorted(found, key=lambda one: int(one[1]["n_train_tokens"]))
    ]


def bars(heads: Mapping[str, Metrics]) -> list[dict[str, object]]:
    """Return what the best head reaches on one domain of its own, by its name."""
    rows = []
    for key, name, bar in BARS:
        own = [rate for head in heads.values() for rate in head["by_domain"].values()]
        best = max(own, key=lambda rate: float(rate[key]))
        interval = {"low": best["low"], "high": best["high"]} if key == "value" else {}
        rows.append({"name": name, "value": best[key], **interval, "bar": bar, "holds": best[key] >= bar})
    return rows


def _facts(folder: Path, head: Metrics) -> dict[str, object]:
    kept = {name: head[name] for name in ("n_train_texts", "n_train_tokens")}
    settings = {**head["settings"], "start": _begun_from(head)}
    return {**kept, "settings": settings, "megabytes": (folder / "model.safetensors").stat().st_size / 1e6}


def _begun_from(head: Metrics) -> str | None:
    """Return the name of the head that one goes on from; None for the target's last layer."""
    start = head["settings"]["start"]
    return None if start is None else Path(start).name


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", help="hub id, folder or GGUF file")
    parser.add_argument("train", type=Path, help="JSONL of prompts to learn from")
    parser.add_argument("held_out", type=Path, help="JSONL of prompts to measure on")
    parser.add_argument("--domains", default="maths,code,generalist")
    parser.add_argument(
        "--out", type=Path, default=Path("heads"), help="folder of the heads; their work lies beside it"
    )
    parser.add_argument("--max-new-tokens", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--units", type=int, default=2560, help="of each head's feed-forward")
    parser.add_argument("--vocabulary", type=int, default=8192)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON")
    parser.add_argument("--read", action="store_true", help="make no head")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
