"""What do the products of a layer take at 16, 8 and 4 bits a weight, over one row and over several?

    python examples/benchmarks/bench_products.py  # sizes of Qwen2.5-Coder-1.5B; seconds; writes docs/results/
    python examples/benchmarks/bench_products.py --smoke  # small sizes; writes nothing

Timed are the matrix products of a decoder's layers alone, in turn: bfloat16 in every packing, 4-bit blocks, and forms
with 8 bits a weight, which draftpick does not use for layers: each row of activations rounded to 8 bits; as two rows of
8 bits, of which the second holds what the first leaves (`Int8Linear`, the head of 4-bit models); and rounded once
before the timing, which no decoder can do, to tell what the rounding takes. The bars are what 8 bits would have to
reach to be worth a form of their own.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from arms.atomic_file import write_file
from speculative.measuring.machine import machine_facts
from speculative.models.int8_linear import Int8Linear
from speculative.models.kernels.layer_shapes import LayerShapes
from speculative.models.kernels.products import ProductForm, dense_forms, int4_form, time_products
from speculative.models.kernels.trial import stopwatch

RESULTS = Path(__file__).parents[2] / "docs" / "results"
D, M, KV = 1536, 8960, 256
QWEN = LayerShapes(((D + 2 * KV, D), (D, D), (M, D), (M, D), (D, M)), 28, D, 14, 128)
SMALL = LayerShapes(((64, 32), (32, 32), (64, 32), (64, 32), (32, 64)), 2, 32, 4, 8)
ROUNDED, SPLIT, GIVEN = "int8, rows rounded", "int8, rows in two parts", "int8, rows given at 8 bits"
OVER_BFLOAT16, OVER_ONE_ROW = 0.6, 1.3


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure, print, and write `docs/results/bench_products.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seconds", type=float, default=10.0, help="of timing, at most")
    parser.add_argument("--smoke", action="store_true", help="small sizes; writes nothing")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    forms = [*dense_forms(torch.bfloat16), int4_form()]
    if Int8Linear.supported():
        made = ((ROUNDED, rounded), (SPLIT, Int8Linear), (GIVEN, given))
        forms += [ProductForm(name, 1.0, torch.bfloat16, make) for name, make in made]
    shapes = SMALL if options.smoke else QWEN
    seconds = time_products(shapes, forms, stopwatch, options.seconds)
    rows = {
        form: {str(n): round(s * shapes.n_layers * 1e3, 2) for n, s in row.items()} for form, row in seconds.items()
    }
    for form, row in rows.items():
        print(f"{form:26s} {row}, 8 rows over 1: {row['8'] / row['1']:.2f}")
    record = {
        "milliseconds": rows,
        "bars": bars(rows),
        "settings": f"products of all {shapes.n_layers} layers of Qwen2.5-Coder-1.5B's sizes, medians",
        "command": "python examples/benchmarks/bench_products.py",
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine_facts(),
    }
    if not options.smoke:
        write_file(RESULTS / "bench_products.json", json.dumps(record, indent=1, allow_nan=False) + "\n")
    return record


def rounded(weight: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return a product by 8-bit weights of rows that are rounded to 8 bits, a scale a row on both sides."""
    product = int8_product(weight)

    def multiply(x: torch.Tensor) -> torch.Tensor:
        levels, scales = rounded_rows(x)
        return product(levels) * scales

    return multiply


def given(weight: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the same product without its rounding: the rows of each number are rounded when first seen, then kept."""
    product, kept = int8_product(weight), dict[int, tuple[torch.Tensor, torch.Tensor]]()

    def multiply(x: torch.Tensor) -> torch.Tensor:
        if len(x) not in kept:
            kept[len(x)] = rounded_rows(x)
        levels, scales = kept[len(x)]
        return product(levels) * scales

    return multiply


def rounded_rows(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return rows at 8 bits, uint8 around 128, and the scale of each, (n, 1) float32."""
    scales = x.abs().amax(1, keepdim=True).float().clamp_min_(1e-30).div_(127)
    return (x.float() * scales.reciprocal()).add_(128.5).to(torch.uint8), scales


def int8_product(weight: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the product of rows at 8 bits by weights at 8 bits, a scale a row of the weight."""
    scales = weight.float().abs().amax(1).clamp_min(1e-30) / 127
    levels = (weight.float() / scales[:, None]).round().to(torch.int8)
    packed = torch.ops.onednn.qlinear_prepack(levels, None)
    zeros, product = torch.zeros(len(scales), dtype=torch.int32), torch.ops.onednn.qlinear_pointwise.default
    return lambda rows: product(rows, 1.0, 128, packed, scales, zeros, None, 1.0, 0, torch.float32, "none", [], "")


def bars(rows: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    """Return what 8 bits are meant to reach: against bfloat16's fastest form, and over several rows."""
    dense = min(row["1"] for form, row in rows.items() if form.startswith("bfloat16"))
    found = []
    for form in (ROUNDED, SPLIT, GIVEN):
        if form in rows:
            row = rows[form]
            found += [
                (f"{form}: 1 row over bfloat16's", row["1"] / dense, OVER_BFLOAT16),
                (f"{form}: 8 rows over 1", row["8"] / row["1"], OVER_ONE_ROW),
            ]
    return [{"name": name, "value": v, "bar": bar, "at_most": True, "holds": v <= bar} for name, v, bar in found]


if __name__ == "__main__":
    main()
