"""What a measurement settles: which forms a decoder's arithmetic takes on one machine."""

import json
from dataclasses import asdict, dataclass
from typing import Literal, get_args

Packing = Literal["plain", "packed", "packed_4", "packed_16"]
"""`functional.linear` on weights as they are; weights laid out by oneDNN, for any number of rows or for so many."""
Norm = Literal["fused", "stepwise"]
Rotation = Literal["complex", "real"]


@dataclass(frozen=True, slots=True)
class FormSeconds:
    """What one form was measured to take.

    Attributes:
        form: its name.
        rows: numbers of rows, rising.
        seconds: of the layers' products that were timed, median for each number of rows.
    """

    form: str
    rows: tuple[int, ...]
    seconds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class KernelPlan:
    """The forms of a decoder's arithmetic. By default those that are nowhere far from the fastest.

    Attributes:
        packing: of dense weights on the CPU.
        min_rows: a pass of fewer tokens is filled up to this many.
        wide_rows: rows from which 4-bit weights multiply through their bfloat16 copy, where they have one; None for
            never.
        norm: how a root mean square is divided by: in one call of torch, or step by step.
        rotation: how rotary pairs are turned: as complex numbers, or by sines and cosines.
        measured: what the choice rests on; empty where nothing was measured.

    Raises:
        ValueError: if a form is unknown, or a number of rows below 1.
    """

    packing: Packing = "packed_4"
    min_rows: int = 1
    wide_rows: int | None = 65
    norm: Norm = "fused"
    rotation: Rotation = "complex"
    measured: tuple[FormSeconds, ...] = ()

    def __post_init__(self) -> None:
        for name, value, known in (
            ("packing", self.packing, get_args(Packing)),
            ("norm", self.norm, get_args(Norm)),
            ("rotation", self.rotation, get_args(Rotation)),
        ):
            if value not in known:
                raise ValueError(f"{name} must be one of {known}, got {value!r}")
        for name, rows in (("min_rows", self.min_rows), ("wide_rows", self.wide_rows)):
            if rows is not None and rows < 1:
                raise ValueError(f"{name} must be >= 1, got {rows}")

    def summary(self) -> str:
        """Return the forms in one line."""
        wide = "never" if self.wide_rows is None else f"from {self.wide_rows} rows"
        return (
            f"{self.packing} weights, passes of {self.min_rows} rows and more, wide copies {wide}, {self.norm} norms, "
            f"{self.rotation} rotations"
        )

    def to_json(self) -> str:
        """Return the plan as JSON text."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "KernelPlan":
        """Rebuild what `to_json` gave.

        Raises:
            ValueError: if the text is no plan.
        """
        try:
            raw = json.loads(text)
            measured = tuple(
                FormSeconds(str(m["form"]), tuple(map(int, m["rows"])), tuple(map(float, m["seconds"])))
                for m in raw.pop("measured")
            )
            return cls(**raw, measured=measured)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"not a kernel plan: {error!r}") from error


SAFE_PLAN = KernelPlan()
"""What holds where nothing is measured."""
