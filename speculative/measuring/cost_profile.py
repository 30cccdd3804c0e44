"""What a pass of the target and a round of each draft cost: the record, and what follows from it."""

import hashlib
import json
import warnings
from dataclasses import asdict, dataclass

import numpy as np

MAX_SPREAD = 0.35
MONOTONE_TOLERANCE = 0.2  # by which one token may be slower than several before it is called a fault
MAX_CORRECTION = 0.15  # by which a median may have to move for seconds to rise with the width
MAX_DRIFT = 0.25
_CONFIDENCE_WIDTH, _CONFIDENCE_LENGTH = 9, 256  # tokens of a pass and of its cache, for `least_confidence`


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
        noise_grid: (lengths, widths) interquartile range over median of each cell; empty where unknown.
        correction: largest share by which a median was moved, so that no wider pass costs less.
        drift: share by which the later half of the measurement differs from the earlier one.
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
    noise_grid: tuple[tuple[float, ...], ...] = ()
    correction: float = 0.0
    drift: float = 0.0

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

    def least_confidence(self, draft: str) -> float:
        """Return how probable a further draft token must be to pay, in [0, 1].

        Its own seconds and those by which it widens the target's pass, over the plain step that it saves if accepted.

        Raises:
            ValueError: if the draft was not profiled.
        """
        first, last = (self.verify_s(width, _CONFIDENCE_LENGTH) for width in (1, _CONFIDENCE_WIDTH))
        token_s = self.draft_s(draft, 1) - self.draft_s(draft, 0)
        return min(1.0, (token_s + (last - first) / (_CONFIDENCE_WIDTH - 1)) / first)

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
        if self.correction > max(self.spread, MAX_CORRECTION):
            faults.append(
                f"a wider pass took less time than a narrower one: a median had to move by {self.correction:.0%}"
            )
        if self.drift > MAX_DRIFT:
            faults.append(f"the machine's speed changed by {self.drift:.0%} while it was measured")
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
        return digest_of(self.to_json())

    def to_json(self) -> str:
        """Return the profile as JSON text."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "CostProfile":
        """Rebuild what `to_json` gave, of an earlier version too.

        Raises:
            ValueError: if the text is no cost profile.
        """
        try:
            raw = json.loads(text)
            drafts = {name: DraftCost(**cost) for name, cost in raw.pop("drafts").items()}
            raw |= {name: tuple(map(tuple, raw[name])) for name in ("verify_grid", "noise_grid") if name in raw}
            raw |= {name: tuple(raw[name]) for name in ("widths", "cache_lengths", "prefill_widths", "prefill_grid")}
            return cls(**raw, drafts=drafts)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"not a cost profile: {error!r}") from error


def digest_of(text: str) -> str:
    """Return the digest of a profile that is stored as this text, whatever fields its version knew."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
