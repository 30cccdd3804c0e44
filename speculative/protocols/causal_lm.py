"""What the engine needs of a target model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from speculative.protocols.kv_cache import KVCache
from speculative.protocols.token_batch import TokenBatch


@dataclass(frozen=True, slots=True)
class ForwardOutput:
    """Result of one pass.

    Attributes:
        logits: (m, v) float, one row for each chosen token.
        hidden: (n, d) last-layer states of all the pass's tokens, after the final norm.
        tapped: (n, d) each, the states that enter the layers that the model was asked for, in their order.
        accepted: (b, w + 1) int64, what the pass itself accepted and picked of the batch's `picks`, see
            `accepted_of_rows`; None where it did not.
    """

    logits: torch.Tensor
    hidden: torch.Tensor
    tapped: tuple[torch.Tensor, ...] = ()
    accepted: torch.Tensor | None = None


class CausalLM(Protocol):
    """A target model: token ids in, logits of chosen rows out, against a cache it extends."""

    @property
    def n_vocab(self) -> int:
        """Size of the vocabulary."""

    @property
    def n_features(self) -> int:
        """Width of the hidden states."""

    @property
    def dtype(self) -> torch.dtype:
        """Of the KV cache and of what is not kept at fewer bits."""

    @property
    def arithmetic(self) -> str:
        """How the model computes, in words: what a measured cost depends on."""

    @property
    def max_positions(self) -> int:
        """Longest prefix, tokens."""

    @property
    def device(self) -> torch.device:
        """Where token ids must live."""

    @property
    def can_roll_back(self) -> bool:
        """Whether the cache can forget a row's last tokens; only then can drafts be verified."""

    @property
    def packs_rows(self) -> bool:
        """Whether a pass costs what its tokens cost, however many each row has; else shorter rows are padded.

        Only such a pass takes scattered rows, and reads prompts beside the rounds of other requests.
        """

    def fingerprint(self) -> str:
        """Digest of weights and way of computing: two models of one fingerprint write the same text."""

    def new_cache(self, n_rows: int, capacity: int = 512) -> KVCache:
        """Make an empty cache."""

    def forward(self, batch: TokenBatch, cache: KVCache, logit_rows: Sequence[int] | None = None) -> ForwardOutput:
        """Run the batch's tokens and append them to the cache."""
