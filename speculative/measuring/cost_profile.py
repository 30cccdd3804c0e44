"""What a pass costs on this machine: measured once, kept on disk."""

import hashlib
import json
import platform
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from arms.atomic_file import write_file
from speculative.measuring.machine import machine_facts
from speculative.protocols.causal_lm import CausalLM
from speculative.protocols.draft import Draft, DraftSession, SharedCache
from speculative.protocols.kv_cache import KVCache
from speculative.protocols.token_batch import TokenBatch

WIDTHS = tuple(range(1, 18))  # each of them: costs are a staircase where kernels work by four rows
PREFILL_WIDTHS = (32, 128, 512)
CACHE_LENGTHS = (64, 256, 768)
MAX_AGE_DAYS = 30
MAX_SPREAD = 0.35
MONOTONE_TOLERANCE = 0.2  # by which one token may be slower than several before it is called a fault


class NoisyCostsWarning(UserWarning):
    """A cost profile is too noisy, or contradicts itself, and is used all the same."""


@dataclass(frozen=True, slots=True)
class DraftCost:
    """Seconds of one draft: a round of g tokens costs `round_s + g * token_s`.

    Reading a prefix costs `read_s` a token more.
    """

    round_s: float
    token_s: float
    read_s: float


@dataclass(frozen=True, slots=True)
class CostProfile:
    """Seconds of a target pass and of each draft, as measured on one machine.

    Attributes:
        key: digest of machine, model, dtype, threads and library version.
        widths: token counts m of the grid, rising.
        cache_lengths: cached tokens L of the grid, rising.
        verify_grid: (lengths, widths) median seconds of a pass over m tokens against L cached ones.
        spread: median over the grid of (interquartile range / median): noise of the measurement.
        prefill_widths: token counts of `prefill_grid`, rising.
        prefill_grid: seconds of a pass over so many tokens from an empty cache.
        drafts: per draft name.
        measured_at: seconds since 1970.
        machine: processor and accelerator that it was measured on, where known.
        threads: of torch, where known.
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
    machine: str | None = None
    threads: int | None = None

    def verify_s(self, n_tokens: int, cache_length: int) -> float:
        """v(m, L): seconds of a target pass over `n_tokens`, interpolated between the measured points.

        Beyond the longest measured cache the last value holds; beyond the widest pass the last rate goes on.
        """
        by_length = [float(np.interp(n_tokens, self.widths, row)) for row in self.verify_grid]
        seconds = float(np.interp(cache_length, self.cache_lengths, by_length))
        return seconds * max(1.0, n_tokens / self.widths[-1])

    def prefill_s(self, n_tokens: int) -> float:
        """Seconds to read a prompt; beyond the measured widths the last rate goes on."""
        last = self.prefill_widths[-1]
        if n_tokens > last:
            return self.prefill_grid[-1] * n_tokens / last
        widths, seconds = [1, *self.prefill_widths], [self.verify_grid[0][0], *self.prefill_grid]
        return float(np.interp(n_tokens, widths, seconds))

    def plain_s(self, n_prompt: int, n_new: int) -> float:
        """Seconds of an answer of `n_new` tokens without a draft; the prefill yields the first one."""
        return self.prefill_s(n_prompt) + sum(self.verify_s(1, n_prompt + done) for done in range(n_new - 1))

    def draft_s(self, draft: str, n_proposed: int, n_read: int = 0) -> float:
        """Seconds of a draft's round: `n_read` prefix tokens beyond the usual few, then `n_proposed` draft tokens.

        Raises:
            ValueError: if the draft was not profiled.
        """
        if draft not in self.drafts:
            raise ValueError(
                f"draft {draft!r} is not in the cost profile (drafts: {sorted(self.drafts)}); profile again"
            )
        cost = self.drafts[draft]
        return cost.read_s * n_read + (cost.round_s + cost.token_s * n_proposed)

    def break_even(self, draft: str, draft_length: int, cache_length: int = 256) -> float:
        """Return the acceptance rate at which drafting just pays; infinity if not even certain acceptance does.

        A round whose tokens are accepted with probability a yields (1 - a^(g+1)) / (1 - a) tokens. 0 where a round
        costs no more than a plain step.

        Source: Leviathan et al. 2023, equation 1 (arXiv:2211.17192).
        """
        plain = self.verify_s(1, cache_length)
        needed = (self.verify_s(draft_length + 1, cache_length) + self.draft_s(draft, draft_length)) / plain
        if needed > draft_length + 1:
            return float("inf")
        if needed <= 1:
            return 0.0
        low, high = 0.0, 1.0
        for _ in range(40):
            middle = (low + high) / 2
            tokens = sum(middle**i for i in range(draft_length + 1))
            low, high = (low, middle) if tokens >= needed else (middle, high)
        return high

    def conclusion(self, draft: str, draft_length: int) -> str:
        """One plain sentence on whether drafting can pay here."""
        share = self.break_even(draft, draft_length)
        subject = f"on this machine {draft} at draft length {draft_length}"
        if share == float("inf"):
            return f"{subject} cannot pay: its rounds cost more than they can save"
        if share == 0:
            return f"{subject} costs nothing: its rounds take no longer than a plain step"
        return f"{subject} pays once each token is accepted with probability {share:.0%}"

    def faults(self) -> list[str]:
        """Return what makes the profile too bad to price data with: noise, or one token slower than several."""
        faults = []
        if self.spread > MAX_SPREAD:
            faults.append(f"its noise is {self.spread:.0%} of a median, more than {MAX_SPREAD:.0%}")
        for length, row in zip(self.cache_lengths, self.verify_grid, strict=True):
            least = min(row)
            if row[0] > least * (1 + max(self.spread, MONOTONE_TOLERANCE)):
                few, many = f"{self.widths[0]} token(s)", self.widths[row.index(least)]
                times = f"took {row[0] * 1000:.3g} ms and one over {many} only {least * 1000:.3g} ms"
                faults.append(f"a pass over {few} {times}, at {length} cached tokens")
        return faults

    def check(self, *, allow_noisy: bool = False) -> None:
        """Raise ValueError naming the faults, or warn of them where they are allowed."""
        faults = "; ".join(self.faults())
        if faults and not allow_noisy:
            raise ValueError(
                f"the cost profile cannot price data: {faults}. Measure again on a quiet machine, or go on with "
                "--allow-noisy-costs (allow_noisy_costs=True)"
            )
        if faults:
            warnings.warn(f"seconds and speeds rest on a bad cost profile: {faults}", NoisyCostsWarning, stacklevel=3)

    @property
    def digest(self) -> str:
        """Return what tells this profile from any other, 16 hexadecimal digits."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """Return the profile as JSON text."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "CostProfile":
        """Rebuild what `to_json` gave.

        Raises:
            ValueError: if the text is no cost profile.
        """
        try:
            raw = json.loads(text)
            drafts = {name: DraftCost(**cost) for name, cost in raw.pop("drafts").items()}
            grid = tuple(tuple(row) for row in raw.pop("verify_grid"))
            names = ("widths", "cache_lengths", "prefill_widths", "prefill_grid")
            return cls(**{**raw, **{name: tuple(raw[name]) for name in names}}, drafts=drafts, verify_grid=grid)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"not a cost profile: {error!r}") from error


def measure_costs(
    model: CausalLM,
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
        on_progress: called after each round over the grid, `n_repeats + 1` times.

    Raises:
        ValueError: if the target's context is too short to measure in.
    """
    lengths = [length for length in CACHE_LENGTHS if length + max(WIDTHS) <= model.max_positions]
    widths = [width for width in PREFILL_WIDTHS if width <= model.max_positions]
    if not lengths:
        raise ValueError(
            f"a context of {model.max_positions} tokens is too short to profile; it needs at least "
            f"{CACHE_LENGTHS[0] + max(WIDTHS)}"
        )
    cache = model.new_cache(1, max(max(lengths) + max(WIDTHS), *widths))
    points = [(width, length) for length in lengths for width in WIDTHS] + [(width, 0) for width in widths]
    timed = []
    for _ in range(n_repeats + 1):
        timed.append([_pass_s(model, cache, width, length) for width, length in points])
        if on_progress is not None:
            on_progress()
    low, median, high = np.quantile(timed[1:], (0.25, 0.5, 0.75), axis=0)  # the first round warms up
    n_grid, facts = len(lengths) * len(WIDTHS), machine_facts()
    grid, spreads = median[:n_grid].reshape(len(lengths), -1), ((high - low) / median)[:n_grid]
    return CostProfile(
        key=key,
        widths=WIDTHS,
        cache_lengths=tuple(lengths),
        verify_grid=tuple(tuple(row) for row in grid.tolist()),
        spread=float(np.median(spreads)),
        prefill_widths=tuple(widths),
        prefill_grid=tuple(median[n_grid:].tolist()),
        drafts={draft.name: _draft_cost(draft, model, cache, n_repeats) for draft in drafts},
        measured_at=time.time(),
        machine=" + ".join(str(facts[name]) for name in ("processor", "accelerator") if facts[name]),
        threads=torch.get_num_threads(),
    )


def profile_key(target_name: str, model: CausalLM) -> str:
    """Digest of all that a measured cost depends on, except the drafts."""
    facts = [target_name, model.arithmetic, str(model.dtype), torch.__version__, str(torch.get_num_threads())]
    facts += [platform.processor(), platform.node(), str(model.device)]
    if model.device.type == "cuda":
        facts.append(torch.cuda.get_device_name(model.device))
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def cached_costs(
    model: CausalLM,
    target_name: str,
    drafts: Sequence[Draft],
    folder: Path,
    *,
    refresh: bool = False,
    on_progress: Callable[[], None] | None = None,
) -> CostProfile:
    """Return the stored profile, or a new one where it is missing, old, noisy or short.

    Short is one that lacks a draft; what it knows of other drafts is kept.

    Args:
        model: the target.
        target_name: what it was loaded by.
        drafts: the pool's drafts.
        folder: holds `costs-KEY.json`, one a machine and target.
        refresh: measure in any case.
        on_progress: see `measure_costs`.

    Raises:
        ValueError: if the stored profile is unreadable; the message names the file.
    """
    key = profile_key(target_name, model)
    path = folder / f"costs-{key}.json"
    stored = None if refresh else _stored(path)
    if stored is not None and {draft.name for draft in drafts} <= set(stored.drafts):
        return stored
    profile = measure_costs(model, drafts, key=key, on_progress=on_progress)
    if stored is not None:
        profile = replace(profile, drafts={**stored.drafts, **profile.drafts})
    write_file(path, profile.to_json())
    return profile


def _stored(path: Path) -> CostProfile | None:
    """Return the profile on disk, unless there is none, or an old or noisy one."""
    if not path.is_file():
        return None
    try:
        profile = CostProfile.from_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: {error}; delete it and run again") from error
    fresh = time.time() - profile.measured_at < MAX_AGE_DAYS * 86_400
    return profile if fresh and profile.spread <= MAX_SPREAD else None


def _pass_s(model: CausalLM, cache: KVCache, width: int, length: int) -> float:
    """Seconds of one pass over `width` tokens against the first `length` slots, whatever they hold."""
    cache.lengths[0] = length
    tokens = torch.ones(width, dtype=torch.int64, device=model.device)
    rows = None if width <= max(WIDTHS) else [width - 1]
    begin = time.perf_counter()
    model.forward(TokenBatch(tokens, [width]), cache, rows).logits.argmax(-1).tolist()
    return time.perf_counter() - begin


def _draft_cost(draft: Draft, model: CausalLM, cache: KVCache, n_repeats: int) -> DraftCost:
    """Fit the three constants of a draft from rounds of 1 and 8 tokens on a random text.

    A pass of the target comes before each, as in a real run: it drives the draft's weights out of the processor's
    caches, and a draft timed without it looks faster than it is (1.5 ms a draft token against 2.1 to 2.8).
    """
    n_grown = 2 * 2 * (n_repeats + 1)
    n_prompt = 128
    if draft.max_positions is not None:
        n_prompt = min(n_prompt, draft.max_positions - n_grown - 8)
    if n_prompt < 1:
        raise ValueError(f"draft {draft.name!r}: a context of {draft.max_positions} tokens is too short to profile")
    text = np.random.default_rng(0).integers(0, model.n_vocab, n_prompt + n_grown).tolist()
    session = draft.open(text[:n_prompt], SharedCache(model, cache))
    first_s = _round_s(session, cache, text[:n_prompt], 1)
    short: list[float] = []
    long: list[float] = []
    length = n_prompt
    for _ in range(n_repeats + 1):
        for seconds, draft_length in ((short, 1), (long, 8)):
            length += 2  # a round commits about two tokens
            _pass_s(model, cache, 1, 0)
            seconds.append(_round_s(session, cache, text[:length], draft_length))
    session.close(text[:n_prompt])  # nothing was generated that a draft should learn
    one, eight = statistics.median(short[1:]), statistics.median(long[1:])
    token_s = max(0.0, (eight - one) / 7)
    return DraftCost(round_s=max(0.0, one - token_s), token_s=token_s, read_s=max(0.0, first_s - one) / n_prompt)


def _round_s(session: DraftSession, cache: KVCache, prefix: list[int], draft_length: int) -> float:
    """Seconds of one proposal, with the target's cache row as it stands between two rounds."""
    cache.lengths[0] = len(prefix) - 1
    begin = time.perf_counter()
    session.propose(prefix, draft_length)
    return time.perf_counter() - begin
