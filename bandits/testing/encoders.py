"""The properties that every context encoder must keep; `bandits.testing.policies` exports `check_encoder`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from arms import Query
from arms.testing.assertions import global_generators_untouched, hold, instance_of, near
from bandits.encoders.encoder import ContextEncoder

EncoderOrMaker = ContextEncoder | Callable[[], ContextEncoder]

EXAMPLE_TEXTS = (
    "Translate 'the naïve café' into German.",
    "What is 17 + 25?",
    "def area(r):\n    return 3.14 * r**2  # which unit?",
    "What is 17 + 25?",  # a text twice: the same row twice
    "",
    " \n\t",
    "漢字 😀 and a NUL \x00",
    "one two three " * 40,
)
_BATCH_TOLERANCE = 1e-5  # of rows of about unit length: float32 products of another batch size


def check_encoder(encoder: EncoderOrMaker, texts: Sequence[str] = EXAMPLE_TEXTS) -> None:
    """Run every check on an encoder, or on what a function makes.

    Args:
        encoder: an encoder; or a function that returns a new one, each time with the same settings, which shows also
            whether one name means the same rows from one object to another.
        texts: at least two different ones that it must be able to encode. The default holds an empty text, other
            scripts and marks, code, a long text and one text twice.

    Raises:
        AssertionError: naming the property that does not hold.
    """
    hold(len(set(texts)) > 1, "check_encoder needs at least two different texts")
    first, second, third = (instance_of(encoder, ContextEncoder, "an encoder") for _ in range(3))
    check_name_and_size(first)
    check_rows(first, texts)
    check_same_text_same_row(first, texts)
    check_query_is_its_text(first, texts)
    check_same_name_same_rows(third, second, texts)


def check_name_and_size(encoder: ContextEncoder) -> None:
    """Check that an encoder has a name for data to be marked with, and a size."""
    try:
        name, size = encoder.name, encoder.n_features
    except AttributeError as error:
        message = f"an encoder must set name and n_features, in its class or its __init__: {error}"
        raise AssertionError(message) from error
    hold(isinstance(name, str) and bool(name.strip()), f"name must be a string and not blank, got {name!r}")
    hold(isinstance(size, int) and size >= 1, f"n_features must be an integer >= 1, got {size!r}")


def check_rows(encoder: ContextEncoder, texts: Sequence[str]) -> None:
    """Check that `encode` gives (n, d) float32, finite, also of no text, and changes neither texts nor generators."""
    given = list(texts)
    with global_generators_untouched():
        rows = encoder.encode(given)
    hold(given == list(texts), "encode must leave the texts unmodified")
    hold(isinstance(rows, np.ndarray), f"encode must return a NumPy array, got {type(rows).__name__}")
    wanted = len(texts), encoder.n_features
    hold(rows.shape == wanted, f"rows must have shape (n, n_features) = {wanted}, got {rows.shape}")
    hold(rows.dtype == np.float32, f"rows must be float32, got {rows.dtype}")
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    hold(len(bad) == 0, f"rows must be finite: that of {texts[bad[0] if len(bad) else 0]!r} is not")
    none = encoder.encode([])
    wanted = 0, encoder.n_features
    hold(none.shape == wanted and none.dtype == np.float32, f"no text must give float32 rows of shape {wanted}")


def check_same_text_same_row(encoder: ContextEncoder, texts: Sequence[str]) -> None:
    """Check that a row depends on its text alone: not on the texts beside it, their order, or earlier calls."""
    rows = encoder.encode(list(texts))
    again = encoder.encode(list(texts))
    hold(near(rows, again, _BATCH_TOLERANCE), "the same texts must give the same rows, whatever came before")
    backwards = encoder.encode(list(texts)[::-1])[::-1]
    hold(near(rows, backwards, _BATCH_TOLERANCE), "a row must not depend on the order of the texts")
    for row, text in zip(rows, texts, strict=True):
        alone = encoder.encode([text])[0]
        hold(near(row, alone, _BATCH_TOLERANCE), f"a row must not depend on the texts beside it: that of {text!r} does")


def check_query_is_its_text(encoder: ContextEncoder, texts: Sequence[str]) -> None:
    """Check that `encode_query` gives the row of the query's text; a query is never blank."""
    text = next((text for text in texts if text.strip()), None)
    hold(text is not None, "check_encoder needs a text that is not blank")
    row = encoder.encode_query(Query(id="text", prompt=str(text)))
    hold(near(row, encoder.encode([str(text)])[0], _BATCH_TOLERANCE), "encode_query must give the row of the text")


def check_same_name_same_rows(first: ContextEncoder, second: ContextEncoder, texts: Sequence[str]) -> None:
    """Check that encoders of one name give the same contexts, so that a policy may meet either; use changes neither."""
    before = first.name, first.n_features
    rows = first.encode(list(texts))
    hold((first.name, first.n_features) == before, "encoding must not change name or n_features")
    hold((second.name, second.n_features) == before, "the same settings must give the same name and n_features")
    same = near(second.encode(list(texts)), rows, _BATCH_TOLERANCE)
    hold(same, "one name must mean the same rows: make every setting that changes a row part of the name")
