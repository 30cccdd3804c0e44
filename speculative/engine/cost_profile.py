"""What a pass costs on this machine: measured once, kept on disk."""

import hashlib
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from speculative.engine.decoder import Decoder
from speculative.engine.draft import Draft
from speculative.engine.token_batch import TokenBatch

WIDTHS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 15, 17)
PREFILL_WIDTHS = (32, 128, 512)
CACHE_LENGTHS = (64, 256, 768)
MAX_AGE_DAYS = 30
MAX_SPREAD = 0.35


@dataclass(frozen=True, slots=True)
class DraftCost:
    """Seconds of one draft: a round of g tokens costs `round_s + g * token_s`; reading a prefix `read_s` a token."""

    round_s: float
    token_s: float
    read_s: float


@dataclass(frozen=True, slots=True)
class CostProfile:
    """Seconds of a target pass and of each draft, as measured on one machine.

    Attributes:
        key: digest of machine, model, dtype, threads and library version.
        widths, cache_lengths: the grid of `verify_grid`.
        verify_grid: (lengths, widths) median seconds of a pass over m tokens against L cached ones.
        spread: median over the grid of (interquartile range / median): noise of the measurement.
        prefill_widths, prefill_grid: seconds of a pass over many tokens from an empty cache.
        drafts: per draft name.
        measured_at: seconds since 1970.
    """

    key: str
    widths: tuple[int, ...]
    cache_lengths: tuple[int, ...]
    verify_grid: tuple[tuple[float, ...], ...]
    spread: float
    prefill_widths: tuple[int, ...]
    prefill_grid: tuple[float, ...]
    drafts: dict[str, DraftCost]
    measured_at: float

    def verify_s(self, n_tokens: int, cache_length: int) -> float:
        """v(m, L): seconds of a target pass over `n_tokens`, interpolated between the measured points."""
        by_length = [float(np.interp(n_tokens, self.widths, row)) for row in self.verify_grid]
        return float(np.interp(cache_length, self.cache_lengths, by_length))

    def prefill_s(self, n_tokens: int) -> float:
        """Seconds to read a prompt; beyond the measured widths the last rate goes on."""
        last = self.prefill_widths[-1]
        if n_tokens > last:
            return self.prefill_grid[-1] * n_tokens / last
        widths, seconds = [1, *self.prefill_widths], [self.verify_grid[0][0], *self.prefill_grid]
        return float(np.interp(n_tokens, widths, seconds))

    def draft_s(self, draft: str, n_proposed: int, n_read: int = 0) -> float:
        """Seconds of a draft's round: `n_read` prefix tokens beyond the usual few, then `n_proposed` guesses.

        Raises:
            ValueError: if the draft was not profiled.
        """
        if draft not in self.drafts:
            raise ValueError(f"draft {draft!r} is not in the cost profile (drafts: {sorted(self.drafts)}); profile again")
        cost = self.drafts[draft]
        return cost.read_s * n_read + (cost.round_s + cost.token_s * n_proposed)

    def break_even(self, draft: str, draft_length: int, cache_length: int = 256) -> float:
        """Chance per token at which drafting just pays, or infinity if not even certain acceptance does.

        A round of acceptance chance a yields (1 - a^(g+1)) / (1 - a) tokens (Leviathan et al. 2023, equation 1).
        """
        plain = self.verify_s(1, cache_length)
        needed = (self.verify_s(draft_length + 1, cache_length) + self.draft_s(draft, draft_length)) / plain
        if needed > draft_length + 1:
            return float("inf")
        low, high = 0.0, 1.0
        for _ in range(40):
            middle = (low + high) / 2
            tokens = sum(middle**i for i in range(draft_length + 1))
            low, high = (low, middle) if tokens >= needed else (middle, high)
        return high

    def verdict(self, draft: str, draft_length: int) -> str:
        """One plain sentence on whether drafting can pay here."""
        share = self.break_even(draft, draft_length)
        if share == float("inf"):
            return f"on this machine {draft} at draft length {draft_length} cannot pay: its rounds cost more than they can save"
        return f"on this machine {draft} at draft length {draft_length} pays once {share:.0%} of its tokens are accepted"

    def to_json(self) -> str:
        """The profile as JSON text."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "CostProfile":
        """Rebuild what `to_json` gave."""
        raw = json.loads(text)
        drafts = {name: DraftCost(**cost) for name, cost in raw.pop("drafts").items()}
        grid = tuple(tuple(row) for row in raw.pop("verify_grid"))
        names = ("widths", "cache_lengths", "prefill_widths", "prefill_grid")
        return cls(**{**raw, **{name: tuple(raw[name]) for name in names}}, drafts=drafts, verify_grid=grid)


def measure_costs(
    model: Decoder,
    drafts: Sequence[Draft],
    *,
    key: str = "",
    n_repeats: int = 7,
    on_progress: Callable[[], None] | None = None,
) -> CostProfile:
    """Time passes of the target and rounds of each draft, in turn, and keep the medians.

    Args:
        model: the target.
        drafts: the pool's drafts; `NoDraft` costs nothing and may be among them.
        key: what the profile is filed under.
        n_repeats: rounds over the whole grid; points alternate, so that a busy moment hits all alike.
        on_progress: called after each round over the grid.
    """
    grid = np.zeros((n_repeats + 1, len(CACHE_LENGTHS), len(WIDTHS)))
    prefill = np.zeros((n_repeats + 1, len(PREFILL_WIDTHS)))
    lengths = [length for length in CACHE_LENGTHS if length + max(WIDTHS) <= model.max_positions]
    widths = [width for width in PREFILL_WIDTHS if width <= model.max_positions]
    if not lengths or not widths:
        raise ValueError(f"a context of {model.max_positions} tokens is too short to profile; needs at least {CACHE_LENGTHS[0] + max(WIDTHS)}")
    cache = model.new_cache(1, max(max(lengths) + max(WIDTHS), *widths))
    for repeat in range(n_repeats + 1):  # the first round warms up
        for i, length in enumerate(lengths):
            for j, width in enumerate(WIDTHS):
                grid[repeat, i, j] = _pass_s(model, cache, width, length)
        for j, width in enumerate(widths):
            prefill[repeat, j] = _pass_s(model, cache, width, 0)
        if on_progress is not None:
            on_progress()
    timed = grid[1:, : len(lengths)]
    low, median, high = np.quantile(timed, (0.25, 0.5, 0.75), axis=0)
    return CostProfile(
        key=key,
        widths=WIDTHS,
        cache_lengths=tuple(lengths),
        verify_grid=tuple(tuple(row) for row in median.tolist()),
        spread=float(np.median((high - low) / median)),
        prefill_widths=tuple(widths),
        prefill_grid=tuple(np.median(prefill[1:, : len(widths)], axis=0).tolist()),
        drafts={draft.name: _draft_cost(draft, model.n_vocab, n_repeats) for draft in drafts},
        measured_at=time.time(),
    )


def profile_key(target_name: str, dtype: torch.dtype) -> str:
    """Digest of all that a measured cost depends on, except the drafts."""
    facts = [target_name, str(dtype), torch.__version__, str(torch.get_num_threads()), platform.processor(), platform.node()]
    facts.append(torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu")
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def cached_costs(
    model: Decoder,
    target_name: str,
    drafts: Sequence[Draft],
    folder: Path,
    *,
    refresh: bool = False,
    **options: Any,
) -> CostProfile:
    """The stored profile of this machine and target, or a new one where it is missing, old, noisy or lacks a draft."""
    key = profile_key(target_name, model.dtype)
    path = folder / f"costs-{key}.json"
    if path.is_file() and not refresh:
        try:
            stored = CostProfile.from_json(path.read_text())
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is not a readable cost profile ({error}); delete it and run again") from error
        fresh = time.time() - stored.measured_at < MAX_AGE_DAYS * 86_400 and stored.spread <= MAX_SPREAD
        if fresh and {draft.name for draft in drafts} <= set(stored.drafts):
            return stored
    profile = measure_costs(model, drafts, key=key, **options)
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(profile.to_json())
    os.replace(partial, path)
    return profile


def _pass_s(model: Decoder, cache: Any, width: int, length: int) -> float:
    cache.lengths[0] = length
    tokens = torch.ones(width, dtype=torch.int64, device=model.device)
    rows = None if width <= max(WIDTHS) else [width - 1]
    begin = time.perf_counter()
    model.forward(TokenBatch(tokens, [width]), cache, rows).logits.argmax(-1).tolist()
    return time.perf_counter() - begin


def _draft_cost(draft: Draft, n_vocab: int, n_repeats: int) -> DraftCost:
    """Fit the three constants of a draft from rounds of 1 and 8 tokens on a random text."""
    n_prompt = min(128, (draft.max_positions or 256) // 2)
    text = np.random.default_rng(0).integers(0, n_vocab, n_prompt + 2 * (n_repeats + 2) * 2).tolist()
    session = draft.open(text[:n_prompt])
    begin = time.perf_counter()
    session.propose(text[:n_prompt], 1)
    first_s = time.perf_counter() - begin
    short: list[float] = []
    long: list[float] = []
    length = n_prompt
    for _ in range(n_repeats + 1):
        for seconds, draft_length in ((short, 1), (long, 8)):
            length += 2  # a round commits about two tokens
            begin = time.perf_counter()
            session.propose(text[:length], draft_length)
            seconds.append(time.perf_counter() - begin)
    session.close()
    one, eight = statistics.median(short[1:]), statistics.median(long[1:])
    token_s = max(0.0, (eight - one) / 7)
    return DraftCost(round_s=max(0.0, one - token_s), token_s=token_s, read_s=max(0.0, first_s - one) / n_prompt)
