"""What the card does in a second, and what one pass of a model takes on it."""

import json
from collections.abc import Iterator
from pathlib import Path

import torch

from gpu_bench.machine import Machine
from gpu_bench.shapes import SHAPES
from gpu_bench.stages import Cell, Row
from speculative.models.attention import Apart, AttentionPlan, attend
from speculative.models.decoder import Decoder, Products
from speculative.models.flash_attention import has_flash
from speculative.models.fp8_linear import Fp8Linear
from speculative.models.graphs import announce
from speculative.models.linear import Int4Linear, Linear, WideInt4Linear
from speculative.protocols.kv_cache import KVCache
from speculative.protocols.token_batch import TokenBatch
from tests.support.card_rounds import shapes

HELD = (64, 504, 511, 2048, 4096)
WIDTHS = (1, 2, 4, 5, 8, 9, 17)
BATCHES = (1, 8)
FORMS = {
    "bfloat16": Products(),
    "int4": Products(Int4Linear, Linear),
    "int4_fast": Products(WideInt4Linear, Linear),
    "fp8": Products(Fp8Linear, Linear),
}
_LAUNCHES = 200
_PAGES = 512
_COUNTED = Path(__file__).parents[3] / "docs" / "results" / "bench_card.json"


def the_card(machine: Machine) -> Iterator[Cell]:
    """Bandwidth, and what a launch costs: eager, and as a node of a graph."""
    size = 1 << (16 if machine.dry else 30)

    def copy() -> Row:
        source = torch.zeros(size, device=machine.device, dtype=torch.uint8)
        target = torch.empty_like(source)
        return {"tb_s": round(2 * size / machine.median_ms(lambda: target.copy_(source)) / 1e9, 3)}

    def launches() -> Row:
        few = torch.zeros(8, device=machine.device)

        def many() -> None:
            for _ in range(_LAUNCHES):
                few.add_(1.0)

        eager, graph = machine.median_ms(many), machine.median_ms(machine.captured(many))
        return {"eager_us": round(eager * 1e3 / _LAUNCHES, 3), "graph_us": round(graph * 1e3 / _LAUNCHES, 3)}

    yield Cell({"figure": "copy"}, copy)
    yield Cell({"figure": "launch"}, launches)


def passes(machine: Machine) -> Iterator[Cell]:
    """Milliseconds of a pass over m tokens a row against L held ones: as the engine runs it, eager, and as a graph."""
    for name in list(SHAPES)[:1] if machine.dry else SHAPES:
        for batch in BATCHES:
            for width in WIDTHS[::3] if machine.dry else WIDTHS:
                for held in HELD[:1] if machine.dry else HELD if batch == 1 else (511,):
                    sizes = (batch, width, held)
                    what = dict(zip(("model", "batch", "width", "held"), (name, *sizes), strict=True))
                    yield Cell(what, lambda name=name, sizes=sizes: _pass(machine, machine.model(name), *sizes))


def attention(machine: Machine) -> Iterator[Cell]:
    """Milliseconds of one layer's attention by the flash kernel and with masks, and how far apart they are."""
    for name in list(SHAPES)[:1] if machine.dry else SHAPES:
        for held in (64,) if machine.dry else (511, 4096):
            for width in (1, 5):
                what = {"model": name, "batch": 2, "width": width, "held": held}
                yield Cell(what, lambda name=name, held=held, width=width: _attention(machine, name, held, width))


def forms(machine: Machine) -> Iterator[Cell]:
    """Milliseconds of a pass in each form of the layers' weights, for narrow and wide passes."""
    name = list(SHAPES)[0 if machine.dry else -1]
    for form, products in FORMS.items():
        model: list[Decoder] = []  # made by the first cell that is measured
        for width in (1, 5, 512):
            what = {"model": name, "form": form, "batch": 1, "width": width, "held": 504}

            def measure(what: Row = what, products: Products = products, model: list[Decoder] = model) -> Row:
                if not model:
                    model.append(machine.rounded(what["model"], products))
                return _pass(machine, model[0], what["batch"], what["width"], what["held"])

            yield Cell(what, measure)


def kernels(machine: Machine) -> Iterator[Cell]:
    """How many kernels a pass launches, by the profiler, beside what was counted without a card."""
    counted = json.loads(_COUNTED.read_text(encoding="utf-8"))["passes"] if _COUNTED.is_file() else []
    name = list(SHAPES)[0 if machine.dry else 1]
    for width in (1, 5):
        what = {"model": name, "batch": 1, "width": width, "held": 511}
        expected = [r["launches"] for r in counted if (r["model"], r["batch"], r["width"]) == (name, 1, width)]
        yield Cell(what, lambda what=what, expected=expected: _profiled(machine, what, expected))


def _pass(machine: Machine, model: Decoder, batch: int, width: int, held: int) -> Row:
    """Time one pass as the engine runs it, without graphs, and its static program as a graph alone."""
    announce(model, [width - 1])
    tokens = TokenBatch.of([[1] * width] * batch, model.device)
    starts = torch.full((batch,), held, device=model.device)
    cache = model.new_cache(batch, _capacity(held + width))

    def forward(model: Decoder, cache: KVCache) -> None:
        cache.lengths[:batch] = [held] * batch
        model.forward(tokens, cache)

    def static() -> None:
        model.run(tokens.token_ids, model.static_plan(slice(0, batch), starts, width, cache), cache)

    with torch.inference_mode():
        forward_ms = machine.median_ms(lambda: forward(model, cache), 12)
        eager = machine.eager(model)
        without_graphs = eager.new_cache(batch, _capacity(held + width))
        eager_ms = machine.median_ms(lambda: forward(eager, without_graphs), 12)
        graph_ms = machine.median_ms(machine.captured(static))
    return {"forward_ms": forward_ms, "eager_ms": eager_ms, "graph_ms": graph_ms, "gigabytes": _gigabytes(model)}


def _attention(machine: Machine, name: str, held: int, width: int) -> Row:
    """Attend for two rows, one of them short."""
    config = machine.config(name)
    n_groups, counts = config.n_heads // config.n_kv_heads, [width, 1]
    generator = torch.Generator(machine.device).manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, device=machine.device).to(machine.dtype)

    keys, values = random(2, 2, config.n_kv_heads, _capacity(held + width), config.head_dim).unbind(0)
    queries = random(sum(counts), config.n_heads, config.head_dim)
    batch = TokenBatch(torch.ones(sum(counts), dtype=torch.int64, device=machine.device), counts)

    def plan(apart: Apart) -> AttentionPlan:
        return AttentionPlan(batch, [held, held // 2], n_groups, machine.dtype, apart)

    with torch.inference_mode():
        masked = plan("none")
        row: Row = {"masked_ms": machine.median_ms(lambda: attend(queries, keys, values, masked))}
        if not has_flash(machine.dtype, machine.device, n_groups, config.head_dim):
            return row | {"flash_ms": None, "relative_difference": None}
        flash = plan("ragged")
        found, expected = (attend(queries, keys, values, one).float() for one in (flash, masked))
        row["flash_ms"] = machine.median_ms(lambda: attend(queries, keys, values, flash))
    return row | {"relative_difference": round(float((found - expected).norm() / expected.norm()), 6)}


def _capacity(n_tokens: int) -> int:
    """Return a size of a cache that flash attention takes: some pages."""
    return -(-n_tokens // _PAGES) * _PAGES


def _gigabytes(model: Decoder) -> float:
    """Return what a pass reads of dense weights at least; of an embedding that is no head only some rows."""
    numbers = sum(
        torch.Size(shape).numel()
        for name, shape in shapes(model.config).items()
        if model.config.tied_head or name != "embed_tokens.weight"
    )
    return round(numbers * model.dtype.itemsize / 1e9, 4)


def _profiled(machine: Machine, what: Row, expected: list[int]) -> Row:
    counted = expected[0] if expected else None
    if machine.dry:
        return {"launches": None, "counted": counted, "attention": []}
    model = machine.model(what["model"])
    cache, tokens = model.new_cache(1, 1024), TokenBatch.of([[1] * what["width"]], model.device)
    starts = torch.full((1,), what["held"], device=model.device)

    def run() -> None:
        model.run(tokens.token_ids, model.static_plan(slice(0, 1), starts, what["width"], cache), cache)

    with torch.inference_mode():
        run()
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
            run()
            machine.wait()
    found = [event.name for event in profile.events() if event.device_type == torch.autograd.DeviceType.CUDA]
    attention = sorted({name[:80] for name in found if any(part in name.lower() for part in ("flash", "fmha", "attn"))})
    return {"launches": len(found), "counted": counted, "attention": attention}
