"""The contexts of dsjson lines, gathered as the lines come, in little more memory than the table takes."""

from __future__ import annotations

from array import array

import numpy as np

from bandits.checks import Float32
from bandits.data.io.dsjson_line import DsjsonLine
from bandits.encoders.columns import mark_of_names

NAMELESS = "context"
"""The list of numbers of a log whose encoder is not known."""
_MOST_NUMBERS = 1 << 28


class DsjsonContexts:
    """Takes the context of one line after another; all must hold their features in one form."""

    def __init__(self) -> None:
        self._form: tuple[str, int] | None = None  # name and length of the lists; None for named features
        self._numbers = array("f")  # of the lists, one after another
        self._places: dict[str, int] = {}  # of named features
        self._rows, self._columns, self._values = array("q"), array("q"), array("d")
        self._n = 0

    def take(self, line: DsjsonLine) -> None:
        """Take a line's context.

        Raises:
            ValueError: if it is of another form than the first one's.
        """
        form = None if line.vector is None else (line.vector[0], len(line.vector[1]))
        if self._n and form != self._form:
            first = _shown(self._form)
            raise ValueError(
                f"c must hold its features in one form: the first line has {first}, this one {_shown(form)}"
            )
        self._form = form
        if line.vector is not None:
            self._numbers.frombytes(line.vector[1].tobytes())
        for name, value in line.features.items():
            self._rows.append(self._n)
            self._columns.append(self._places.setdefault(name, len(self._places)))
            self._values.append(value)
        self._n += 1

    def table(self) -> tuple[Float32, str | None]:
        """Return (n, d) contexts and the mark of what made them.

        Raises:
            ValueError: if there are too many named features for a table.
        """
        if self._form is not None:
            name, length = self._form
            contexts = np.frombuffer(self._numbers, np.float32) if self._numbers else np.zeros(0, np.float32)
            return contexts.reshape(self._n, length), None if name == NAMELESS else name
        d = len(self._places)
        if d * self._n > _MOST_NUMBERS:
            raise ValueError(
                f"{d} features in {self._n} lines are more than a table holds: leave out texts that are different in "
                "every line, such as ids (a name that begins with _ is not read)"
            )
        named = np.zeros((self._n, max(1, d)), np.float32)
        if self._values:
            named[np.frombuffer(self._rows, np.int64), np.frombuffer(self._columns, np.int64)] = self._values
        return named, mark_of_names(tuple(self._places)) if d else None


def _shown(form: tuple[str, int] | None) -> str:
    return "named features" if form is None else f"{form[1]} numbers under {form[0]!r}"
