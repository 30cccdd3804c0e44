"""Which columns of contexts belong together, by what their data are marked with."""

from bandits.encoders.columns import ColumnFeatures, encoder_beside
from speculative.targets.text_features import STATE_MARK, TEXT_FEATURES, state_parts

_MOST_ALONE = 64  # columns of contexts that nobody marked: more are one part


def context_parts(mark: str | None, n_features: int) -> dict[str, range]:
    """Return the columns of each part of contexts by its name.

    Args:
        mark: of the data, an encoder's name, columns, or both; None for contexts that nobody marked.
        n_features: size of a context.
    """
    columns, encoder = ColumnFeatures.of_name(mark), encoder_beside(mark)
    own = {} if columns is None else columns.parts
    n_before = n_features - sum(map(len, own.values()))
    parts = {name: range(part.start + n_before, part.stop + n_before) for name, part in own.items()}
    return {**_parts_before(encoder, n_before), **parts} if n_before else parts


def _parts_before(encoder: str | None, n_features: int) -> dict[str, range]:
    n_states, odd = divmod(n_features - len(TEXT_FEATURES), 2)
    if encoder is not None and encoder.startswith(STATE_MARK) and n_states > 0 and not odd:
        return state_parts(n_states)
    if encoder is None and n_features <= _MOST_ALONE:
        return {f"context_{i}": range(i, i + 1) for i in range(n_features)}
    return {encoder or "contexts": range(n_features)}
