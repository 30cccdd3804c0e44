"""Contexts that the target's prefill yields for nothing."""

from abc import abstractmethod

import numpy as np
import numpy.typing as npt

from bandits import ContextEncoder
from bandits.encoders.encoder import check_same_encoder
from speculative.protocols.selector import QueryState


class PrefillEncoder(ContextEncoder):
    """An encoder whose context is computed from what the target's prefill leaves behind."""

    @abstractmethod
    def from_prefill(self, query: QueryState) -> npt.NDArray[np.float32]:
        """Return the context, (d,) float32, of a prompt that the target has just read."""


def encode_query(encoder: ContextEncoder, query: QueryState) -> npt.NDArray[np.float32]:
    """Return the context of a query whose prompt the target has just read: (d,) float32.

    Raises:
        ValueError: if the query brings the context of another encoder.
    """
    if query.context is not None:
        check_same_encoder("the selector", encoder.name, "the query's context", query.encoder)
        return query.context
    if isinstance(encoder, PrefillEncoder):
        return encoder.from_prefill(query)
    context: npt.NDArray[np.float32] = encoder.encode([query.request.text])[0]
    return context
