"""Accept a prefix of the draft so that the text stays the target's."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

import torch

from speculative.engine.target_rows import TargetRows
from speculative.protocols.request import TokenLogprob
from speculative.sampling.logits import probabilities, process_logits, warp_rows
from speculative.sampling.pick_program import Numbers, PickProgram
from speculative.sampling.rejection_rows import drawn_of_rows, picked_by_rejection
from speculative.sampling.sampling_params import SamplingParams
from speculative.sampling.token_sampler import (
    GREEDY,
    CoupledSampler,
    DraftTokens,
    DrawingSampler,
    RandomSource,
    SeededSource,
    TokenSampler,
)

Drafted = Callable[[], tuple[torch.Tensor, torch.Tensor] | None]
"""Gives the draft token after each of n rows and what it was drawn from, see `picked_by_rejection`; None for none."""


class Verification(NamedTuple):
    """Outcome of a round.

    Attributes:
        n_accepted: draft tokens accepted.
        next_token: the one token that the target adds; None where it can choose none.
        failure: why it could not.
        logprobs: of the accepted tokens and the next one, where asked for.
    """

    n_accepted: int
    next_token: int | None
    failure: str | None = None
    logprobs: tuple[TokenLogprob, ...] = ()


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
    draft_probs: Sequence[torch.Tensor] | torch.Tensor | None,
    source: RandomSource,
) -> Verification:
    """Accept a prefix of the draft so that the text follows the target's distribution exactly.

    With p the target's distribution and q the draft's, token x is accepted with probability min(1, p(x) / q(x)); the
    first one rejected is replaced by a draw from (p - q)+, normalised. Where rounding leaves (p - q)+ without mass the
    two are the same, and the draw is from p.

    Args:
        target_probs: gives p after the first i draft tokens, (v,) float64 summing to 1; asked in order.
        draft_tokens: (gamma,) the proposal.
        draft_probs: gamma rows of (v,) float64, the distribution each token was drawn from; None where each was
            certain, which is exact however the tokens came about.
        source: of the random draws.

    Returns:
        n_accepted in [0, gamma] and next_token.

    Source: Leviathan et al. 2023, Algorithm 1 (arXiv:2211.17192), which we write with the same p and q.
    """
    for i, token in enumerate(draft_tokens):
        p = target_probs(i)
        ratio = float(p[token]) if draft_probs is None else float(p[token] / draft_probs[i][token])
        if source.accept(min(1.0, ratio)):
            continue
        if draft_probs is None:
            residual = p.clone()
            residual[token] = 0.0
        else:
            residual = (p - draft_probs[i]).clamp_min(0.0)
        return Verification(i, source.draw(residual if float(residual.sum()) > 0.0 else p))
    return Verification(len(draft_tokens), source.draw(target_probs(len(draft_tokens))))


class Verifier(ABC):
    """A request's rule: how its drafts propose and how the target verifies them."""

    @abstractmethod
    def draft_sampler(self, position: int) -> TokenSampler:
        """Return what a draft samples with in the round whose first token stands at `position` of the text."""

    def kind(self) -> Hashable | None:
        """Return what requests have in common for which one call of `picks` will do on a card.

        None where no more is asked of a row than its largest logit.
        """
        return None

    def numbers(self, position: int, n: int) -> Sequence[Numbers]:
        """Return what `picks` is told of n rows, whose tokens stand at `position` and after; one each, or none."""
        return ()

    def picks(self, rows: torch.Tensor, numbers: torch.Tensor | None, drafted: Drafted) -> torch.Tensor:
        """Pick a token from each row of requests of this kind, without waiting.

        Args:
            rows: (n, v) float.
            numbers: of each row, on the same device.
            drafted: gives what the rows are followed by.

        Returns:
            (n,) int64; from a row of NaN anything.
        """
        return rows.argmax(1)

    @abstractmethod
    def verify(self, rows: TargetRows, draft_tokens: DraftTokens, position: int) -> Verification:
        """Verify draft tokens, the first of which stands at `position` of the whole text.

        Raises:
            InvalidLogitsError: if the target's logits allow no choice.
        """


class GreedyVerifier(Verifier):
    """Greedy decoding."""

    def draft_sampler(self, position: int) -> TokenSampler:
        """Greedy too."""
        return GREEDY

    def verify(self, rows: TargetRows, draft_tokens: DraftTokens, position: int) -> Verification:
        """Accept what the target would have picked."""
        return verify_match(rows.best, draft_tokens.token_ids)


class MatchVerifier(Verifier):
    """The target picks by a sampler of its own, row by row, as Gumbel coupling does."""

    def __init__(self, sampler: TokenSampler, draft_sampler: TokenSampler | None = None) -> None:
        self._sampler, self._draft_sampler = sampler, draft_sampler or sampler

    def draft_sampler(self, position: int) -> TokenSampler:
        """Return the target's own sampler, so that both sample under the same noise."""
        return self._draft_sampler

    def kind(self) -> Hashable:
        """Return the sampler's program."""
        return self._program()

    def numbers(self, position: int, n: int) -> Sequence[Numbers]:
        """Return the sampler's."""
        return self._sampler.numbers(position, n)

    def picks(self, rows: torch.Tensor, numbers: torch.Tensor | None, drafted: Drafted) -> torch.Tensor:
        """Return the sampler's picks."""
        return self._program().pick(rows, numbers).entries

    def _program(self) -> PickProgram:
        program = self._sampler.program()
        if program is None:
            raise TypeError(
                f"on a card the target's sampler must have a program, {type(self._sampler).__name__} has none"
            )
        return program

    def verify(self, rows: TargetRows, draft_tokens: DraftTokens, position: int) -> Verification:
        """Accept what the target picks."""

        def target_token(i: int) -> int:
            return int(self._sampler.pick(rows.row(i), position + i))

        return verify_match(target_token, draft_tokens.token_ids)


class RejectionVerifier(Verifier):
    """Exact rejection sampling: the most accepted, for a text that depends on which draft proposed.

    Drafts and target draw from sources of their own, so that a draft that fails changes nothing of the target's draws.
    """

    def __init__(self, params: SamplingParams, source: RandomSource, draft_source: RandomSource, n_vocab: int) -> None:
        self._params, self._n_vocab = params.without_controls(), n_vocab
        self._source, self._draft_source = source, draft_source

    def draft_sampler(self, position: int) -> TokenSampler:
        """Draws, and remembers from what."""
        return DrawingSampler(self._params, self._draft_source.at(position), self._n_vocab)

    def kind(self) -> Hashable:
        """Return what its logits are processed by."""
        return type(self), self._params

    def numbers(self, position: int, n: int) -> Sequence[Numbers]:
        """Return two numbers a row, which belong to the round."""
        source = self._source.at(position)
        return [(source.uniform(i, 0), source.uniform(i, 1)) for i in range(n)]

    def picks(self, rows: torch.Tensor, numbers: torch.Tensor | None, drafted: Drafted) -> torch.Tensor:
        """Return the draft tokens that are accepted by the ratio of the two distributions, and what stands instead."""
        assert numbers is not None
        target_probs, given = probabilities(warp_rows(rows.float(), self._params)), drafted()
        if given is None:
            return drawn_of_rows(target_probs, numbers[:, 1])
        return picked_by_rejection(target_probs, *given, numbers)

    def verify(self, rows: TargetRows, draft_tokens: DraftTokens, position: int) -> Verification:
        """Accept by the ratio of the two distributions."""

        def target_probs(i: int) -> torch.Tensor:
            return probabilities(process_logits(rows.row(i), self._params, ()))

        source = self._source.at(position)
        return verify_rejection(target_probs, draft_tokens.token_ids, draft_tokens.probs, source)


def make_verifier(params: SamplingParams, seed: int, n_vocab: int) -> Verifier:
    """Return the rule that a request's sampling parameters ask for; its controls are applied to the rows before."""
    if params.greedy:
        return GreedyVerifier()
    if params.verification == "coupling":
        return MatchVerifier(CoupledSampler(params, seed))
    return RejectionVerifier(params, SeededSource(seed, 0), SeededSource(seed, 1), n_vocab)
