"""A target whose distribution is a table: exact logits of every prefix, kept apart from any arithmetic of passes."""

import random

import torch

from speculative.protocols.causal_lm import ForwardOutput
from speculative.protocols.kv_cache import CacheShape, KVCache


class TableLM:
    """Logits are a fixed random function of the whole prefix, which it reads back from its cache."""

    can_roll_back = packs_rows = True
    max_positions = 64
    device = torch.device("cpu")

    def __init__(self, n_vocab, seed=0):
        self.n_vocab, self.seed = n_vocab, seed

    def new_cache(self, n_rows, capacity=8):
        return KVCache(CacheShape(1, n_rows, 1, 1), capacity=capacity, growth=8)  # a key is a token id

    def logits_after(self, prefix):
        rng = random.Random(f"{self.seed} {list(prefix)}")
        return torch.tensor([rng.uniform(-1.5, 1.5) for _ in range(self.n_vocab)])

    def forward(self, batch, cache, logit_rows=None):
        rows, first = [], 0
        tokens = batch.token_ids.tolist()
        for row, count in zip(batch.rows, batch.counts, strict=True):
            cache.reserve(cache.lengths[row] + count)
            for token in tokens[first : first + count]:
                cache.keys[0, row, 0, cache.lengths[row]] = token
                cache.lengths[row] += 1
                prefix = cache.keys[0, row, 0, : cache.lengths[row], 0].int().tolist()
                rows.append(self.logits_after(prefix))
            first += count
        logits = torch.stack(rows)
        return ForwardOutput(logits if logit_rows is None else logits[list(logit_rows)], torch.zeros(len(rows), 2))
