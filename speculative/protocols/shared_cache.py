"""A request's place in the target, for drafts made of the target's own layers."""

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Protocol, TypeVar, cast

import torch

from speculative.protocols.causal_lm import CausalLM, ForwardOutput
from speculative.protocols.kv_cache import KVCache
from speculative.protocols.state_rows import StateRows
from speculative.protocols.token_batch import TokenBatch


class _LayeredLM(Protocol):
    """A model that can stop after its first layers."""

    def forward(
        self, batch: TokenBatch, cache: KVCache, logit_rows: Sequence[int] | None = None, n_layers: int | None = None
    ) -> ForwardOutput:
        """Run the batch's tokens through `n_layers` layers and append them to the cache."""


def _first_row() -> tuple[int, int]:
    return 0, 0


_Common = TypeVar("_Common")


class SharedCache:
    """A request's row of the target's cache, for a draft made of the target's own layers.

    It can read on from the committed tokens and take back what it read. It is given no tensor of the cache: what is
    committed, and other rows, are out of its reach.

    Args:
        model: the target.
        cache: its keys and values; between rounds the row holds all committed tokens but the last.
        place: gives the request's row as it is now, and how many of its tokens are committed.
        states: the target's states of the committed tokens but the last; None where no draft asks for them.
        common: drafts, and what they hold for all requests of the engine, by the draft's id.

    Attributes:
        is_open: whether it may be used now. The engine opens it only while a draft of its own request proposes: what is
            read then is cut off after, at other times it would stay between the tokens to verify.
    """

    __slots__ = ("_cache", "_common", "_model", "_place", "_states", "is_open")

    def __init__(
        self,
        model: CausalLM,
        cache: KVCache,
        place: Callable[[], tuple[int, int]] = _first_row,
        states: StateRows | None = None,
        common: dict[int, tuple[object, object]] | None = None,
    ) -> None:
        self._model, self._cache, self._place, self._states = model, cache, place, states
        self._common: dict[int, tuple[object, object]] = {} if common is None else common
        self.is_open = True

    @property
    def n_held(self) -> int:
        """Tokens that the row holds."""
        return self._cache.lengths[self._place()[0]]

    def forward(self, token_ids: torch.Tensor, n_layers: int) -> torch.Tensor:
        """Append (n,) tokens to the row by the target's first layers; return the last one's logits, (v,).

        Raises:
            RuntimeError: if no draft of its request proposes now.
        """
        return self.forward_together([self], token_ids, [len(token_ids)], n_layers)[0]

    @staticmethod
    def forward_together(
        shares: "Sequence[SharedCache]", token_ids: torch.Tensor, counts: Sequence[int], n_layers: int
    ) -> torch.Tensor:
        """Append tokens to the rows of several requests of one engine in one pass.

        Args:
            shares: of the requests.
            token_ids: (n,) one request's after the other's.
            counts: of each request, >= 1.
            n_layers: of the target, the first ones.

        Returns:
            (requests, v), the logits of each one's last token.

        Raises:
            RuntimeError: if for one of them no draft proposes now.
            ValueError: if they are of different engines.
        """
        for share in shares:
            share._check_open()
        first = shares[0]
        if any(share._cache is not first._cache for share in shares):
            raise ValueError("requests that are read together must be of one engine")
        batch = TokenBatch.in_rows(token_ids, counts, [share._place()[0] for share in shares])
        last = [end - 1 for end in accumulate(counts)]
        return cast(_LayeredLM, first._model).forward(batch, first._cache, last, n_layers).logits

    def is_beside(self, other: "SharedCache") -> bool:
        """Whether another request is of the same engine."""
        return self._cache is other._cache

    def in_common(self, draft: object, make: Callable[[int], _Common]) -> _Common:
        """Return what a draft holds for all requests of the engine.

        Args:
            draft: whose.
            make: makes it where there is none yet, for as many requests as can run at once.
        """
        if id(draft) not in self._common:
            self._common[id(draft)] = draft, make(self._cache.n_rows)  # with the draft, so that its id stays its own
        return cast(_Common, self._common[id(draft)][1])

    def states(self, layers: Sequence[int], first: int) -> torch.Tensor:
        """Return the target's states of the committed tokens from position `first` on, but of the last one.

        Args:
            layers: which states, as in `Draft.state_layers`.
            first: a position.

        Returns:
            (n, layers * d), to be read only.

        Raises:
            ValueError: if they are not kept, because the draft does not ask for them.
        """
        if self._states is None or not set(layers) <= set(self._states.layers):
            raise ValueError(f"states of layers {tuple(layers)} are not kept: a draft must ask by its state_layers")
        return self._states.since(first, layers)

    def take_back(self, n_kept: int) -> None:
        """Forget all but the row's first tokens.

        Raises:
            RuntimeError: if no draft of its request proposes now.
            ValueError: if one of them is committed, or the row does not hold that many.
        """
        self._check_open()
        row, n_committed = self._place()
        if n_kept < n_committed:
            raise ValueError(f"n_kept must be >= {n_committed}, the tokens committed, got {n_kept}")
        self._cache.truncate(row, n_kept)

    def _check_open(self) -> None:
        if not self.is_open:
            raise RuntimeError("a request's SharedCache may be used only while a draft of that request proposes")
