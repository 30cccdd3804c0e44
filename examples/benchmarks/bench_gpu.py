"""Ten minutes on a card: what passes, rounds and drafts take on it, and whether it computes what the CPU does.

    python examples/benchmarks/bench_gpu.py                        # writes docs/results/gpu.json
    python examples/benchmarks/bench_gpu.py --budget-s 240         # stop early; called again, it goes on
    python examples/benchmarks/bench_gpu.py --model smollm2.gguf   # texts too; parts of a file are joined
    python examples/benchmarks/bench_gpu.py --dry-run              # tiny models on the CPU; writes nothing

card       bandwidth; microseconds of a launch, and of a node of a graph
waits      most waits of a round by torch's own count, beside those of `bench_card.py`
products   4-bit and FP8 products beside the CPU's
passes     v(m, L) of 135M, 1B and 8B: as the engine runs it, without graphs, and one graph alone
kernels    launches of a pass by the profiler, and which attention kernels
attention  one layer's, by the flash kernel and with masks
speeds     tokens a second by draft, sampling and batch, with graphs and without
peers      transformers' greedy and assisted generation beside it
forms      a pass over weights in bfloat16, 4 bits and FP8
texts      greedy texts of --model on the card, beside the CPU's

Weights are random, of real sizes; what does not fit into the card's memory is noted as an error. The file is written
after each cell, and what is in it is not measured again on the same machine.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # for tests.support

import torch  # noqa: E402
from gpu_bench.machine import Machine  # noqa: E402
from gpu_bench.passes import attention, forms, kernels, passes, the_card  # noqa: E402
from gpu_bench.peers import peers  # noqa: E402
from gpu_bench.rounds import speeds, waits  # noqa: E402
from gpu_bench.stages import Record, Stage  # noqa: E402
from gpu_bench.texts import joined, products, texts_of  # noqa: E402

from speculative.measuring.machine import machine_facts  # noqa: E402
from speculative.models.settings import DEFAULT_CACHE  # noqa: E402

OUT = ROOT / "docs" / "results" / "gpu.json"
STAGES: dict[str, Stage] = {
    "card": the_card,
    "waits": waits,
    "products": products,
    "passes": passes,
    "kernels": kernels,
    "attention": attention,
    "speeds": speeds,
    "peers": peers,
    "forms": forms,
}


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure what is missing, print it, and write `docs/results/gpu.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget-s", type=float, default=540.0, help="seconds after which nothing more is begun")
    parser.add_argument("--stages", nargs="+", default=[*STAGES, "texts"], choices=[*STAGES, "texts"])
    parser.add_argument("--model", nargs="+", type=Path, default=[], help="a GGUF file or folder, or a file's parts")
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE, help="folder of converted models")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--dry-run", action="store_true", help="tiny models on the CPU; writes nothing")
    options = parser.parse_args(arguments)
    if not options.dry_run and not torch.cuda.is_available():
        parser.error("torch sees no CUDA device here; --dry-run goes through all stages without one")
    machine = Machine(options.dry_run)
    record = Record(None if options.dry_run else options.out, _head(machine), options.budget_s)
    with tempfile.TemporaryDirectory() as scratch:
        stages = {**STAGES, "texts": texts_of(joined(options.model, Path(scratch)), options.cache)}
        for name in options.stages:
            if not record.run(name, stages[name], machine):
                print(f"{name}: out of time; call again to go on")
                break
    record.save()
    return record.content


def _head(machine: Machine) -> dict[str, Any]:
    return {
        "command": "python examples/benchmarks/bench_gpu.py",
        "date": time.strftime("%Y-%m-%d"),
        "settings": f"{'tiny' if machine.dry else 'random'} weights, {machine.dtype}, {machine.facts()}",
        "machine": machine_facts(),
    }


if __name__ == "__main__":
    main()
