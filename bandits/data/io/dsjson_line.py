"""One line of Vowpal Wabbit's decision-service JSON: a decision with its label, read and checked field by field."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np

from bandits import checks
from bandits.checks import Float32

TICKS = 10**7
"""Parts of a second that a time stamp is written to."""
_START = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class DsjsonLine:
    """A decision.

    Attributes:
        event_id: of the decision; None where the line has none.
        time: seconds since 1970; None where the line has none.
        arm: the one that was taken.
        arms: that could be taken.
        reward: minus the cost.
        propensity: in (0, 1].
        probabilities: of the arms; None where the line does not hold them.
        vector: name and numbers, where the context is one list of numbers and nothing else.
        features: of any other context, shared by the arms, by name; what is missing is 0.
    """

    event_id: str | None
    time: float | None
    arm: str
    arms: tuple[str, ...]
    reward: float
    propensity: float
    probabilities: Mapping[str, float] | None
    vector: tuple[str, Float32] | None
    features: Mapping[str, float]


def read_line(text: bytes) -> DsjsonLine:
    """Read a line.

    Raises:
        ValueError: naming the field, its rule and the value.
    """
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it must be one JSON object ({error}), got {text[:60]!r}") from error
    if not isinstance(said, dict):
        raise _wrong("the line", "one JSON object", said)
    if said.get("_skipLearn"):
        raise _wrong("_skipLearn", "false: a decision that was never activated is no row; leave the line out", True)
    if said.get("pdrop"):
        raise _wrong("pdrop", "0: lines that were thinned out are not weighted here", said["pdrop"])
    context = said.get("c")
    if not isinstance(context, dict):
        raise _wrong("c", "an object, the context with its arms", context)
    arms = _arms(context.get("_multi"))
    place = _place(said, len(arms))
    propensity = _number(said, "_label_probability")
    if not 0 < propensity <= 1:
        raise _wrong("_label_probability", "in (0, 1]", propensity)
    probabilities = _probabilities(said, arms)
    if probabilities is not None and abs(probabilities[arms[place]] - propensity) > checks.PROBABILITY_TOLERANCE:
        raise _wrong("p", f"_label_probability {propensity} for the arm taken", probabilities[arms[place]])
    event_id = said.get("EventId")
    if event_id is not None and not isinstance(event_id, str):
        raise _wrong("EventId", "a string", event_id)
    shared = {name: value for name, value in context.items() if not name.startswith("_")}
    vector = _vector(shared)
    return DsjsonLine(
        event_id=event_id,
        time=_time(said["Timestamp"]) if "Timestamp" in said else None,
        arm=arms[place],
        arms=arms,
        reward=-_number(said, "_label_cost"),
        propensity=propensity,
        probabilities=probabilities,
        vector=vector,
        features=_features_by_name(shared) if vector is None else {},
    )


def timestamp(time: float) -> str:
    """Return seconds since 1970 as a time stamp of which reading makes the same seconds.

    Raises:
        ValueError: if it is none that a time stamp can hold.
    """
    ticks = round(Decimal(time) * TICKS)
    if ticks / TICKS != time:
        raise ValueError(f"times must be whole parts of {1 / TICKS:g} s since 1970 in dsjson, got {time!r}")
    seconds, rest = divmod(ticks, TICKS)
    try:
        moment = _START + timedelta(seconds=seconds)
    except OverflowError as error:
        raise ValueError(f"times must be seconds since 1970 in dsjson, got {time!r}") from error
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest:07d}Z"


def _time(text: object) -> float:
    rule = "a time such as 2026-01-31T12:00:00.0000000Z"
    if not isinstance(text, str):
        raise _wrong("Timestamp", rule, text)
    whole, point, rest = text.removesuffix("Z").partition(".")
    try:
        moment = datetime.fromisoformat(whole)
        if moment.tzinfo is not None or bool(point) != rest.isdecimal() or len(rest) > 12 or not rest.isascii():
            raise ValueError("a zone, or no decimals")
    except ValueError as error:
        raise _wrong("Timestamp", rule, text) from error
    seconds = (moment.replace(tzinfo=UTC) - _START) // timedelta(seconds=1)
    per_second: int = 10 ** len(rest)
    return (seconds * per_second + int(rest or 0)) / per_second


def _arms(multi: object) -> tuple[str, ...]:
    if not isinstance(multi, list) or not multi or not all(isinstance(one, dict) for one in multi):
        raise _wrong("c._multi", "a list of the arms, an object each", multi)
    arms = tuple(_arm(one) for one in multi)
    if len(set(arms)) < len(arms):
        twice = next(arm for arm in arms if arms.count(arm) > 1)
        raise _wrong("c._multi", "arms that differ", twice)
    return arms


def _arm(features: Mapping[str, object]) -> str:
    """Return an arm's tag, or where it has none its features, by which it is told from others."""
    tag = features.get("_tag")
    if tag is not None and (not isinstance(tag, str) or not tag):
        raise _wrong("_tag", "a string", tag)
    return tag or json.dumps(features, sort_keys=True, ensure_ascii=False)


def _place(said: Mapping[str, object], n_arms: int) -> int:
    """Return the place of the arm taken; `_label_Action` counts from 1."""
    places = {}
    for name, first in (("_labelIndex", 0), ("_label_Action", 1)):
        value = said.get(name)
        if value is None:
            continue
        if type(value) is not int or not first <= value < n_arms + first:
            raise _wrong(name, f"a place among {n_arms} arms, counted from {first}", value)
        places[name] = value - first
    if not places:
        raise _wrong("_labelIndex", "there: a line without a label is no decision with a reward", None)
    if len(set(places.values())) > 1:
        raise _wrong("_label_Action", f"_labelIndex + 1 = {places['_labelIndex'] + 1}", said["_label_Action"])
    return next(iter(places.values()))


def _probabilities(said: Mapping[str, object], arms: tuple[str, ...]) -> dict[str, float] | None:
    """Return probabilities by arm: `p` is in the order of `a`, which counts from 1."""
    given, order = said.get("p"), said.get("a", list(range(1, len(arms) + 1)))
    if given is None:
        return None
    if not isinstance(order, list) or not all(type(i) is int for i in order):
        raise _wrong("a", "a list of places, counted from 1", order)
    if sorted(order) != list(range(1, len(arms) + 1)):
        raise _wrong("a", f"each of the {len(arms)} arms once", order)
    if not isinstance(given, list) or len(given) != len(arms):
        raise _wrong("p", f"{len(arms)} probabilities, one an arm", given)
    values = [_number({"p": one}, "p") for one in given]
    total = math.fsum(values)
    if min(values) < 0 or abs(total - 1) > checks.PROBABILITY_TOLERANCE:
        raise _wrong("p", f"probabilities that sum to 1 (they sum to {total:.9g})", given)
    return {arms[place - 1]: value for place, value in zip(order, values, strict=True)}


def _vector(shared: Mapping[str, object]) -> tuple[str, Float32] | None:
    if len(shared) != 1:
        return None
    [(name, values)] = shared.items()
    if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
        return None
    for place, value in enumerate(values):
        _number({f"c.{name}[{place}]": value}, f"c.{name}[{place}]")
    numbers = np.array(values, np.float64)
    with np.errstate(over="ignore"):  # what float32 cannot hold is told with the table
        return name, numbers.astype(np.float32)


def _features_by_name(shared: Mapping[str, object]) -> dict[str, float]:
    features: dict[str, float] = {}
    for key, value in shared.items():
        for name, one in _features(key, value):
            if name in features:
                raise _wrong(f"c.{key}", f"features of different names ({name} is there twice)", value)
            features[name] = one
    return features


def _features(name: str, value: object) -> Iterator[tuple[str, float]]:
    """Yield features as Vowpal Wabbit takes them: a number as it is, a text or `true` as 1, what is inside as well."""
    match value:
        case None | False:
            return
        case str():
            yield f"{name}={value}", 1.0
        case True:
            yield name, 1.0
        case int() | float():
            yield name, _number({name: value}, name)
        case list():
            for place, one in enumerate(value):
                yield from _features(name if isinstance(one, dict | str) else f"{name}[{place}]", one)
        case dict():
            for key, one in value.items():
                if not key.startswith("_"):
                    yield from _features(f"{name}.{key}", one)
        case _:
            raise _wrong(name, "a number, a text, or lists and objects of them", value)


def _number(said: Mapping[str, object], name: str) -> float:
    value = said.get(name)
    try:
        number = float(value) if type(value) in (int, float) else math.nan  # type: ignore[arg-type]  # just checked
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise _wrong(name, "a finite number", value)
    return number


def _wrong(field: str, rule: str, value: object) -> ValueError:
    return ValueError(f"{field} must be {rule}, got {value!r:.100}")
