"""Contexts from the target itself: the mean of its last hidden states over the prompt."""

from collections.abc import Sequence
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch

from arms import Query
from bandits import checks
from bandits.encoders import EncoderSpec
from speculative.drafts import DraftedTarget
from speculative.protocols.request import Request
from speculative.protocols.token_batch import TokenBatch
from speculative.selectors.prefill_encoder import PrefillEncoder


@runtime_checkable
class LoadedTarget(DraftedTarget, Protocol):
    """What drafts and the encoder need of a target; `speculative.Target` is one."""

    def request(self, query: Query) -> Request:
        """Return the query's token ids, with what else the engine needs."""


class HiddenStateEncoder(PrefillEncoder):
    """Mean over the prompt of the target's last hidden states, scaled to length 1.

    During generation the prefill yields it for nothing (`QueryState.hidden_mean`, through `from_mean`);
    `encode` reads a text anew and is for texts that are not being generated.
    """

    class Spec(EncoderSpec):
        """The settings in a pool file."""

        kind: Literal["hidden_state"] = "hidden_state"

        def build(self, target: object | None = None) -> "HiddenStateEncoder":
            """Make the encoder of a loaded target.

            Raises:
                TypeError: if `target` is no loaded target.
            """
            if not isinstance(target, LoadedTarget):
                raise TypeError(f"encoder hidden_state needs a loaded Target, got {target!r}")
            return HiddenStateEncoder(target)

    def __init__(self, target: LoadedTarget) -> None:
        self._target = target
        self.name = f"hidden_state:{target.name}"  # no other model shares a target's states
        self.n_features = target.model.n_features

    def from_mean(self, hidden_mean: torch.Tensor) -> npt.NDArray[np.float32]:
        """Scale the mean that a prefill yields: (d,) to (d,) float32."""
        mean = hidden_mean.float()
        scaled: npt.NDArray[np.float32] = (mean / mean.norm().clamp_min(1e-12)).cpu().numpy()
        return scaled

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Read each text as a prompt: n texts to (n, d) float32."""
        rows = [self._encode_one(text) for text in checks.texts(texts)]
        return np.stack(rows) if rows else np.zeros((0, self.n_features), dtype=np.float32)

    def _encode_one(self, text: str) -> npt.NDArray[np.float32]:
        model = self._target.model
        token_ids = self._target.request(Query(id="text", prompt=text)).token_ids
        cache = model.new_cache(1, len(token_ids))
        total = torch.zeros(self.n_features, device=model.device)
        for chunk in torch.split(torch.tensor(token_ids, device=model.device), 512):
            total += model.forward(TokenBatch(chunk, [len(chunk)]), cache, [0]).hidden.float().sum(0)
        return self.from_mean(total / len(token_ids))
