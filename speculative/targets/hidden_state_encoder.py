"""Contexts from the target itself: its last hidden states over the prompt, and what the prompt is like."""

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
from speculative.protocols.selector import QueryState
from speculative.protocols.token_batch import TokenBatch
from speculative.selectors.prefill_encoder import PrefillEncoder
from speculative.targets.text_features import STATE_MARK, state_parts, text_features


@runtime_checkable
class LoadedTarget(DraftedTarget, Protocol):
    """What drafts and the encoder need of a target; `speculative.Target` is one."""

    def request(self, query: Query) -> Request:
        """Return the query's token ids, with what else the engine needs."""


class HiddenStateEncoder(PrefillEncoder):
    """What the target's prefill knows of a prompt, and what is seen of it at a glance.

        mean of the last hidden states over the prompt, scaled to length 1   (h)
        last hidden state of the last token, scaled to length 1              (h)
        `TEXT_FEATURES`: length, repetition, shares of code and of digits    (4)

    Each part weighs about as much as any other, whatever the model's own scale. During generation the prefill yields
    the states for nothing (`from_prefill`), and the rest is counted in one walk over the prompt; `encode` reads a text
    anew, which takes a pass of the target over it, and is for texts that are not being generated.

    Args:
        target: whose states they are.

    Attributes:
        groups: the columns of each part by its name, for `feature_importance`.
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
        self.name = f"{STATE_MARK}{target.name}"  # no other model shares a target's states
        self.groups = state_parts(target.model.n_features)
        self.n_features = max(columns.stop for columns in self.groups.values())

    def from_prefill(self, query: QueryState) -> npt.NDArray[np.float32]:
        """Put the states that a prefill yields and the text's features side by side: (d,) float32."""
        states = torch.stack([query.hidden_mean.float(), query.hidden_last.float()])
        scaled = states / states.norm(dim=1, keepdim=True).clamp_min(1e-12)
        text = text_features(query.request.text, query.request.token_ids)
        row: npt.NDArray[np.float32] = np.concatenate([scaled.cpu().numpy().reshape(-1), text])
        return row

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Read each text as a prompt: n texts to (n, d) float32."""
        rows = [self._encode_one(text) for text in checks.texts(texts)]
        return np.stack(rows) if rows else np.zeros((0, self.n_features), dtype=np.float32)

    def _encode_one(self, text: str) -> npt.NDArray[np.float32]:
        model = self._target.model
        request = self._target.request(Query(id="text", prompt=text))
        token_ids = request.token_ids
        cache = model.new_cache(1, len(token_ids))
        total = torch.zeros(model.n_features, device=model.device)
        for chunk in torch.split(torch.tensor(token_ids, device=model.device), 512):
            hidden = model.forward(TokenBatch(chunk, [len(chunk)]), cache, [0]).hidden
            total += hidden.sum(0, dtype=torch.float32)
        return self.from_prefill(QueryState(request, total / len(token_ids), hidden[-1]))
