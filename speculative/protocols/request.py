"""What is asked of the engine, and what it answers."""

import reprlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from speculative.protocols.decoding_stats import DecodingStats
from speculative.protocols.round_report import RoundReport
from speculative.sampling.sampling_params import SamplingParams

FinishReason = Literal["eos", "stop", "length", "cancelled", "failed"]


@dataclass(frozen=True, slots=True)
class Request:
    """One generation.

    Attributes:
        id: unique among the requests an engine has running.
        token_ids: the prompt, at least one token.
        max_new_tokens: most tokens to generate, >= 1; the sampling's where that says how many.
        eos_ids: tokens that end the text; the first one is part of the output.
        text: the prompt as text, for selectors that read it.
        sampling: how tokens are picked, and which strings end the text; greedy by default.
    """

    id: str
    token_ids: tuple[int, ...]
    max_new_tokens: int
    eos_ids: tuple[int, ...] = ()
    text: str = ""
    sampling: SamplingParams = field(default_factory=SamplingParams)

    def __post_init__(self) -> None:
        if not isinstance(self.id, str):
            raise TypeError(f"a request's id must be a string, got {self.id!r}")
        where = f"request {self.id!r}"
        for name in ("token_ids", "eos_ids"):
            ids = getattr(self, name)
            if not isinstance(ids, tuple) or not all(type(token) is int for token in ids):
                raise TypeError(f"{where}: {name} must be a tuple of ints, got {reprlib.repr(ids)}")
        if not isinstance(self.text, str):
            raise TypeError(f"{where}: text must be a string, got {reprlib.repr(self.text)}")
        if not self.token_ids:
            raise ValueError(f"{where}: the prompt must hold at least one token")
        if isinstance(self.max_new_tokens, bool) or not isinstance(self.max_new_tokens, int):
            raise TypeError(f"{where}: max_new_tokens must be an int, got {self.max_new_tokens!r}")
        if self.max_new_tokens < 1:
            raise ValueError(f"{where}: max_new_tokens must be >= 1, got {self.max_new_tokens}")
        if not isinstance(self.sampling, SamplingParams):
            raise TypeError(f"{where}: sampling must be a SamplingParams, got {self.sampling!r}")
        least = self.sampling.min_new_tokens
        if least > self.max_new_tokens:
            raise ValueError(f"{where}: min_new_tokens must be <= max_new_tokens = {self.max_new_tokens}, got {least}")
        most = self.sampling.max_new_tokens
        if most not in (None, self.max_new_tokens):
            raise ValueError(f"{where}: max_new_tokens must be the sampling's, {most}, got {self.max_new_tokens}")


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """How likely the model found a token, before any sampling parameter: log softmax of its own logits.

    Attributes:
        token_id: the token chosen.
        logprob: its log-probability, natural logarithm.
        best: the best tokens there and their log-probabilities, best first; as many as `SamplingParams.logprobs` says.
    """

    token_id: int
    logprob: float
    best: tuple[tuple[int, float], ...] = ()


class RoundResult(NamedTuple):
    """What one step gave one request.

    Attributes:
        request_id: the request.
        token_ids: new tokens, in order, cut at the end of the text.
        action: index of the arm used; None for the token that the prefill yields.
        n_proposed: draft tokens of this round; those after an accepted end of text do not count.
        n_accepted: those of them that were accepted.
        finished: why the text ended, or None while it goes on.
        text: what may be shown now, where the engine decodes: never a part of a stop string or of a character.
        logprobs: of the new tokens, where the request asks for them.
    """

    request_id: str
    token_ids: tuple[int, ...]
    action: int | None
    n_proposed: int = 0
    n_accepted: int = 0
    finished: FinishReason | None = None
    text: str | None = None
    logprobs: tuple[TokenLogprob, ...] | None = None


@dataclass(frozen=True, slots=True)
class Generation:
    """A finished text and what it cost.

    Attributes:
        request_id: the request.
        token_ids: its new tokens.
        finished: why it ended; "failed" where the target's logits allowed no choice.
        stats: counts and seconds.
        seed: the noise of a sampled text, to get it again; None for a greedy one.
        text: the new tokens as text, stop string left out; None where the engine does not decode.
        logprobs: of the new tokens, where the request asks for them.
        failure: why the target's logits allowed no choice, where it failed.
        rounds: one report a round, where the request asks for them (`SamplingParams.rounds`); the first new token is of
            none: the prefill yields it.
    """

    request_id: str
    token_ids: tuple[int, ...]
    finished: FinishReason
    stats: DecodingStats = field(compare=False)
    seed: int | None = None
    text: str | None = None
    logprobs: tuple[TokenLogprob, ...] | None = None
    failure: str | None = None
    rounds: tuple[RoundReport, ...] | None = field(default=None, compare=False)

    @classmethod
    def not_begun(cls, request: Request, *, decodes: bool) -> "Generation":
        """Return what there is of a request that was cancelled while it waited.

        Args:
            request: what was asked.
            decodes: whether the engine turns tokens into text.
        """
        params = request.sampling
        return cls(
            request.id,
            (),
            "cancelled",
            DecodingStats(n_prompt=len(request.token_ids)),
            text="" if decodes else None,
            logprobs=None if params.logprobs is None else (),
            rounds=() if params.rounds else None,
        )


def cut(token_ids: Sequence[int], eos_ids: Sequence[int], remaining: int) -> tuple[list[int], FinishReason | None]:
    """Keep tokens up to the first end-of-text token and the limit, and say whether either ended the text."""
    kept = [*token_ids[:remaining]]
    if eos_ids:
        for i, token in enumerate(kept):
            if token in eos_ids:
                return kept[: i + 1], "eos"
    return kept, "length" if len(kept) == remaining else None


def check_length(request: Request, max_positions: int) -> None:
    """Refuse a prompt that does not fit the model's context together with its answer.

    Raises:
        ValueError: naming both lengths and the context.
    """
    if len(request.token_ids) + request.max_new_tokens > max_positions:
        raise ValueError(
            f"request {request.id!r}: {len(request.token_ids)} prompt tokens and {request.max_new_tokens} new ones "
            f"exceed the target's context of {max_positions} tokens; shorten either"
        )
