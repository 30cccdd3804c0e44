"""Settings that come from outside: no key of theirs is unknown, and no value is of another type."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError


class StrictModel(BaseModel):
    """Frozen settings; a key that they do not have is refused, and the message names those that there are.

    A value must be of its field's type: text is no number, True is no 1, and NaN and infinity are no settings. A file
    has no tuples and no paths: there a list is one, and a text the other.

    Attributes:
        keys_beside: what may stand beside the settings where they are written, for the message.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    keys_beside: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _check_keys(cls, table: object) -> object:
        if not isinstance(table, Mapping):
            return table
        unknown = [key for key in table if key not in cls.model_fields]
        if not unknown:
            return {key: _of_a_file(value, cls.model_fields[key].annotation) for key, value in table.items()}
        known = ", ".join((*cls.model_fields, *cls.keys_beside))
        rule = PydanticCustomError("unknown_key", "unknown key; there are {known}", {"known": known})
        fault = InitErrorDetails(type=rule, loc=(str(unknown[0]),), input=table[unknown[0]])
        raise ValidationError.from_exception_data(cls.__name__, [fault])


def _of_a_file(value: object, annotation: Any) -> object:
    """Return a list as a tuple, and a text as a path, where the annotation asks for one."""
    kinds = {get_origin(part) or part for part in (annotation, *get_args(annotation))}
    if isinstance(value, list) and tuple in kinds:
        return tuple(value)
    return Path(value) if isinstance(value, str) and Path in kinds else value
