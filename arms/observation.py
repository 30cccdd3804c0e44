"""What one pull of an arm showed: facts only, no judgement."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, Self

from arms import checks
from arms.acceptance import acceptance_length, acceptance_rate


@dataclass(frozen=True, slots=True)
class Reference:
    """What the target writes for a query without any draft, and how long that takes.

    Attributes:
        text: The target's own text.
        seconds: Time of that generation; finite, >= 0.
        n_tokens: Tokens it generated; >= 0.

    Raises:
        ValueError: if a field breaks its rule.
    """

    text: str
    seconds: float
    n_tokens: int

    def __post_init__(self) -> None:
        _check_text("reference", "text", self.text)
        checks.not_negative(self.seconds, "reference: seconds")
        checks.at_least(self.n_tokens, 0, "reference: n_tokens")

    def to_dict(self) -> dict[str, object]:
        """Give the record as JSON values."""
        return {"text": self.text, "seconds": float(self.seconds), "n_tokens": int(self.n_tokens)}

    @classmethod
    def from_dict(cls, record: Mapping[str, object]) -> Self:
        """Rebuild what `to_dict` gave.

        Raises:
            ValueError: if a key is missing or unknown, or a value breaks its rule.
        """
        return cls(**_checked_keys("reference", cls, record))


@dataclass(frozen=True, slots=True)
class Observation:
    """The facts of one pull: what came back, how long it took, and what the drafts did on the way.

    Attributes:
        arm: Name of the arm that was pulled.
        query_id: The query it was pulled for.
        text: What the pull returned.
        n_tokens: Tokens generated, `next_token`s included; >= 0.
        seconds: Time of the whole pull; finite, >= 0.
        proposed: (n_rounds,) tokens the draft proposed in each draft-verify round; 0 where nothing drafts.
        accepted: (n_rounds,) of these, how many the target accepted; its `next_token` is not counted.
        overlaps: (n_tokens - 1,) for each token of the text after the first, the probability in [0, 1] that the draft's
            distribution shares with the target's, 1 - TV; empty where it was not looked at.
        own_text: What the draft writes alone, where it was asked; the target's text where nothing drafts.
        cost: What the pull cost, in the caller's unit; finite, >= 0.
        reference: The target's own generation for this query, where known.
        failure: Why the pull failed, e.g. "TimeoutError: no answer within 30 s"; None where it did not. A failed pull
            has an empty `text`, no tokens, no rounds, no overlaps and no `own_text`; it has its `seconds`, and may have
            a `cost`.

    Raises:
        ValueError: naming arm, query, rule and value, if a field breaks its rule.
    """

    arm: str
    query_id: str
    text: str
    n_tokens: int
    seconds: float
    proposed: tuple[int, ...] = ()
    accepted: tuple[int, ...] = ()
    own_text: str | None = None
    cost: float | None = None
    reference: Reference | None = None
    failure: str | None = None
    overlaps: tuple[float, ...] = ()

    @classmethod
    def failed(cls, arm: str, query_id: str, error: BaseException | str, seconds: float) -> Self:
        """Record a pull that gave no answer.

        Args:
            arm: name of the arm that was pulled.
            query_id: the query it was pulled for.
            error: what went wrong.
            seconds: time until that was known.
        """
        if isinstance(error, BaseException):
            error = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return cls(arm, query_id, text="", n_tokens=0, seconds=seconds, failure=error)

    def __post_init__(self) -> None:
        for name in ("arm", "query_id"):
            _check_text("observation", name, getattr(self, name))
            if not getattr(self, name).strip():
                raise ValueError(f"observation: {name} must not be blank, got {getattr(self, name)!r}")
        where = str(self)
        _check_text(where, "text", self.text)
        checks.at_least(self.n_tokens, 0, f"{where}: n_tokens")
        checks.not_negative(self.seconds, f"{where}: seconds")
        if self.own_text is not None:
            _check_text(where, "own_text", self.own_text)
        if self.cost is not None:
            checks.not_negative(self.cost, f"{where}: cost")
        if not (self.reference is None or isinstance(self.reference, Reference)):
            raise ValueError(f"{where}: reference must be a Reference or None, got {self.reference!r}")
        _check_rounds(where, self.proposed, self.accepted)
        _check_overlaps(where, self.overlaps)
        _check_failure(where, self)

    def __str__(self) -> str:
        return f"observation of arm {self.arm!r} on query {self.query_id!r}"

    @property
    def n_rounds(self) -> int:
        """Draft-verify rounds of the pull."""
        return len(self.proposed)

    @property
    def n_proposed(self) -> int:
        """Tokens the draft proposed, over all rounds."""
        return sum(self.proposed)

    @property
    def n_accepted(self) -> int:
        """Draft tokens the target accepted, over all rounds; `next_token` not counted."""
        return sum(self.accepted)

    @property
    def acceptance_rate(self) -> float | None:
        """Accepted over proposed draft tokens, in [0, 1]; None where nothing was proposed."""
        return acceptance_rate(self.n_accepted, self.n_proposed)

    @property
    def acceptance_length(self) -> float | None:
        """New tokens a round, `next_token` counted, in [1, draft_length + 1]; None without a round."""
        return acceptance_length(self.n_accepted, self.n_rounds)

    @property
    def tokens_per_second(self) -> float:
        """n_tokens / seconds.

        Raises:
            ValueError: if `seconds` is 0.
        """
        if self.seconds == 0:
            raise ValueError(f"{self}: tokens_per_second needs seconds > 0, got {self.seconds!r}")
        return self.n_tokens / self.seconds

    def to_dict(self) -> dict[str, object]:
        """Give the record as JSON values; `from_dict` rebuilds it."""
        return {
            "arm": self.arm,
            "query_id": self.query_id,
            "text": self.text,
            "n_tokens": int(self.n_tokens),
            "seconds": float(self.seconds),
            "proposed": [int(n) for n in self.proposed],
            "accepted": [int(n) for n in self.accepted],
            "own_text": self.own_text,
            "cost": None if self.cost is None else float(self.cost),
            "reference": None if self.reference is None else self.reference.to_dict(),
            "failure": self.failure,
            "overlaps": [float(share) for share in self.overlaps],
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, object]) -> Self:
        """Rebuild what `to_dict` gave, also after a trip through JSON.

        Raises:
            ValueError: if a key is missing or unknown, or a value breaks its rule.
        """
        values = _checked_keys("observation", cls, record)
        for name in ("proposed", "accepted", "overlaps"):
            if isinstance(values.get(name), list):
                values[name] = tuple(values[name])
        if isinstance(values.get("reference"), Mapping):
            values["reference"] = Reference.from_dict(values["reference"])
        return cls(**values)


def _check_text(where: str, name: str, value: object) -> None:
    if not isinstance(value, str):
        raise ValueError(f"{where}: {name} must be a string, got {value!r}")


def _check_rounds(where: str, proposed: tuple[int, ...], accepted: tuple[int, ...]) -> None:
    for name, counts in (("proposed", proposed), ("accepted", accepted)):
        if not isinstance(counts, tuple):
            raise ValueError(f"{where}: {name} must be a tuple with one count a round, got {counts!r}")
        for index, count in enumerate(counts):
            if type(count) is not int or count < 0:  # a name for each of thousands of counts is what would take time
                checks.at_least(count, 0, f"{where}: {name}[{index}]")
    if len(proposed) != len(accepted):
        raise ValueError(
            f"{where}: proposed and accepted must have one entry for each round, "
            f"got {len(proposed)} and {len(accepted)} entries"
        )
    for index, (n_proposed, n_accepted) in enumerate(zip(proposed, accepted, strict=True)):
        if n_accepted > n_proposed:
            raise ValueError(
                f"{where}: accepted[{index}] must be <= proposed[{index}] = {n_proposed}, got {n_accepted}"
            )


def _check_overlaps(where: str, overlaps: tuple[float, ...]) -> None:
    if not isinstance(overlaps, tuple):
        raise ValueError(f"{where}: overlaps must be a tuple with one share a token, got {overlaps!r}")
    for index, share in enumerate(overlaps):
        if type(share) is not float or not 0.0 <= share <= 1.0:
            checks.within(share, 0, 1, f"{where}: overlaps[{index}]")


def _check_failure(where: str, observation: Observation) -> None:
    if observation.failure is None:
        return
    _check_text(where, "failure", observation.failure)
    if not observation.failure.strip():
        raise ValueError(f"{where}: failure must say what went wrong, or be None, got {observation.failure!r}")
    for name, empty in (("text", ""), ("n_tokens", 0), ("proposed", ()), ("overlaps", ()), ("own_text", None)):
        if getattr(observation, name) != empty:
            raise ValueError(f"{where}: a failed pull must have {name} {empty!r}, got {getattr(observation, name)!r}")


def _checked_keys(kind: str, cls: type[Reference] | type[Observation], record: object) -> dict[str, Any]:
    if not isinstance(record, Mapping):
        raise ValueError(f"a stored {kind} must be a mapping of its fields, got {record!r}")
    missing = [field.name for field in fields(cls) if field.default is MISSING and field.name not in record]
    unknown = sorted(set(record) - {field.name for field in fields(cls)})
    if missing or unknown:
        raise ValueError(
            f"a stored {kind} must have the fields of {cls.__name__}; missing: {missing}, unknown: {unknown}"
        )
    return dict(record)
