"""How a request's tokens are drawn from the target's logits."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

VerificationRule = Literal["coupling", "rejection"]

SEED_LIMIT = 2**63
"""Seeds lie in [0, SEED_LIMIT)."""


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """The law of the next token, as a function of the target's logits and the tokens before it.

    The defaults are greedy decoding. `speculative.sampling.logits` applies the parameters, in this order:
    repetition penalty, temperature, top-k, top-p, min-p.

    Attributes:
        temperature: logits are divided by it, >= 0; 0 takes the best token, and top-k, top-p and min-p say nothing.
        top_k: most tokens kept, >= 0 (tokens tied with the last one stay); 0 keeps all.
        top_p: the fewest best tokens of at least this mass are kept, in (0, 1]; 1 keeps all.
        min_p: tokens less likely than this share of the best one's probability go, in [0, 1]; 0 keeps all.
        repetition_penalty: positive logits of tokens seen before are divided by it, the others multiplied, > 0;
            1 changes nothing.
        verification: how sampled text is verified: "coupling" draws by noise that belongs to the seed and the
            position, so that the text does not depend on the drafts; "rejection" accepts the most tokens.
        seed: in [0, 2**63); None takes a fresh one for each request.

    Raises:
        ValueError: if a value breaks its rule.
        TypeError: if top_k or seed is no int.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    verification: VerificationRule = "coupling"
    seed: int | None = None

    def __post_init__(self) -> None:
        for name in ("top_k", "seed"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | None if name == "seed" else int):
                raise TypeError(f"{name} must be an int{' or None' if name == 'seed' else ''}, got {value!r}")
        rules = (
            ("temperature", "finite and >= 0", math.isfinite(self.temperature) and self.temperature >= 0),
            ("top_k", ">= 0 (0 keeps all tokens)", self.top_k >= 0),
            ("top_p", "in (0, 1]", 0 < self.top_p <= 1),
            ("min_p", "in [0, 1]", 0 <= self.min_p <= 1),
            (
                "repetition_penalty",
                "finite and > 0",
                math.isfinite(self.repetition_penalty) and self.repetition_penalty > 0,
            ),
            ("verification", f"one of {get_args(VerificationRule)}", self.verification in get_args(VerificationRule)),
            ("seed", "in [0, 2**63)", self.seed is None or 0 <= self.seed < SEED_LIMIT),
        )
        for name, rule, holds in rules:
            if not holds:
                raise ValueError(f"{name} must be {rule}, got {getattr(self, name)!r}")

    @property
    def greedy(self) -> bool:
        """Whether the best token is always taken."""
        return self.temperature == 0
