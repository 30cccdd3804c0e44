"""Which set of drafts a query should have: what each set brought on the training queries most like it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from arms.checks import at_least
from bandits.checks import Float32, Float64

N_NEIGHBORS = 5
TOLERANCE = 1e-3  # of distances, whose contexts are float32


@dataclass(frozen=True, eq=False)
class QueryGate:
    """The option whose mean seconds over the nearest training queries are least.

    Attributes:
        contexts: (n, d) float64, the training queries', standardised by `mean` and `scale`.
        seconds: (n, s) float64, of each query with each option, less the query's mean.
        mean: (d,) of the training contexts.
        scale: (d,) their standard deviations; 1 where there is none.
        radius: farthest that a training query is from its nearest other one; infinity where there is no other.
        n_neighbors: queries that are averaged over.
        encoder: name of what made the contexts; None where it is not known.

    Source: Cover and Hart 1967, Nearest Neighbor Pattern Classification; here of costs, as in `bandits.KNN`.
    """

    contexts: Float64
    seconds: Float64
    mean: Float64
    scale: Float64
    radius: float = math.inf
    n_neighbors: int = N_NEIGHBORS
    encoder: str | None = None

    @classmethod
    def fit(
        cls, contexts: Float32, seconds: Float64, encoder: str | None = None, n_neighbors: int = N_NEIGHBORS
    ) -> "QueryGate":
        """Keep the (n, d) contexts and the (n, s) seconds of each option on them.

        Raises:
            ValueError: if there is no query or the numbers do not fit.
        """
        at_least(len(contexts), 1, "contexts")
        at_least(n_neighbors, 1, "n_neighbors")
        if seconds.ndim != 2 or len(seconds) != len(contexts):
            raise ValueError(f"seconds must be ({len(contexts)}, options), got {seconds.shape}")
        rows = contexts.astype(np.float64)
        mean, scale = rows.mean(axis=0), rows.std(axis=0)
        scale[scale < 1e-6] = 1.0
        relative = seconds - seconds.mean(axis=1, keepdims=True)
        standard = (rows - mean) / scale
        return cls(standard, relative, mean, scale, _radius(standard), n_neighbors, encoder)

    def choose(self, context: Float32) -> int:
        """Return the index of the option for a query, the first of equals.

        Raises:
            ValueError: if the context is of another size.
        """
        return self.choose_known(context)[0]

    def choose_known(self, context: Float32) -> tuple[int, bool]:
        """Return the option, and whether the query is as near to a training query as these are to each other.

        For a query that is not, the option is the best on the whole.

        Raises:
            ValueError: if the context is of another size.
        """
        if context.shape != self.mean.shape:
            raise ValueError(f"the gate was learned with contexts of {self.mean.shape}, got {context.shape}")
        offsets = self.contexts - (context - self.mean) / self.scale
        distances = np.sqrt(np.square(offsets).sum(axis=1))
        known = bool(distances.min() <= self.radius * (1 + TOLERANCE))
        nearest = np.argsort(distances, kind="stable")[: self.n_neighbors] if known else slice(None)
        return int(self.seconds[nearest].mean(axis=0).argmin()), known

    def content(self) -> tuple[dict[str, object], dict[str, np.ndarray]]:
        """Return header and arrays of a file; `of_content` reads them."""
        arrays = {"contexts": self.contexts, "seconds": self.seconds, "mean": self.mean, "scale": self.scale}
        radius = None if self.radius == math.inf else self.radius
        header: dict[str, object] = {"n_neighbors": self.n_neighbors, "encoder": self.encoder, "radius": radius}
        return header, {f"gate_{name}": array for name, array in arrays.items()}

    @classmethod
    def of_content(cls, header: object, tensors: Mapping[str, np.ndarray], n_options: int) -> "QueryGate":
        """Return the gate of a file's header and arrays.

        Raises:
            ValueError: if they are damaged.
        """
        known = header if isinstance(header, Mapping) else {}
        arrays = [tensors.get(f"gate_{name}") for name in ("contexts", "seconds", "mean", "scale")]
        n_neighbors, encoder, radius = known.get("n_neighbors"), known.get("encoder"), known.get("radius", 0)
        radius = math.inf if radius is None else radius
        found = [array for array in arrays if array is not None and np.isfinite(array).all()]
        if (
            not isinstance(n_neighbors, int)
            or not isinstance(radius, float)
            or len(found) < len(arrays)
            or not _fit(found, n_options)
        ):
            raise ValueError("the gate's numbers are damaged: fit it again")
        contexts, seconds, mean, scale = found
        return cls(contexts, seconds, mean, scale, radius, n_neighbors, encoder if isinstance(encoder, str) else None)


def _radius(rows: Float64) -> float:
    if len(rows) < 2:
        return math.inf
    sizes = np.square(rows).sum(axis=1)
    squares = sizes[:, None] + sizes - 2 * rows @ rows.T
    np.fill_diagonal(squares, np.inf)
    return float(np.sqrt(max(0.0, squares.min(axis=1).max())))


def _fit(arrays: Sequence[np.ndarray], n_options: int) -> bool:
    contexts, seconds, mean, scale = arrays
    return (
        contexts.ndim == 2
        and seconds.shape == (len(contexts), n_options)
        and mean.shape == scale.shape == (contexts.shape[1],)
    )
