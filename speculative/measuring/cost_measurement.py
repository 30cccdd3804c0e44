"""Timing of a target's passes and of each draft's rounds on this machine."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import isotonic_regression

from speculative.measuring.cost_profile import CostProfile, DraftCost
from speculative.measuring.machine import machine_facts
from speculative.models.graphs import announced
from speculative.protocols.causal_lm import CausalLM, ForwardOutput
from speculative.protocols.draft import Draft, DraftAsk, DraftSession, UnreadProposal
from speculative.protocols.kv_cache import KVCache
from speculative.protocols.shared_cache import SharedCache
from speculative.protocols.state_rows import StateRows, inner_layers
from speculative.protocols.token_batch import TokenBatch

Floats = npt.NDArray[np.float64]
_N_PROMPT = 128  # tokens of the random text that drafts read
_DRAFT_LENGTHS = (1, 8)  # of the rounds that a draft is timed in


@dataclass(frozen=True, slots=True)
class Effort:
    """Which points are timed, and how often.

    Attributes:
        widths: tokens of a pass, rising.
        cache_lengths: cached tokens, rising; those that the model's context holds are taken.
        prefill_widths: tokens of a prompt, rising; as above.
        n_repeats: rounds over all points.
    """

    widths: tuple[int, ...] = tuple(range(1, 18))  # each of them: costs are a staircase where kernels work by four rows
    cache_lengths: tuple[int, ...] = (64, 256, 768)
    prefill_widths: tuple[int, ...] = (32, 128, 512)
    n_repeats: int = 7

    @property
    def draft_lengths(self) -> list[int]:
        """Draft tokens of the passes and rounds that are timed."""
        return [*(width - 1 for width in self.widths), *_DRAFT_LENGTHS]


EXACT = Effort()
QUICK = Effort((1, 2, 4, 5, 8, 9, 12, 13, 17), (64,), (32, 128), 3)
"""A sixth of the passes, for a first look: too few to price data with."""


def measure_costs(
    model: CausalLM,
    drafts: Sequence[Draft],
    *,
    key: str = "",
    effort: Effort = EXACT,
    on_progress: Callable[[], None] | None = None,
) -> CostProfile:
    """Time passes of the target and rounds of each draft, in turn, and keep the medians.

    A round times every point of the grid and every draft once, so that a busy moment hits all alike. A wider pass never
    costs less: medians that say so are fitted by isotonic regression, and the largest correction is kept.

    Args:
        model: the target.
        drafts: the pool's drafts; `NoDraft` costs nothing and may be among them.
        key: what the profile is filed under.
        effort: which points, and how often.
        on_progress: called after each round, `effort.n_repeats + 1` times.

    Raises:
        ValueError: if the target's or a draft's context is too short to measure in.
    """
    widest = max(effort.widths)
    lengths = [length for length in effort.cache_lengths if length + widest <= model.max_positions]
    prefills = [width for width in effort.prefill_widths if width <= model.max_positions]
    if not lengths:
        raise ValueError(
            f"a context of {model.max_positions} tokens is too short to profile; it needs at least "
            f"{effort.cache_lengths[0] + widest}"
        )
    cache = model.new_cache(1, max(max(lengths) + widest, *prefills))
    points = [(width, length) for length in lengths for width in effort.widths] + [(width, 0) for width in prefills]
    rounds_of = {draft.name: _DraftRounds(draft, model, cache, effort.n_repeats + 1) for draft in drafts}
    timed = []
    with announced([model, *map(_own_model, drafts)], effort.draft_lengths):
        for _ in range(effort.n_repeats + 1):
            timed.append([_pass_s(model, cache, width, length, width <= widest) for width, length in points])
            for rounds in rounds_of.values():
                rounds.time()
            if on_progress is not None:
                on_progress()
    seconds = np.array(timed[1:])  # the first round warms up
    grid, noise = _medians(seconds[:, : len(lengths) * len(effort.widths)], len(lengths))
    prefill_grid, _ = _medians(seconds[:, len(lengths) * len(effort.widths) :], 1)
    fitted, facts = _rising(grid), machine_facts()
    return CostProfile(
        key=key,
        widths=effort.widths,
        cache_lengths=tuple(lengths),
        verify_grid=tuple(tuple(row) for row in fitted.tolist()),
        spread=float(np.median(noise)),
        prefill_widths=tuple(prefills),
        prefill_grid=tuple(_rising(prefill_grid)[0].tolist()),
        drafts={name: rounds.cost() for name, rounds in rounds_of.items()},
        measured_at=time.time(),
        machine=" + ".join(str(facts[name]) for name in ("processor", "accelerator") if facts[name]),
        threads=torch.get_num_threads(),
        noise_grid=tuple(tuple(row) for row in noise.tolist()),
        correction=float(np.abs(fitted / grid - 1).max()),
        drift=_drift(seconds),
    )


def drift_from(model: CausalLM, costs: CostProfile, n_repeats: int = 5) -> float:
    """Return by which factor a plain step takes longer now than a profile says: 1 for as long.

    To be asked before and after what a profile prices: a machine that was slowed down in between, by heat or by others'
    work, makes measured seconds and priced ones differ.

    Args:
        model: the target.
        costs: measured on this machine.
        n_repeats: passes timed after one that warms up.
    """
    length = costs.cache_lengths[0]
    cache = model.new_cache(1, length + 1)
    seconds = [_pass_s(model, cache, 1, length, True) for _ in range(n_repeats + 1)]
    return statistics.median(seconds[1:]) / costs.verify_s(1, length)


def _own_model(draft: Draft) -> object:
    return getattr(draft, "model", None)


def _medians(seconds: Floats, n_rows: int) -> tuple[Floats, Floats]:
    """Medians of (rounds, points) seconds and their noise, interquartile range over median, both (n_rows, widths)."""
    low, median, high = np.quantile(seconds, (0.25, 0.5, 0.75), axis=0)
    return median.reshape(n_rows, -1), ((high - low) / median).reshape(n_rows, -1)


def _rising(grid: Floats) -> Floats:
    """Return the nearest rows, in squares, that never fall."""
    return np.stack([isotonic_regression(row).x for row in grid])


def _drift(seconds: Floats) -> float:
    """By which share the later half of (rounds, points) took longer or less long than the earlier one."""
    half = len(seconds) // 2
    if half == 0:
        return 0.0
    ratios = np.median(seconds[-half:], axis=0) / np.median(seconds[:half], axis=0)
    return float(abs(np.median(ratios) - 1))


def _pass_s(model: CausalLM, cache: KVCache, width: int, length: int, all_logits: bool) -> float:
    """Seconds of one pass over `width` tokens against the first `length` slots, whatever they hold."""
    cache.lengths[0] = length
    tokens = torch.ones(width, dtype=torch.int64, device=model.device)
    rows = None if all_logits else [width - 1]
    begin = time.perf_counter()
    model.forward(TokenBatch(tokens, [width]), cache, rows).logits.argmax(-1).tolist()
    return time.perf_counter() - begin


def _random_states(model: CausalLM, layers: tuple[int, ...], n_tokens: int) -> StateRows | None:
    """Return states of a text for a draft that works on them; an engine has them from the target's own passes."""
    if not layers:
        return None
    states = StateRows(layers)
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(n_tokens, model.n_features, generator=generator).to(model.device, model.dtype)
    states.put(0, ForwardOutput(rows, rows, (rows,) * len(inner_layers(states.layers))))
    return states


class _DraftRounds:
    """Rounds of one draft on a random text that grows, of 1 and 8 draft tokens, and first readings of a prompt.

    A pass of the target comes before each, as in a real run: it drives the draft's weights out of the processor's
    caches, and a draft timed without it looks faster than it is. One that stops where it is unsure is timed as if it
    did not: a random text says nothing of how sure it will be.

    Args:
        draft: to time.
        model: the target.
        cache: the target's, of one row.
        n_rounds: how often `time` will be called.

    Raises:
        ValueError: if the draft's context is too short.
    """

    def __init__(self, draft: Draft, model: CausalLM, cache: KVCache, n_rounds: int) -> None:
        self._draft, self._model, self._cache = draft.unstopped(), model, cache
        n_grown, self._n_prompt = 2 * 2 * n_rounds, _N_PROMPT
        if draft.max_positions is not None:
            self._n_prompt = min(self._n_prompt, draft.max_positions - n_grown - 8)
        if self._n_prompt < 1:
            raise ValueError(f"draft {draft.name!r}: a context of {draft.max_positions} tokens is too short to profile")
        self._text = np.random.default_rng(0).integers(0, model.n_vocab, self._n_prompt + n_grown).tolist()
        self._length = self._n_prompt
        self._states = _random_states(model, draft.state_layers, len(self._text))
        self._session: DraftSession | None = None
        self._seconds: dict[str, list[float]] = {"reading": [], "one": [], "eight": []}

    def time(self) -> None:
        """Time one first reading and a round of each length."""
        fresh = self._open()
        self._seconds["reading"].append(self._round_s(fresh, self._n_prompt, 1))
        if self._session is None:
            self._session = fresh
        else:
            fresh.close(self._text[: self._n_prompt])
        for name, draft_length in zip(("one", "eight"), _DRAFT_LENGTHS, strict=True):
            self._length += 2  # a round commits about two tokens
            self._seconds[name].append(self._round_s(self._session, self._length, draft_length))

    def cost(self) -> DraftCost:
        """Fit the three constants."""
        if self._session is not None:
            self._session.close(self._text[: self._n_prompt])  # nothing was generated that a draft should learn
        reading, one, eight = (statistics.median(seconds[1:]) for seconds in self._seconds.values())
        token_s = max(0.0, (eight - one) / 7)
        return DraftCost(max(0.0, one - token_s), token_s, max(0.0, reading - one) / self._n_prompt)

    def _open(self) -> DraftSession:
        shared = SharedCache(self._model, self._cache, states=self._states)
        return self._draft.open(self._text[: self._n_prompt], shared)

    def _round_s(self, session: DraftSession, n_tokens: int, draft_length: int) -> float:
        """Seconds of one proposal, with the target's cache row as it stands between two rounds."""
        _pass_s(self._model, self._cache, 1, 0, True)
        self._cache.lengths[0] = n_tokens - 1
        begin = time.perf_counter()
        self._propose(session, self._text[:n_tokens], draft_length)
        return time.perf_counter() - begin

    def _propose(self, session: DraftSession, text: list[int], draft_length: int) -> None:
        """Let the draft propose as an engine lets it: on a card all its passes at once, and then the host waits."""
        if self._model.device.type == "cpu":
            session.propose(text, draft_length)
            return
        [found] = self._draft.propose_batch([DraftAsk(session, text, draft_length, unread=True)])
        if isinstance(found, UnreadProposal):
            found.token_ids.tolist()
        elif isinstance(found, Exception):
            raise found
