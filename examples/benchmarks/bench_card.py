"""What a round asks of a card: waits, kernel launches and bytes, counted without a card.

Counted on the pretended card of the tests (`tests/support/pretended_card.py`): texts are generated, no time is taken.

    python examples/benchmarks/bench_card.py                     # a minute; writes docs/results/bench_card.json
    python examples/benchmarks/bench_card.py --before old.json   # what an earlier checkout counted, to set beside
    python examples/benchmarks/bench_card.py --smoke             # few cells; writes nothing
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # for tests.support

import torch  # noqa: E402
from gpu_bench.shapes import SHAPES  # noqa: E402

from arms.atomic_file import write_file  # noqa: E402
from speculative.measuring.machine import machine_facts  # noqa: E402
from speculative.models.decoder import Decoder  # noqa: E402
from speculative.protocols.token_batch import TokenBatch  # noqa: E402
from tests.support.card_counts import Counts  # noqa: E402
from tests.support.card_rounds import (  # noqa: E402
    ARMS,
    SAMPLINGS,
    make_models,
    play,
    requests,
    sizes,
    weightless,
    with_graphs,
    without_graphs,
)
from tests.support.pretended_card import PretendedCard  # noqa: E402

OUT = ROOT / "docs" / "results" / "bench_card.json"
BATCHES, N_NEW = (1, 4), 16
WIDTHS, PASS_BATCHES, HELD, BANDWIDTH = (1, 5, 9), (1, 8, 32), 511, 3.35e12


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Count, print, and write `docs/results/bench_card.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", type=Path, help="what this script wrote in an earlier checkout, to set beside")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--smoke", action="store_true", help="few cells; writes nothing")
    options = parser.parse_args(arguments)
    arms, shapes = (ARMS[:2], ["SmolLM2-135M"]) if options.smoke else (ARMS, list(SHAPES))
    record: dict[str, Any] = {
        "rounds": count_rounds(arms, list(SAMPLINGS)[: 2 if options.smoke else None]),
        "passes": [row for name in shapes for row in count_passes(name, PASS_BATCHES[: 1 if options.smoke else None])],
        "settings": f"rounds: 2 layers, draft of the target's weights, {N_NEW} tokens; passes: bfloat16, {HELD} tokens "
        f"held, floor at {BANDWIDTH / 1e12} TB/s",
        "command": "python examples/benchmarks/bench_card.py",
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine_facts(),
    }
    if options.before is not None:
        record["before"] = json.loads(options.before.read_text())["rounds"]
    if not options.smoke:
        write_file(options.out, json.dumps(record, indent=1, allow_nan=False) + "\n")
    return record


def count_rounds(arms: tuple[str, ...], samplings: list[str]) -> list[dict[str, Any]]:
    """Count the most waits and launches of a round of all requests, by draft, sampling mode and batch."""
    rows = []
    for arm in arms:
        for sampling in samplings:
            for batch in BATCHES:
                whole = count_play(arm, sampling, batch, graphs=False)
                as_graphs = count_play(arm, sampling, batch, graphs=True)
                row = {
                    "draft": arm,
                    "sampling": sampling,
                    "batch": batch,
                    "waits": max(counts.n_waits for counts in whole),
                    "launches": max(len(counts.launches) for counts in whole),
                    "as_graphs": max(len(counts.launches) for counts in as_graphs),
                }
                line = "{draft}, {sampling}, batch {batch}: {waits} waits, {launches} launches, {as_graphs} as graphs"
                print(line.format(**row))
                rows.append(row)
    return rows


def count_play(arm: str, sampling: str, batch: int, *, graphs: bool) -> list[Counts]:
    """Count each round in which all requests take part; of graphs, once all are recorded."""
    with PretendedCard() as card:
        models, asked = make_models("cuda", draft_seed=0), requests(batch, SAMPLINGS[sampling], N_NEW)
        if graphs:
            play(with_graphs(models), arm, asked, batch)  # records them
        else:
            without_graphs(models)
        _, rounds = play(models, arm, asked, batch, card)
    return [each.counts for each in rounds if each.n_requests == batch]


def count_passes(name: str, batches: tuple[int, ...] = PASS_BATCHES) -> list[dict[str, Any]]:
    """Count launches and bytes of one pass of a model of real size, which takes no memory here."""
    n_layers, changes = SHAPES[name]
    config = sizes(n_layers, **changes, max_position_embeddings=4096)
    rows = []
    with PretendedCard(inner="meta") as card:
        model = Decoder(config, weightless(config), dtype=torch.bfloat16, device="cuda")
        model.graphs = None  # the kernels one by one
        cache = model.new_cache(max(batches), 1024)
        for batch in batches:
            for width in WIDTHS:
                cache.lengths[:batch] = [HELD] * batch
                tokens = TokenBatch.of([[1] * width] * batch, model.device)
                card.counted()
                model.forward(tokens, cache)
                counts = card.counted()
                row = {
                    "model": name,
                    "batch": batch,
                    "width": width,
                    "launches": len(counts.launches),
                    "gigabytes": round(counts.n_bytes / 1e9, 3),
                    "floor_ms": round(counts.n_bytes / BANDWIDTH * 1e3, 3),
                }
                rows.append(row)
                print("{model}, batch {batch}, width {width}: {launches} launches, {gigabytes} GB".format(**row))
    return rows


if __name__ == "__main__":
    main()
