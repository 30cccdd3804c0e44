"""How a request's tokens are picked from the target's logits, and where they end."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from itertools import chain
from typing import Any, Literal, cast, get_args

from speculative.sampling.logits_processor import LogitsProcessor

VerificationRule = Literal["coupling", "rejection"]
Bias = tuple[tuple[int, float], ...]
TokenSequences = tuple[tuple[int, ...], ...]

SEED_LIMIT = 2**63
"""Seeds lie in [0, SEED_LIMIT)."""

_MOST_FLOAT32 = (2 - 2**-23) * 2.0**127

_NUMBERS: dict[str, tuple[str, Callable[[float], bool]]] = {
    "temperature": ("finite and >= 0", lambda x: 0 <= x < math.inf),
    "top_p": ("in (0, 1]", lambda x: 0 < x <= 1),
    "min_p": ("in [0, 1]", lambda x: 0 <= x <= 1),
    "repetition_penalty": ("finite and > 0", lambda x: 0 < x < math.inf),
    "presence_penalty": ("in [-2, 2]", lambda x: -2 <= x <= 2),
    "frequency_penalty": ("in [-2, 2]", lambda x: -2 <= x <= 2),
}
_COUNTS: dict[str, tuple[str, bool, int]] = {  # the rule, whether None is taken, and the least value
    "top_k": (">= 0 (0 keeps all tokens)", False, 0),
    "min_new_tokens": (">= 0", False, 0),
    "max_new_tokens": (">= 1, or None", True, 1),
    "seed": ("in [0, 2**63)", True, 0),
    "logprobs": (">= 0, or None", True, 0),
}


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """The distribution of the next token, as a function of the target's logits and the tokens before it, and the end.

    The defaults are greedy decoding. `process_logits` applies the parameters, in this order: logit bias, repetition
    penalty, frequency and presence penalty, bad words, least length, logits processors; then, where a text is sampled,
    temperature, top-k, top-p, min-p.

    Attributes:
        temperature: logits are divided by it, >= 0; 0 takes the best token, and top-k, top-p and min-p say nothing.
        top_k: most tokens kept, >= 0 (tokens tied with the last one stay); 0 keeps all.
        top_p: the fewest best tokens of at least this mass are kept, in (0, 1]; 1 keeps all.
        min_p: tokens less likely than this share of the best one's probability go, in [0, 1]; 0 keeps all.
        repetition_penalty: positive logits of tokens seen before, in the prompt too, are divided by it, the others
            multiplied, > 0; 1 changes nothing.
        verification: how sampled text is verified: "coupling" draws by noise that belongs to the seed and the
            position, so that the text does not depend on the drafts; "rejection" accepts the most tokens.
        seed: in [0, 2**63); None takes a fresh one for each request.
        presence_penalty: taken off the logit of each token that the answer holds, in [-2, 2].
        frequency_penalty: taken off as often as the answer holds the token, in [-2, 2].
        logit_bias: added to the logits of these token ids, finite in float32, or -inf to exclude one: a mapping, kept
            as pairs.
        bad_words: token sequences of which none is completed, in the prompt's continuation neither.
        min_new_tokens: no token that ends the text before so many, >= 0; a stop string still may.
        logits_processors: functions of the tokens before and the logits, in order.
        logprobs: report the log-probability of each token, and of this many best ones beside it; None for no report.
        max_new_tokens: most tokens of the answer, >= 1; None leaves it to the query or the target.
        stop: strings that end the text and are left out of it; the token that completes one is the last.
        rounds: report what was known before every round, what was picked and what came of it; it changes no text, and
            does not count where parameters are compared.

    Raises:
        ValueError: if a value breaks its rule.
        TypeError: if a value is of another type.
    """

    temperature: float = 0.0
    _: KW_ONLY
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    verification: VerificationRule = "coupling"
    seed: int | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] | Bias = ()
    bad_words: Iterable[Iterable[int]] = ()
    min_new_tokens: int = 0
    logits_processors: Iterable[LogitsProcessor] = ()
    logprobs: int | None = None
    max_new_tokens: int | None = None
    stop: Iterable[str] = ()
    rounds: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        for name in _NUMBERS:
            object.__setattr__(self, name, _number(name, getattr(self, name)))
        for name in _COUNTS:
            _check_count(name, getattr(self, name))
        if self.verification not in get_args(VerificationRule):
            raise ValueError(f"verification must be one of {get_args(VerificationRule)}, got {self.verification!r}")
        if not isinstance(self.rounds, bool):
            raise TypeError(f"rounds must be True or False, got {self.rounds!r}")
        object.__setattr__(self, "logit_bias", _bias(self.logit_bias))
        object.__setattr__(self, "bad_words", _token_sequences(self.bad_words))
        object.__setattr__(self, "logits_processors", _processors(self.logits_processors))
        object.__setattr__(self, "stop", _stop_strings(self.stop))

    @property
    def greedy(self) -> bool:
        """Whether the best token is always taken."""
        return self.temperature == 0

    @property
    def controlled(self) -> bool:
        """Whether anything depends on which tokens came before, or on which token it is."""
        penalties = self.repetition_penalty != 1 or self.presence_penalty != 0 or self.frequency_penalty != 0
        return penalties or bool(self.logit_bias or self.bad_words or self.min_new_tokens or self.logits_processors)

    @property
    def named_ids(self) -> tuple[int, ...]:
        """Token ids that the logit bias and the bad words name."""
        biased = (token for token, _ in cast(Bias, self.logit_bias))
        return (*biased, *chain.from_iterable(self.bad_words))

    def without_processors(self) -> "SamplingParams":
        """Return all but the logits processors, which were written for the target's logits."""
        return replace(self, logits_processors=()) if self.logits_processors else self

    def without_controls(self) -> "SamplingParams":
        """Return temperature, top-k, top-p and min-p alone."""
        return SamplingParams(self.temperature, top_k=self.top_k, top_p=self.top_p, min_p=self.min_p)


def _number(name: str, value: object) -> float:
    rule, holds = _NUMBERS[name]
    try:
        if isinstance(value, bool | str | bytes):
            raise TypeError
        number = float(value)  # type: ignore[arg-type]  # what is no number raises TypeError
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"{name} must be a number {rule}, got {value!r}") from None
    if not holds(number) or (number == 0 and value != 0):  # what is too small for a float is no zero
        raise ValueError(f"{name} must be {rule}, got {value!r}")
    return number


def _check_count(name: str, value: object) -> None:
    rule, is_optional, least = _COUNTS[name]
    if value is None and is_optional:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int{' or None' if is_optional else ''}, got {value!r}")
    if not least <= value < SEED_LIMIT:
        raise ValueError(f"{name} must be {rule}, got {value!r}")


def _bias(given: object) -> Bias:
    """Return pairs in the order of their ids.

    Raises:
        TypeError: if `given` is no mapping of ints to numbers, nor pairs of them.
        ValueError: if an id comes twice or is negative, or a bias is NaN or +inf.
    """
    try:
        pairs = [tuple(pair) for pair in (given.items() if isinstance(given, Mapping) else given)]  # type: ignore[attr-defined]  # what cannot be iterated raises TypeError
        found = dict(pairs)
    except (TypeError, ValueError):
        raise TypeError(f"logit_bias must map token ids to numbers, got {given!r}") from None
    biases = {token: _bias_of(token, bias) for token, bias in pairs}
    if len(found) < len(pairs):
        raise ValueError(f"logit_bias must name each token id once, got {given!r}")
    return tuple(sorted(biases.items()))


def _bias_of(token: Any, bias: Any) -> float:
    try:
        if type(token) is not int or isinstance(bias, bool | str | bytes):
            raise TypeError
        value = float(bias)
    except OverflowError:
        value = math.inf
    except (TypeError, ValueError):
        raise TypeError(f"logit_bias must map token ids, ints, to numbers, got {token!r}: {bias!r}") from None
    if token < 0 or not (abs(value) <= _MOST_FLOAT32 or value == -math.inf):  # a NaN fails both
        raise ValueError(f"logit_bias must give ids >= 0 a number finite in float32, or -inf, got {token}: {bias!r}")
    return value


def _token_sequences(given: object) -> TokenSequences:
    try:
        sequences = tuple(tuple(sequence) for sequence in given)  # type: ignore[attr-defined]  # what cannot be iterated raises TypeError
    except TypeError:
        raise TypeError(f"bad_words must be sequences of token ids, got {given!r}") from None
    for sequence in sequences:
        if not all(type(token) is int for token in sequence):
            raise TypeError(f"bad_words must be sequences of token ids, ints, got {sequence!r}")
        if not sequence or min(sequence) < 0:
            raise ValueError(f"bad_words must be sequences of one or more ids >= 0, got {sequence!r}")
    return sequences


def _processors(given: object) -> tuple[LogitsProcessor, ...]:
    if isinstance(given, Iterable):
        processors = tuple(given)
        if all(isinstance(processor, LogitsProcessor) for processor in processors):
            return processors
    raise TypeError(f"logits_processors must be a sequence of LogitsProcessor, got {given!r}")


def _stop_strings(given: object) -> tuple[str, ...]:
    if isinstance(given, str):
        raise TypeError(f"stop must be a sequence of strings, got the string {given!r}; write ({given!r},)")
    strings = tuple(given) if isinstance(given, Iterable) else None
    if strings is None or not all(isinstance(stop, str) for stop in strings):
        raise TypeError(f"stop must be a sequence of strings, got {given!r}")
    if "" in strings:
        raise ValueError(f"a stop string must hold at least one character, got '' among {list(strings)}")
    return strings
