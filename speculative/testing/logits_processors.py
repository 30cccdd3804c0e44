"""The rules every logits processor keeps, as a check to run on your own: `check_logits_processor(Mine(), n_vocab)`."""

import random

import torch

from arms.testing.assertions import global_generators_untouched, hold
from speculative.sampling.logits_processor import LogitsProcessor

_SEED = 20
_N_POSITIONS = 12


def check_logits_processor(processor: LogitsProcessor, n_vocab: int) -> None:
    """Check that a logits processor is a function of the prefix and the logits.

    It is asked about the positions of a text in order, then in another order and twice, as verification does, and must
    return the same row each time: float, of the right length, without NaN, with a token left to choose.

    Args:
        processor: to check.
        n_vocab: size of the target's vocabulary.

    Raises:
        AssertionError: saying which rule was broken, and how.
    """
    hold(isinstance(processor, LogitsProcessor), f"a processor must be a LogitsProcessor, got {processor!r}")
    name = type(processor).__name__
    rng, generator = random.Random(_SEED), torch.Generator().manual_seed(_SEED)
    text = [rng.randrange(n_vocab) for _ in range(_N_POSITIONS)]
    rows = torch.randn(_N_POSITIONS, n_vocab, generator=generator)
    again = [*range(_N_POSITIONS), *rng.sample(range(_N_POSITIONS), _N_POSITIONS)]
    with global_generators_untouched(f"logits processor {name}: "):
        first = [_processed(name, processor, text[: i + 1], rows[i]) for i in range(_N_POSITIONS)]
        for i in again:
            same = torch.equal(_processed(name, processor, text[: i + 1], rows[i]), first[i])
            hold(
                same, f"logits processor {name}: the same prefix and logits must give the same, whatever it saw before"
            )


def _processed(name: str, processor: LogitsProcessor, prefix: list[int], logits: torch.Tensor) -> torch.Tensor:
    try:
        found = processor.process(tuple(prefix), logits.clone())
    except Exception as error:
        raise AssertionError(
            f"logits processor {name}: process must answer for {len(prefix)} tokens before, but raised {error!r}"
        ) from error
    is_row = isinstance(found, torch.Tensor) and found.shape == logits.shape and found.is_floating_point()
    hold(is_row, f"logits processor {name}: process must return a float row of {len(logits)}, got {found!r}")
    hold(not bool(found.isnan().any()), f"logits processor {name}: no logit may be NaN")
    hold(bool((found > -torch.inf).any()), f"logits processor {name}: a token must be left to choose")
    return found.float()
