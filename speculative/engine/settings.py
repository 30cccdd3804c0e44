"""How an engine runs: how many requests at once, in what arithmetic, and how token ids become text."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from speculative.protocols.causal_lm import CausalLM


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """What an engine is told beside its target, arms and selector.

    Attributes:
        max_batch: most requests running at once; more wait.
        prefill_chunk: most prompt tokens that a step reads, those of several requests together: how long a prompt may
            hold up the requests that run. Bounds the memory of attention masks too.
        n_tokens: ids at or beyond this are padding of the target's vocabulary and are never chosen; None for none.
        decode: turns token ids into text; needed for stop strings and for `RoundResult.text`.
        unshown: text of the tokens that `decode` leaves out, such as special ones, so that stop strings may hold it.
        batch_invariant: make logits, and so the text, independent bit by bit of which of the arms help and of what else
            runs (float32 or 4 bits on a CPU; tested at start, see `models.batch_invariance`), at the price of slower
            attention. By default rounding may tip a tie between two tokens.

    Raises:
        ValueError: if a number is out of range.
    """

    max_batch: int = 1
    prefill_chunk: int = 512
    n_tokens: int | None = None
    decode: Callable[[Sequence[int]], str] | None = None
    unshown: Mapping[int, str] = field(default_factory=dict)
    batch_invariant: bool = False

    def __post_init__(self) -> None:
        for name in ("max_batch", "prefill_chunk", "n_tokens"):
            value = getattr(self, name)
            if (type(value) is not int or value < 1) and not (name == "n_tokens" and value is None):
                raise ValueError(f"{name} must be an integer >= 1, got {value!r}")

    def vocabulary(self, target: CausalLM) -> int:
        """Return from which id on a target's tokens are never chosen.

        Raises:
            ValueError: if `n_tokens` is not within its vocabulary.
        """
        if self.n_tokens is None:
            return target.n_vocab
        if not 1 <= self.n_tokens <= target.n_vocab:
            raise ValueError(f"n_tokens must be in [1, {target.n_vocab}], the target's vocabulary, got {self.n_tokens}")
        return self.n_tokens


DEFAULT = EngineSettings()
