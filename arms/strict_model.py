"""Settings that come from outside: no key of theirs is unknown, and no value is of another type."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError


class StrictModel(BaseModel):
    """Frozen settings; a key that they do not have is refused, and the message names those that there are.

    A value must be of its field's type: text is no number, and True is no 1. A field that holds a tuple, and is read
    from a list, says so with `Field(strict=False)`.

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
            return table
        known = ", ".join((*cls.model_fields, *cls.keys_beside))
        rule = PydanticCustomError("unknown_key", "unknown key; there are {known}", {"known": known})
        fault = InitErrorDetails(type=rule, loc=(str(unknown[0]),), input=table[unknown[0]])
        raise ValidationError.from_exception_data(cls.__name__, [fault])
