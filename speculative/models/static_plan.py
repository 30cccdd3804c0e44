"""The plan of a pass whose places only the device knows: whatever they are, the same operations on the same shapes."""

from dataclasses import dataclass

import torch
from torch.nn import functional

from speculative.models.attention import Apart, AttentionPart
from speculative.models.flash_attention import FlashRows
from speculative.protocols.kv_cache import Slots


@dataclass(frozen=True, slots=True)
class StaticForm:
    """What shapes the operations of a static pass.

    Attributes:
        width: new tokens of each row, w.
        capacity: tokens that a row of the cache can hold.
        n_groups: query heads that share a key head.
        dtype: of the mask.
        has_flash: whether the flash kernel for ragged rows attends, see `has_flash`; else every query is given all
            slots of its row, and a mask.
    """

    width: int
    capacity: int
    n_groups: int
    dtype: torch.dtype
    has_flash: bool


class StaticPlan:
    """A `Plan` of b rows with w new tokens each that reads no value: made of tensors of the device, by them alone.

    A row with fewer tokens to add is filled up with any. Their keys and values come to lie beyond those that the row
    holds, no token before them sees them, and what the row adds next is written over them. So a row that adds nothing
    can take part too.

    Args:
        rows: of the cache, b of them.
        starts: (b,) int64 on the device, tokens that each row holds before; start + w is at most the capacity.
        form: what shapes the operations.

    Attributes:
        positions: (n,) int64, each token's place in its text.
        slots: where its key and value go.
        flash: what the flash kernel asks for, where it attends.
        parts: the calls otherwise, in the order of the tokens.
        n_groups: query heads that share a key head.
        apart: "ragged" where the flash kernel attends, else "none".
    """

    def __init__(self, rows: slice, starts: torch.Tensor, form: StaticForm) -> None:
        b, width, device = len(starts), form.width, starts.device
        numbers = torch.arange(rows.start, rows.stop, device=device)
        at = starts[:, None] + torch.arange(width, device=device)  # (b, w)
        self.n_groups = form.n_groups
        self.positions = at.flatten()
        self.slots = Slots(numbers[:, None].expand(b, width).flatten(), self.positions, not form.has_flash)
        self.flash: FlashRows | None = None
        self.parts: list[AttentionPart] = []
        self.apart: Apart = "ragged" if form.has_flash else "none"
        if form.has_flash:
            n_keys = (starts + width).int()
            key_begins = functional.pad(n_keys.cumsum(0, dtype=torch.int32), (1, 0))
            query_begins = torch.arange(0, b * width + 1, width, dtype=torch.int32, device=device)
            pages = numbers.int()[:, None]
            self.flash = FlashRows(query_begins, key_begins, n_keys, pages, width, form.capacity)
            return
        hidden = torch.arange(form.capacity, device=device) > at[..., None]  # (b, w, capacity)
        mask = torch.zeros(hidden.shape, dtype=form.dtype, device=device).masked_fill_(hidden, float("-inf"))
        mask = mask.repeat(1, form.n_groups, 1)[:, None]
        self.parts = [AttentionPart(slice(0, b * width), rows, b, width, form.capacity, None, mask)]
