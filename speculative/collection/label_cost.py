"""What labels cost: seconds of tracing a draft on the target's text, and of letting it write alone."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from speculative.collection.own_texts import OWN_TEXTS, are_whole, with_own_texts
from speculative.collection.trace_store import TRACES, read_trace_parts


@dataclass(frozen=True, slots=True)
class LabelSeconds:
    """Mean seconds a query of one draft's labels; the target's text, which both need, is not in them.

    Attributes:
        traced: of one look at the target's text, from which replay labels all arms of the draft.
        own: of its own text; None where it has none.
    """

    traced: float
    own: float | None

    @property
    def ratio(self) -> float | None:
        """Own text's seconds over tracing's; None without an own text."""
        return None if self.own is None else self.own / self.traced


def label_seconds(folder: str | Path) -> dict[str, LabelSeconds]:
    """Return what the labels of a finished collection took, by draft; drafts traced before it was timed are left out.

    Raises:
        FileNotFoundError: if the folder holds no traces.
        ValueError: if the traces or own texts are not closed, or damaged.
    """
    folder = Path(folder)
    parts = read_trace_parts(folder / TRACES)
    if are_whole(folder / OWN_TEXTS):
        parts = with_own_texts(parts, folder / OWN_TEXTS)
    traced, own = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
    for trace in (trace for part in parts for trace in part):
        for name, found in trace.drafts.items():
            if found.seconds is not None:
                traced[name].append(found.seconds)
            if found.own is not None:
                own[name].append(found.own.seconds)
    return {
        name: LabelSeconds(_mean(seconds), _mean(own[name]) if name in own else None)
        for name, seconds in traced.items()
    }


def _mean(seconds: list[float]) -> float:
    return sum(seconds) / len(seconds)
