"""The forms of a layer's products that are timed against each other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from speculative.models.kernels.layer_shapes import LayerShapes
from speculative.models.kernels.plan import KernelPlan, Packing
from speculative.models.kernels.trial import Seconds, Timer, Trial, time_trials
from speculative.models.linear import Int4Linear, Linear, can_pack
from speculative.models.weight_blocks import BLOCK, WeightBlocks

ROWS = (1, 2, 4, 8, 12, 16)
"""Numbers of rows at which products are timed: a plain step's, and rounds' of several draft lengths."""
INT4 = "int4"
"""Name of the form that multiplies by 4-bit blocks."""
_PACKINGS: tuple[Packing, ...] = ("packed_4", "packed", "packed_16", "plain")
_BYTES = 64 * 2**20  # of weights a form: with the other forms' in between they come from memory, not from caches
Product = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class ProductForm:
    """One way to hold and multiply a layer's matrices.

    Attributes:
        name: as in `form_name`, or `INT4`.
        bytes_a_weight: read in a pass.
        dtype: of the rows.
        make: builds a product for a matrix of the size of the one given.
    """

    name: str
    bytes_a_weight: float
    dtype: torch.dtype
    make: Callable[[torch.Tensor], Product]

    def layers(self, shapes: LayerShapes) -> list[tuple[int, Product]]:
        """Build (in_features, product) of as many layers as a processor's caches cannot hold."""
        n_layers = min(shapes.n_layers, max(1, round(_BYTES / (self.bytes_a_weight * shapes.n_weights))))
        return [(m.shape[1], self.make(m)) for _ in range(n_layers) for m in shapes.weights(self.dtype)]


def form_name(dtype: torch.dtype, packing: Packing) -> str:
    """Name the form of dense weights of a dtype."""
    return f"{str(dtype).removeprefix('torch.')} {packing}"


def dense_forms(dtype: torch.dtype) -> list[ProductForm]:
    """Return the forms that dense weights of a dtype may take here, the safe one first."""
    packings = _PACKINGS if can_pack(torch.empty(0, dtype=dtype)) else ("plain",)

    def maker(packing: Packing) -> Callable[[torch.Tensor], Product]:
        return lambda weight: Linear(weight, plan=KernelPlan(packing))

    return [ProductForm(form_name(dtype, p), dtype.itemsize, dtype, maker(p)) for p in packings]


def int4_form() -> ProductForm:
    """Return the form that multiplies by 4-bit blocks."""
    return ProductForm(INT4, 0.5 + 2 * 2 / BLOCK, torch.bfloat16, lambda weight: Int4Linear(_blocks(weight)).half)


def time_products(shapes: LayerShapes, forms: Sequence[ProductForm], timer: Timer, budget_s: float) -> Seconds:
    """Time all forms at every number of rows, in turn; seconds of one layer.

    Args:
        shapes: of the model.
        forms: to compare.
        timer: of one trial.
        budget_s: see `time_trials`.
    """
    layers = {form: form.layers(shapes) for form in forms}
    trials = [Trial(form.name, n, _pass(layers[form], n, form.dtype)) for n in ROWS for form in forms]
    seconds = time_trials(trials, timer, budget_s)
    share = {form.name: len(shapes.matrices) / len(products) for form, products in layers.items()}
    return {name: {n: s * share[name] for n, s in row.items()} for name, row in seconds.items()}


def _pass(products: Sequence[tuple[int, Product]], n_rows: int, dtype: torch.dtype) -> Callable[[], None]:
    """Return a function that multiplies by every matrix once."""
    rows = {n_in: torch.ones(n_rows, n_in, dtype=dtype) for n_in, _ in products}

    def run() -> None:
        for n_in, product in products:
            product(rows[n_in])

    return run


def _blocks(weight: torch.Tensor) -> WeightBlocks:
    constants = torch.full((weight.shape[0], weight.shape[1] // BLOCK), 0.01)
    return WeightBlocks(torch.zeros(weight.shape, dtype=torch.uint8), constants, constants)
