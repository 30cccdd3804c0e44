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
            hold up the requests that run. A prompt of 2,000 tokens makes them pause for 0.4 s at 256 and 0.7 s at 512,
            and has its first token 7 % later at 256 (`bench_prompts.py`). Bounds the memory of attention masks too.
        n_tokens: ids at or beyond this are padding of the target's vocabulary and are never chosen; None for none.
        decode: turns token ids into text; needed for stop strings and for `RoundResult.text`.
        unshown: text of the tokens that `decode` leaves out, such as special ones, so that stop strings may hold it.
        prefix_cache_bytes: most memory for keys, values and states of requests that have ended, so that a later prompt
            with the same first tokens, such as a conversation's next turn, need not be read again; with it, requests
            of one prompt that run at once share its reading too. 0 for none.
        batch_invariant: make logits, and so the text, independent bit by bit of which of the arms help and of what else
            runs (float32 or 4 bits on a CPU; tested at start, see `models.batch_invariance`), at the price of slower
            attention. By default rounding may tip a tie between two tokens.

    Raises:
        ValueError: if a number is out of range.
    """

    max_batch: int = 1
    prefill_chunk: int = 256
    n_tokens: int | None = None
    prefix_cache_bytes: int = 0
    decode: Callable[[Sequence[int]], str] | None = None
    unshown: Mapping[int, str] = field(default_factory=dict)
    batch_invariant: bool = False

    def __post_init__(self) -> None:
        for name in ("max_batch", "prefill_chunk", "n_tokens"):
            value = getattr(self, name)
            if (type(value) is not int or value < 1) and not (name == "n_tokens" and value is None):
                raise ValueError(f"{name} must be an integer >= 1, got {value!r}")
        if type(self.prefix_cache_bytes) is not int or self.prefix_cache_bytes < 0:
            raise ValueError(f"prefix_cache_bytes must be an integer >= 0, got {self.prefix_cache_bytes!r}")
        if self.prefix_cache_bytes and self.batch_invariant:
            raise ValueError(
                f"prefix_cache_bytes must be 0 where batch_invariant is set, got {self.prefix_cache_bytes}: how keys "
                "and values of a prefix are rounded depends on how they were read"
            )

    def check_prefix_cache(self, target: CausalLM) -> None:
        """Refuse to keep prefixes of a target that cannot take up a text at any token.

        Raises:
            ValueError: saying so.
        """
        if self.prefix_cache_bytes and not target.can_roll_back:
            raise ValueError(
                f"prefix_cache_bytes must be 0 for a target that cannot take tokens back, got {self.prefix_cache_bytes}"
            )

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
