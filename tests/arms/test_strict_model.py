"""What is read from a file is of its field's type, and nothing is converted in silence."""

import math
from pathlib import Path

import pytest
from pydantic import ValidationError

from arms.strict_model import StrictModel


class Settings(StrictModel):
    phrases: tuple[str, ...] = ()
    weights: tuple[float, ...] | None = None
    names: list[str] | None = None
    folder: Path | None = None
    share: float = 0.5
    n_rows: int = 1
    learn: bool = True


def test_a_list_of_a_file_is_a_tuple_and_a_text_a_path_where_they_are_asked_for():
    read = Settings.model_validate({"phrases": ["a", "b"], "weights": [1, 0.5], "names": ["c"], "folder": "d/e"})
    assert read == Settings(phrases=("a", "b"), weights=(1.0, 0.5), names=["c"], folder=Path("d/e"))
    assert Settings.model_validate(read.model_dump()) == read


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("share", value) for value in ("0.5", True, math.nan, math.inf)),
        *(("n_rows", value) for value in ("1", True, 1.0)),
        *(("learn", value) for value in (1, "true")),
        *(("phrases", value) for value in ("ab", [1], {"a": 1})),
        *(("weights", value) for value in (["1"], [True], [math.nan])),
        ("names", ("a",)),
        ("folder", 3),
    ],
)
def test_a_value_of_another_type_is_refused_by_the_name_of_its_field(name, value):
    with pytest.raises(ValidationError, match=rf"^1 validation error for Settings\n{name}"):
        Settings.model_validate({name: value})


def test_an_unknown_key_is_told_with_those_that_there_are():
    with pytest.raises(ValidationError, match=r"rows\n  unknown key; there are phrases, .*, learn"):
        Settings.model_validate({"rows": 1})
