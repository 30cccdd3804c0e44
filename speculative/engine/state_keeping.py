"""The target's states, kept for drafts that ask for them; an engine none of whose drafts does keeps none."""

from __future__ import annotations

from collections.abc import Sequence

from speculative.engine.active_request import Running
from speculative.engine.round_context import ArmTable
from speculative.engine.verify import Verification
from speculative.models.decoder import Decoder
from speculative.protocols.causal_lm import CausalLM, ForwardOutput
from speculative.protocols.state_rows import LAST, inner_layers
from speculative.protocols.token_batch import TokenBatch


def state_layers(table: ArmTable) -> tuple[int, ...]:
    """Return which states the drafts of an engine's arms ask for, in rising order."""
    return tuple(sorted({layer for draft in table.all_drafts for layer in draft.state_layers}))


def kept_layers(table: ArmTable, prefix_cache_bytes: int) -> tuple[int, ...]:
    """Return which states an engine keeps: what its drafts ask for, and where prompts may begin with another's tokens
    the last ones too, of which a context is made.
    """
    asked = state_layers(table)
    return tuple(sorted({LAST, *asked})) if prefix_cache_bytes else asked


def tapped_model(target: CausalLM, layers: Sequence[int]) -> CausalLM:
    """Return the target in a form whose passes give these states too; the target itself where they always do.

    Raises:
        ValueError: if the target cannot give them.
    """
    inner = inner_layers(layers)
    if not inner:
        return target
    if not isinstance(target, Decoder):
        raise ValueError(f"a draft asks for the states of layers {inner}: only draftpick's own decoder gives them")
    return target.tapping(inner)


def keep_states(
    states: Sequence[Running], batch: TokenBatch, output: ForwardOutput, verifications: Sequence[Verification]
) -> None:
    """Keep the states of the tokens that are committed by a round: each request's last one, and those accepted.

    Where its logits allowed no choice after an accepted token, that token is read again, and its states are kept then.
    """
    begin = 0
    for state, count, found in zip(states, batch.counts, verifications, strict=True):
        n = found.n_accepted + (found.next_token is not None or found.n_accepted == count - 1)
        assert state.states is not None
        state.states.put(len(state.tokens) - 1, output, begin, begin + n)
        begin += count
