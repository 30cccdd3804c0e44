"""Accept a prefix of the draft so that the text stays the target's."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch

from speculative.protocols.draft import Proposal
from speculative.sampling.logits import probabilities, process_logits
from speculative.sampling.sampling_params import SamplingParams
from speculative.sampling.token_sampler import (
    GREEDY,
    CoupledSampler,
    Dice,
    DrawingSampler,
    GreedySampler,
    RandomDice,
    TokenSampler,
)


class InvalidLogitsError(ValueError):
    """The target's logits hold NaN, or nothing that could be chosen.

    Attributes:
        n_accepted: draft tokens accepted before.
    """

    def __init__(self, message: str, n_accepted: int) -> None:
        super().__init__(message)
        self.n_accepted = n_accepted


@dataclass(frozen=True, slots=True)
class Verification:
    """Outcome of a round: draft tokens accepted, and the one token the target adds; None where it can choose none."""

    n_accepted: int
    next_token: int | None

    @property
    def spoilt(self) -> bool:
        """Whether nothing could be judged."""
        return self.n_accepted == 0 and self.next_token is None


LargestLogits = Callable[[int], tuple[float, int]]  # of row i: its largest logit, and the id it belongs to


class TargetRows:
    """A request's rows of the target's logits; a row is looked at only when its turn comes.

    Args:
        logits: (n, v) float, of a whole pass.
        largest: gives a row's largest logit and the id it belongs to.
        first: the request's first row; the callers ask for no more rows than it has.
    """

    def __init__(self, logits: torch.Tensor, largest: LargestLogits, first: int = 0) -> None:
        self._logits, self._largest, self._first = logits, largest, first

    def row(self, i: int) -> torch.Tensor:
        """Logits (v,) after i draft tokens.

        Raises:
            InvalidLogitsError: if no token can be chosen from them.
        """
        self.best(i)
        return self._logits[self._first + i]

    def best(self, i: int) -> int:
        """Return the likeliest token after i draft tokens.

        Raises:
            InvalidLogitsError: if no token can be chosen.
        """
        value, token = self._largest(self._first + i)
        if not math.isfinite(value):
            raise InvalidLogitsError(f"the target's largest logit must be finite, got {value}", i)
        return token


def target_rows(logits: torch.Tensor, counts: Sequence[int], n_tokens: int) -> list[TargetRows]:
    """Each request's rows of a pass, (n, v) logits; ids from `n_tokens` on are padding and cut off."""
    if n_tokens < logits.shape[1]:
        logits = logits[:, :n_tokens]
    largest = largest_logits(logits)
    return [TargetRows(logits, largest, first) for first in accumulate(counts[:-1], initial=0)]


def largest_logits(logits: torch.Tensor) -> LargestLogits:
    """Each row's largest logit, NaN where there is one, and where it stands: on a CPU found when asked for."""
    if logits.device.type == "cpu" and logits.dtype == torch.float32:
        rows = logits.numpy()  # NumPy is up to ten times as fast as torch here

        def of_row(i: int) -> tuple[float, int]:
            best = int(rows[i].argmax())
            return float(rows[i, best]), best

        return of_row
    values, ids = torch.stack([column.double() for column in logits.max(-1)]).tolist()  # one copy to the host
    return lambda i: (values[i], int(ids[i]))


def verify_match(target_token: Callable[[int], int], draft_tokens: Sequence[int]) -> Verification:
    """Accept draft tokens while they equal what the target picks itself.

    Exact for any draft and any rule of picking: the text is made of the target's own picks alone.

    Args:
        target_token: gives the target's pick after the first i draft tokens, i in [0, gamma]; asked in order,
            up to the first mismatch.
        draft_tokens: (gamma,) the proposal.

    Returns:
        n_accepted in [0, gamma]; next_token, the target's pick after the accepted prefix.

    Source: Stern et al. 2018, section 3 (arXiv:1811.03115), for greedy picks.
    """
    for i, token in enumerate(draft_tokens):
        own = target_token(i)
        if own != token:
            return Verification(i, own)
    return Verification(len(draft_tokens), target_token(len(draft_tokens)))


def verify_rejection(
    target_probs: Callable[[int], torch.Tensor],
    draft_tokens: Sequence[int],
    draft_probs: torch.Tensor | None,
    dice: Dice,
) -> Verification:
    """Accept a prefix of the draft so that the text follows the target's law exactly.

    With p the target's law and q the draft's, token x is accepted with chance min(1, p(x) / q(x)); the first one
    refused is replaced by a draw from (p - q)+, normalised. Where rounding leaves (p - q)+ without mass the two
    laws are the same, and the draw is from p.

    Args:
        target_probs: gives p after the first i draft tokens, (v,) float64 summing to 1; asked in order.
        draft_tokens: (gamma,) the proposal.
        draft_probs: (gamma, v) float64, the law each token was drawn from; None where each was certain.
        dice: the randomness.

    Returns:
        n_accepted in [0, gamma] and next_token.

    Source: Leviathan et al. 2023, Algorithm 1 (arXiv:2211.17192), which we write with the same p and q.
    """
    for i, token in enumerate(draft_tokens):
        p = target_probs(i)
        chance = float(p[token]) if draft_probs is None else float(p[token] / draft_probs[i, token])
        if dice.accept(min(1.0, chance)):
            continue
        if draft_probs is None:
            residual = p.clone()
            residual[token] = 0.0
        else:
            residual = (p - draft_probs[i]).clamp_min(0.0)
        return Verification(i, dice.draw(residual if float(residual.sum()) > 0.0 else p))
    return Verification(len(draft_tokens), dice.draw(target_probs(len(draft_tokens))))


class Verifier(ABC):
    """A request's rule: how its drafts guess and how the target judges them."""

    @abstractmethod
    def draft_sampler(self) -> TokenSampler:
        """Return what a draft samples with in the coming round."""

    @abstractmethod
    def verify(self, rows: TargetRows, proposal: Proposal, prefix: Sequence[int]) -> Verification:
        """Judge a proposal made after `prefix`.

        Raises:
            InvalidLogitsError: if the target's logits allow no choice.
        """


class GreedyVerifier(Verifier):
    """Plain greedy decoding."""

    def draft_sampler(self) -> TokenSampler:
        """Greedy too."""
        return GREEDY

    def verify(self, rows: TargetRows, proposal: Proposal, prefix: Sequence[int]) -> Verification:
        """Accept what the target would have picked."""
        return verify_match(rows.best, proposal.token_ids)


class MatchVerifier(Verifier):
    """The target picks by a sampler of its own, row by row: penalised greedy decoding and Gumbel coupling."""

    def __init__(self, sampler: TokenSampler, draft_sampler: TokenSampler | None = None) -> None:
        self._sampler, self._draft_sampler = sampler, draft_sampler or sampler

    def draft_sampler(self) -> TokenSampler:
        """Return the target's own sampler, so that both sample under the same noise."""
        return self._draft_sampler

    def verify(self, rows: TargetRows, proposal: Proposal, prefix: Sequence[int]) -> Verification:
        """Accept what the target picks."""

        def target_token(i: int) -> int:
            before = [*prefix, *proposal.token_ids[:i]]
            return int(self._sampler.pick(rows.row(i), len(before), before))

        return verify_match(target_token, proposal.token_ids)


class RejectionVerifier(Verifier):
    """Exact rejection sampling: the most accepted, for a text that depends on who guessed.

    Drafts and target roll dice of their own, so that a draft that fails changes nothing of the target's rolls.
    """

    def __init__(self, params: SamplingParams, dice: Dice, draft_dice: Dice, n_vocab: int) -> None:
        self._params, self._dice, self._draft_dice, self._n_vocab = params, dice, draft_dice, n_vocab

    def draft_sampler(self) -> TokenSampler:
        """Draws, and remembers from what."""
        return DrawingSampler(self._params, self._draft_dice, self._n_vocab)

    def verify(self, rows: TargetRows, proposal: Proposal, prefix: Sequence[int]) -> Verification:
        """Accept by the ratio of the two laws."""

        def target_probs(i: int) -> torch.Tensor:
            before = [*prefix, *proposal.token_ids[:i]]
            return probabilities(process_logits(rows.row(i), self._params, before))

        return verify_rejection(target_probs, proposal.token_ids, proposal.probs, self._dice)


def make_verifier(params: SamplingParams, seed: int, n_vocab: int) -> Verifier:
    """Return the rule that a request's sampling parameters ask for."""
    if params.greedy:
        return GreedyVerifier() if params.repetition_penalty == 1.0 else MatchVerifier(GreedySampler(params), GREEDY)
    if params.verification == "coupling":
        return MatchVerifier(CoupledSampler(params, seed))
    return RejectionVerifier(params, RandomDice(seed, 0), RandomDice(seed, 1), n_vocab)
