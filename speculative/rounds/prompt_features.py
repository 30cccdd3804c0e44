"""What the prompt says of the rounds to come: the main directions in which training contexts vary."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from arms.checks import at_least
from bandits.checks import Float32, Float64


@dataclass(frozen=True, eq=False)
class PromptFeatures:
    """Principal components of contexts, each scaled to variance one.

    Attributes:
        mean: (d,) of the training contexts.
        components: (q, d), q the number of features.
        encoder: name of what made the contexts; None where it is not known.
    """

    mean: Float64
    components: Float64
    encoder: str | None = None

    @classmethod
    def fit(cls, contexts: npt.NDArray[np.float32], n_features: int, encoder: str | None = None) -> "PromptFeatures":
        """Find them in (n, d) contexts of an encoder; fewer where they do not vary in as many directions.

        Raises:
            ValueError: if `n_features` is negative.
        """
        at_least(n_features, 0, "n_features")
        rows = contexts.astype(np.float64)
        mean = rows.mean(axis=0)
        _, sizes, directions = np.linalg.svd(rows - mean, full_matrices=False)
        kept = min(n_features, int((sizes > 1e-6 * max(1e-12, float(sizes[0]))).sum()))
        scale = sizes[:kept] / np.sqrt(len(rows))
        return cls(mean, directions[:kept] / scale[:, None], encoder)

    def of(self, context: Float32) -> Float64:
        """Return the features, (q,), of one context.

        Raises:
            ValueError: if the context is of another size.
        """
        if context.shape != self.mean.shape:
            raise ValueError(f"the rounds were learned with contexts of {self.mean.shape}, got {context.shape}")
        return self.components @ (context - self.mean)
