"""Text that is the same bit for bit whichever arms helped: the target with results that no other token can touch."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from speculative.models.decoder import Decoder
from speculative.protocols.causal_lm import CausalLM
from speculative.protocols.kv_cache import KVCache
from speculative.protocols.token_batch import TokenBatch

_PREFIXES = (3, 61, 450)  # tokens before the self-test's sequences
_N_MORE = 3  # tokens of a sequence beyond one round's, so that rounds begin at several places
_N_LAYERS = 2  # of every width's test: a decoder's layers run the same kernels at the same shapes
_N_PASSES = 16  # at least, where there are few widths


def batch_invariant_model(target: CausalLM, max_batch: int, draft_length: int) -> Decoder:
    """Return the same weights, computing every token's logits independently of what else is in a pass.

    Attention and activations do so by their form: every token is computed by calls of its own, of one shape. Norms and
    rotations are sums over one token's own numbers and exactly rounded operations. Matrix products are a library's, and
    tested here, on the machine at hand (`is_batch_invariant`). Where they depend on how many rows are computed, every
    pass is filled up to one width; where that does not help, every token gets a pass of its own, and drafting saves no
    time.

    Args:
        target: one of draftpick's decoders.
        max_batch: most sequences in a decoding pass.
        draft_length: most draft tokens of a sequence in a pass.

    Raises:
        ValueError: if the target is another kind of model, or its results differ even token by token.
    """
    if not isinstance(target, Decoder):
        raise ValueError(f"batch-invariant text needs draftpick's own decoder as target, got {type(target).__name__}")
    widest = max_batch * (1 + draft_length)
    for width in (None, widest, 1):
        model = target.batch_invariant(width)
        if is_batch_invariant(model, max_batch, draft_length):
            return model
    raise ValueError(
        f"batch-invariant text cannot be had here: a token's results depend on the up to {widest} tokens in its pass "
        "even at a fixed width and token by token; use another dtype or device, or leave batch_invariant off"
    )


@torch.inference_mode()
def is_batch_invariant(model: Decoder, max_batch: int, draft_length: int) -> bool:
    """Whether every pass of a decoding run gives a token the results of a pass of its own, bit for bit.

    Compares logits, hidden states, keys and values in passes of every width: sequences of several prefix lengths, in
    changing company and places, with changing numbers of draft tokens, rolled back to changing places in between.
    Every width runs the first layers and the head; a few passes run all layers. A prefill, which is the same pass
    whichever arms follow, is compared with itself in another row.

    Args:
        model: to test.
        max_batch: most sequences in a pass.
        draft_length: most draft tokens of a sequence in a pass.
    """
    n_layers = model.config.n_layers
    if not _prefills_agree(model, max_batch) or not _passes_agree(
        model, max_batch, draft_length, min(n_layers, _N_LAYERS)
    ):
        return False
    return n_layers <= _N_LAYERS or _passes_agree(
        model, min(max_batch, 2), min(draft_length, 3), n_layers, prefixes=_PREFIXES[1:2], n_passes=2
    )


@dataclass(frozen=True, slots=True)
class _Sequence:
    """A prefix, what follows it, and what each following token gives in a pass of its own.

    Attributes:
        prefix: tokens before, t0.
        tokens: (f,) int64, those that follow.
        logits: (f, v).
        hidden: (f, d).
        stored: (2, n_layers, h, f, hd), keys and values.
    """

    prefix: int
    tokens: torch.Tensor
    logits: torch.Tensor
    hidden: torch.Tensor
    stored: torch.Tensor


@dataclass(frozen=True, slots=True)
class _Part:
    """A sequence's share of a pass: `count` tokens from its following token `start` on."""

    row: int
    start: int
    count: int


def _passes_agree(
    model: Decoder,
    max_batch: int,
    draft_length: int,
    n_layers: int,
    *,
    prefixes: Sequence[int] = _PREFIXES,
    n_passes: int | None = None,
) -> bool:
    """Whether passes agree with single tokens in the first `n_layers`; all widths at least once, or `n_passes`."""
    most = min(1 + draft_length, model.max_positions - 1)
    n_follow = min(most + _N_MORE, model.max_positions - 1)
    cache = model.new_cache(max(max_batch, len(prefixes)))
    lengths = [min(length, model.max_positions - n_follow) for length in prefixes]
    sequences = _sequences(model, cache, lengths, n_follow, n_layers)
    rng = random.Random(0)
    begins = [0] * cache.n_rows  # following tokens that each row holds
    widest = max_batch * most
    for i in range(n_passes or max(widest, _N_PASSES)):
        parts = []
        for row, count in _rows_of_a_pass(rng, widest - i % widest, max_batch, most, cache.n_rows):
            start = min(begins[row], n_follow - count)
            cache.truncate(row, sequences[row % len(sequences)].prefix + start)
            parts.append(_Part(row, start, count))
        if not _pass_agrees(model, cache, sequences, parts, n_layers):
            return False
        for part in parts:
            begins[part.row] = part.start + rng.randint(0, part.count)
    return True


def _prefills_agree(model: Decoder, max_batch: int) -> bool:
    """Whether a prompt read in two chunks is the same in the first row of a cache and in the last."""
    tokens = torch.randint(model.n_vocab, (25,), generator=torch.Generator().manual_seed(1)).to(model.device)
    chunks = [chunk for chunk in torch.split(tokens[: model.max_positions], 16) if len(chunk)]
    cache = model.new_cache(max(max_batch, 2))
    seen = []
    for row in (0, cache.n_rows - 1):
        outputs = [model.forward(TokenBatch(c, [len(c)], row), cache, [len(c) - 1]) for c in chunks]
        seen.append([*(o.logits for o in outputs), *(o.hidden for o in outputs), cache.held(row)])
    return all(torch.equal(first, last) for first, last in zip(*seen, strict=True))


def _sequences(model: Decoder, cache: KVCache, lengths: Sequence[int], n_follow: int, n_layers: int) -> list[_Sequence]:
    """Sequences with random keys and values before them, row r of the cache holding number r modulo theirs."""
    generator = torch.Generator().manual_seed(0)
    cache.reserve(max(lengths) + n_follow)
    for row in range(cache.n_rows):
        length = cache.lengths[row] = lengths[row % len(lengths)]
        for store in (cache.keys, cache.values):
            part = store[:n_layers, row, :, :length]
            if row < len(lengths):
                part.copy_(torch.randn(part.shape, generator=generator))
            else:
                part.copy_(store[:n_layers, row % len(lengths), :, :length])
    sequences = []
    for row, length in enumerate(lengths):
        tokens = torch.randint(model.n_vocab, (n_follow,), generator=generator).to(model.device)
        outputs = [model.forward(TokenBatch(t, [1], row), cache, n_layers=n_layers) for t in torch.split(tokens, 1)]
        logits, hidden = (torch.cat(parts) for parts in zip(*((o.logits, o.hidden) for o in outputs), strict=True))
        sequences.append(_Sequence(length, tokens, logits, hidden, cache.held(row, length)[:, :n_layers]))
        cache.truncate(row, length)
    return sequences


def _rows_of_a_pass(
    rng: random.Random, width: int, max_batch: int, most: int, n_rows: int
) -> Iterator[tuple[int, int]]:
    """Rows and counts of a pass of `width` tokens: consecutive rows, at most `max_batch`, of 1 to `most` tokens."""
    n = rng.randint(-(-width // most), min(max_batch, width))
    counts = [1] * n
    for _ in range(width - n):
        counts[rng.choice([i for i, count in enumerate(counts) if count < most])] += 1
    return enumerate(counts, rng.randint(0, n_rows - n))


def _pass_agrees(model: Decoder, cache: KVCache, sequences: list[_Sequence], parts: list[_Part], n_layers: int) -> bool:
    """Whether one pass gives each of its tokens what a pass of its own gave."""
    held = [sequences[part.row % len(sequences)] for part in parts]
    places = [slice(part.start, part.start + part.count) for part in parts]
    tokens = torch.cat([sequence.tokens[place] for sequence, place in zip(held, places, strict=True)])
    counts = [part.count for part in parts]
    output = model.forward(TokenBatch(tokens, counts, parts[0].row), cache, n_layers=n_layers)
    found = zip(
        parts, held, places, torch.split(output.logits, counts), torch.split(output.hidden, counts), strict=True
    )
    for part, sequence, place, logits, hidden in found:
        first = sequence.prefix + part.start
        stored = cache.held(part.row, first, first + part.count)[:, :n_layers]
        if not (
            torch.equal(logits, sequence.logits[place])
            and torch.equal(hidden, sequence.hidden[place])
            and torch.equal(stored, sequence.stored[..., place, :])
        ):
            return False
    return True
