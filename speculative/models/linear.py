"""A matrix product laid out for decoding: few rows, each reading every weight once."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch.nn import functional

from speculative.models.half_bytes import split_levels, spread
from speculative.models.int4_kernel import int4_kernel
from speculative.models.kernels.plan import SAFE_PLAN, KernelPlan, Packing
from speculative.models.weight_blocks import BLOCK, Matrix, WeightBlocks, stack_rows

_ROWS_PACKED_FOR: dict[Packing, int | None] = {"packed": None, "packed_4": 4, "packed_16": 16}


class Linear:
    """`x @ weight.T + bias`, with weights prepacked by oneDNN where that applies (CPU; float32, or bfloat16 by it).

    Prepacked weights make a pass over up to about 16 rows cost little more than a pass over one: the weights
    are then read once, in the order the kernel wants them. `add` and `multiply` fold the next element-wise
    operation into the product. oneDNN's own silu is not used: it is an approximation, off by more than rounding.

    Args:
        weight: (out_features, in_features); blocks are made dense.
        bias: (out_features,) or None.
        plan: says how weights are packed.
    """

    def __init__(self, weight: Matrix, bias: torch.Tensor | None = None, plan: KernelPlan = SAFE_PLAN) -> None:
        if isinstance(weight, WeightBlocks):
            weight = weight.dense()
        self.out_features, self.in_features = weight.shape
        self._bias = bias
        self._weight = weight.contiguous()
        self._packed = plan.packing != "plain" and can_pack(weight)
        if self._packed:
            self._weight = torch.ops.mkldnn._reorder_linear_weight(self._weight, _ROWS_PACKED_FOR[plan.packing])
            self._product: Callable[..., torch.Tensor] = torch.ops.mkldnn._linear_pointwise.default
            self._fused: Callable[..., torch.Tensor] = torch.ops.mkldnn._linear_pointwise.binary

    @classmethod
    def gated(
        cls, gate: tuple[Matrix, torch.Tensor | None], up: tuple[Matrix, torch.Tensor | None], plan: KernelPlan
    ) -> "SplitGate | StackedGate":
        """Return the gated first half of a feed-forward block, from two matrices with their biases.

        On a CPU the second product multiplies by the first one's results; on a card each product is a launch.
        """
        if isinstance(gate[0], WeightBlocks) or gate[0].device.type == "cpu":
            return SplitGate(cls(*gate, plan), cls(*up, plan))
        return StackedGate(cls(*_stacked(gate, up), plan))

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, in_features) to (n, out_features)."""
        if self._packed:
            return self._product(x, self._weight, self._bias, "none", [], "")
        return functional.linear(x, self._weight, self._bias)

    def multiply(self, x: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """Product of the mapped rows with `other`, both (n, out_features)."""
        if self._packed:
            return self._fused(x, other, self._weight, self._bias, "mul")
        return functional.linear(x, self._weight, self._bias) * other

    def add(self, x: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """Sum of the mapped rows and `other`, both (n, out_features)."""
        if self._packed:
            return self._fused(x, other, self._weight, self._bias, "add")
        return functional.linear(x, self._weight, self._bias) + other


def can_pack(weight: torch.Tensor) -> bool:
    """Whether oneDNN lays out such a weight for this processor."""
    has_onednn: bool = torch._C._has_mkldnn
    if not has_onednn or weight.device.type != "cpu":
        return False
    if weight.dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return weight.dtype == torch.float32


class Float32Linear:
    """`Linear` from half-precision weights and rows to float32 results: for the head.

    Rounded to bfloat16, the two best of SmolLM2's logits were equal at 3.9 % of positions. A card multiplies half
    precision into float32 where torch has that product; elsewhere the weights are kept as float32, at four bytes each.

    Args:
        weight: (out_features, in_features), in half precision or float64; or blocks, which are made dense: bfloat16 on
            a card.
        plan: says how weights are packed.
    """

    def __init__(self, weight: Matrix, plan: KernelPlan = SAFE_PLAN) -> None:
        is_blocks = isinstance(weight, WeightBlocks)
        weight = weight.dense() if isinstance(weight, WeightBlocks) else weight
        half = weight.bfloat16() if is_blocks and weight.device.type == "cuda" else weight
        widens = half.device.type == "cuda" and half.dtype.itemsize == 2 and hasattr(torch.ops.aten.mm, "dtype")
        self._half = half if widens else None
        self._linear = None if widens else Linear(weight.float(), plan=plan)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, in_features) to (n, out_features) float32."""
        if self._linear is not None:
            return self._linear(x.float())
        assert self._half is not None
        return torch.mm(x.to(self._half.dtype), self._half.t(), out_dtype=torch.float32)


class HalfLinear(ABC):
    """A product whose results come in bfloat16, and what is folded into it, in the type of its rows.

    Args:
        weight: (out_features, in_features), or blocks.
        bias: (out_features,) or None.
        plan: says how weights are packed.
    """

    @abstractmethod
    def __init__(self, weight: Matrix, bias: torch.Tensor | None = None, plan: KernelPlan = SAFE_PLAN) -> None: ...

    @abstractmethod
    def half(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, in_features) to (n, out_features) bfloat16, as the kernel gives it."""

    @classmethod
    def gated(
        cls, gate: tuple[Matrix, torch.Tensor | None], up: tuple[Matrix, torch.Tensor | None], plan: KernelPlan
    ) -> "StackedGate":
        """Return the gated first half of a feed-forward block, from two matrices with their biases.

        Raises:
            ValueError: as the constructor does.
        """
        return StackedGate(cls(*_stacked(gate, up), plan).half)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, in_features) to (n, out_features), in the type of `x`."""
        return self.half(x).to(x.dtype)

    def multiply(self, x: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """Product of the mapped rows with `other`, both (n, out_features), in the type of `other`."""
        return (other * self.half(x)).to(other.dtype)

    def add(self, x: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """Sum of the mapped rows and `other`, both (n, out_features), in the type of `other`."""
        return (other + self.half(x)).to(other.dtype)


class Int4Linear(HalfLinear):
    """`Linear` with weights kept at 4 bits, blocks of 32 sharing a scale and a minimum, or at 8, in blocks of 16.

    A fifth of float32's memory traffic, for products that differ: activations and products are rounded to bfloat16, and
    so are a block's scale and middle, which moves the weights of a Q4_1 file by 0.2 % (root mean square); a matrix that
    does not come in blocks is first rounded to 16 levels a block. On a CPU a row's product does not depend on how many
    rows are computed together, and cost is a staircase of four rows, twice as high for blocks of 8 bits, whose halves
    are multiplied apart: of the products that torch has for 8 bits, it is the one that leaves the weights of a Q5_0,
    Q6_K or Q8_0 tensor as they are but for the constants, and a row the same in any company. What it takes on a
    machine, `draftpick profile` shows.

    Args:
        weight: (out_features, in_features), or blocks, which are kept; in_features a multiple of 32.
        bias: (out_features,) or None.
        plan: of no matter here.

    Raises:
        ValueError: if the weight is on neither CPU nor card, or of a shape that the kernel there does not take.
    """

    _SLAB = 4096  # rows that are packed at once, a multiple of any tile

    def __init__(self, weight: Matrix, bias: torch.Tensor | None = None, plan: KernelPlan = SAFE_PLAN) -> None:
        device = weight.levels.device if isinstance(weight, WeightBlocks) else weight.device
        kernel = int4_kernel(device, len(weight))
        blocks = weight if isinstance(weight, WeightBlocks) else WeightBlocks.quantise(weight)
        self.out_features, self.in_features = blocks.shape
        self._bias = bias
        self._spreads = blocks.bits == 8
        if self._spreads:
            blocks = split_levels(blocks)
        missing = (0, 0, 0, -self.out_features % kernel.rows)
        levels, scales, minimums = (
            functional.pad(part, missing) for part in (blocks.levels, blocks.scales, blocks.minimums)
        )
        # a slab at a time, since a kernel may want them wider for a moment
        self._weight = torch.cat([kernel.pack(slab) for slab in torch.split(levels, self._SLAB)])
        self._product = kernel.product
        constants = torch.stack([scales, minimums + 8 * scales], dim=-1)  # the kernel: (level - 8) * scale + middle
        self._constants = constants.transpose(0, 1).contiguous().bfloat16()

    def half(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, in_features) to (n, out_features) bfloat16, as the kernel gives it."""
        x = spread(x.bfloat16()) if self._spreads else x.bfloat16()
        product = self._product(x, self._weight, BLOCK, self._constants)
        if product.shape[1] != self.out_features:
            product = product[:, : self.out_features]
        return product if self._bias is None else (product + self._bias).bfloat16()


class WideInt4Linear(Int4Linear):
    """`Int4Linear` with a bfloat16 copy of the same weights for wide passes, such as prefills.

    The 4-bit kernel unpacks its weights for every four rows; from some number of rows on a bfloat16 product costs less
    where the CPU has one. The copy takes two bytes a weight more, and rounds what the kernel multiplies by to bfloat16:
    a narrow pass and a wide one differ by rounding.

    Args:
        weight: as in `Int4Linear`.
        bias: (out_features,) or None.
        plan: says from how many rows on the copy is used, and how it is packed.

    Raises:
        ValueError: as `Int4Linear` does, or if the plan never uses the copy.
    """

    def __init__(self, weight: Matrix, bias: torch.Tensor | None = None, plan: KernelPlan = SAFE_PLAN) -> None:
        if plan.wide_rows is None:
            raise ValueError("wide_rows must be >= 1 for a product with a copy, got None; without one, use Int4Linear")
        blocks = weight if isinstance(weight, WeightBlocks) else WeightBlocks.quantise(weight)
        super().__init__(blocks, bias)
        half_bias = None if bias is None else bias.bfloat16()
        self._copy = Linear(blocks.dense().bfloat16(), half_bias, plan)
        self._wide_rows = plan.wide_rows

    @staticmethod
    def supported() -> bool:
        """Whether this CPU multiplies bfloat16."""
        return bool(torch.cpu._is_avx512_bf16_supported())

    def half(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, in_features) to (n, out_features) bfloat16."""
        return super().half(x) if len(x) < self._wide_rows else self._copy(x.bfloat16())


class SplitGate:
    """`silu(gate(x)) * up(x)` from two products, the multiplication folded into the second."""

    def __init__(self, gate: Linear, up: Linear) -> None:
        self._gate, self._up = gate, up

    def __call__(self, x: torch.Tensor, each_row: bool = False) -> torch.Tensor:
        """Map (n, in_features) to (n, out_features); `each_row` as in `_silu_`."""
        return self._up.multiply(x, _silu_(self._gate(x), each_row))


class StackedGate:
    """`silu(gate(x)) * up(x)` from one product of both matrices' rows, in its type throughout."""

    def __init__(self, both: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self._both = both

    def __call__(self, x: torch.Tensor, each_row: bool = False) -> torch.Tensor:
        """Map (n, in_features) to (n, out_features); `each_row` as in `_silu_`."""
        gate, up = self._both(x).chunk(2, dim=-1)
        return _silu_(gate, each_row) * up


def _stacked(
    gate: tuple[Matrix, torch.Tensor | None], up: tuple[Matrix, torch.Tensor | None]
) -> tuple[Matrix, torch.Tensor | None]:
    """Return both matrices' rows as one matrix, and their biases as one."""
    biases = [bias for _, bias in (gate, up) if bias is not None]
    return stack_rows([gate[0], up[0]]), torch.cat(biases) if biases else None


def _silu_(x: torch.Tensor, each_row: bool) -> torch.Tensor:
    """Apply silu to (n, m) in place.

    A kernel computes whole vectors one way and the rest of its range another way, which differs in the last bit for one
    value in hundreds; where the rest lies depends on n, and on how threads divide the range. `each_row` gives every row
    a call of its own, so that its result is the same in any company.
    """
    if not each_row:
        return functional.silu(x, inplace=True)
    for row in x.unbind(0):
        functional.silu(row, inplace=True)
    return x
