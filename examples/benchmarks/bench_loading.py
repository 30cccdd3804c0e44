"""How long models take to load, and how much memory: the first time, when they are converted, and every later time.

Each load runs in a process of its own with an empty cache (cold) or the cache that the first one left (warm); files
may lie in the operating system's page cache. Peaks are of resident memory, pages of mapped files included.

    python examples/benchmarks/bench_loading.py --models 1.5B.gguf 0.5B.gguf    # minutes; writes docs/results/
    python examples/benchmarks/bench_loading.py --models ... --out before.json  # in an earlier checkout
    python examples/benchmarks/bench_loading.py --models ... --before before.json
    python examples/benchmarks/bench_loading.py --smoke                         # a tiny model; writes nothing
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from arms.atomic_file import write_file
from speculative.measuring.machine import machine_facts

RESULTS = Path(__file__).parents[2] / "docs" / "results"
GIB = 2**30
FORMS = {"bfloat16": "dense", "int4": "int4"}  # name: weights; dense ones are held in bfloat16
CHILD = """
import json, resource, sys, time
from pathlib import Path
import torch
from speculative.models.loading import load_model
from speculative.models.settings import ModelSettings
from speculative.protocols.token_batch import TokenBatch
path, weights, cache = sys.argv[1:]
dtype = torch.bfloat16 if weights == "dense" else torch.float32
started, used = time.perf_counter(), time.process_time()
model = load_model(path, ModelSettings(dtype=dtype, weights=weights, cache=Path(cache)))
seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - used
model.forward(TokenBatch(torch.arange(4), [4]), model.new_cache(1))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps({"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_bytes": peak}))
"""


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Measure, print, and write `docs/results/bench_loading.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, nargs="+", default=[], help="GGUF files")
    parser.add_argument("--before", type=Path, help="what this script wrote in an earlier checkout, to set beside")
    parser.add_argument("--out", type=Path, default=RESULTS / "bench_loading.json")
    parser.add_argument("--smoke", action="store_true", help="a tiny model; writes nothing")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        models = [_tiny_model(Path(scratch))] if options.smoke else options.models
        rows = [row for model in models for form in FORMS for row in measure(model, form, Path(scratch))]
    record: dict[str, Any] = {
        "rows": rows,
        "bars": bars(rows),
        "command": f"python examples/benchmarks/bench_loading.py --models {' '.join(path.name for path in models)}",
        "date": time.strftime("%Y-%m-%d"),
        "load_average": round(os.getloadavg()[0], 1),
        "machine": machine_facts(),
    }
    if options.before is not None:
        record["before"] = json.loads(options.before.read_text())["rows"]
    for bar in record["bars"]:
        print("{holds!s:5} {name}: {value:.2f} (bar {bar})".format(**bar))
    if not options.smoke:
        write_file(options.out, json.dumps(record, indent=1, allow_nan=False) + "\n")
    return record


def measure(model: Path, form: str, scratch: Path) -> list[dict[str, Any]]:
    """Load a model cold and warm in one form, and remove what was kept."""
    rows = []
    with tempfile.TemporaryDirectory(dir=scratch) as cache:
        for state in ("cold", "warm"):
            found = _run(model, FORMS[form], cache)
            kept = sum(file.stat().st_size for file in Path(cache).rglob("*") if file.is_file())
            rows.append(
                {
                    "model": model.name,
                    "form": form,
                    "state": state,
                    "seconds": round(found["seconds"], 2),
                    "cpu_seconds": round(found["cpu_seconds"], 2),
                    "peak_gib": round(found["peak_bytes"] / GIB, 2),
                    "file_gib": round(_size(model) / GIB, 2),
                    "kept_gib": round(kept / GIB, 2),
                }
            )
            told = "{model} {form} {state}: {seconds} s, {cpu_seconds} CPU s, peak {peak_gib} GiB, kept {kept_gib} GiB"
            print(told.format(**rows[-1]))
    return rows


def bars(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Compare the largest model's 4-bit loads with what they are meant to reach."""
    largest = max(rows, key=lambda row: row["file_gib"])["model"]
    cold, warm = (
        next(row for row in rows if (row["model"], row["form"], row["state"]) == (largest, "int4", state))
        for state in ("cold", "warm")
    )
    limit = 1.5 * (cold["file_gib"] + cold["kept_gib"])
    measured = [
        (f"{largest} at 4 bits, warm: seconds", warm["seconds"], 10.0),
        (f"{largest} at 4 bits, warm: peak GiB", warm["peak_gib"], 2.5),
        (f"{largest} at 4 bits, cold: peak GiB, at most 1.5 times file and result", cold["peak_gib"], round(limit, 2)),
    ]
    return [
        {"name": name, "value": value, "bar": bar, "at_most": True, "holds": value <= bar}
        for name, value, bar in measured
    ]


def _run(model: Path, weights: str, cache: str) -> dict[str, float]:
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(model), weights, cache], check=True, capture_output=True, text=True
    )
    measured: dict[str, float] = json.loads(child.stdout)
    return measured


def _size(path: Path) -> int:
    files = [path] if path.is_file() else list(path.iterdir())
    return sum(file.stat().st_size for file in files)


def _tiny_model(folder: Path) -> Path:
    """Return a random checkpoint of some kilobytes."""
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"vocab_size": 64, "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2}
    LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=4)).save_pretrained(folder / "tiny")
    return folder / "tiny"


if __name__ == "__main__":
    main()
