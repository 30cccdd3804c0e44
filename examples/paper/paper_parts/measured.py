"""Wall-clock runs of the arms on some test queries, beside what replay says of them."""

import numpy as np

from bandits import FullInformationData
from bandits.checks import Float64, Int64
from paper_parts.stored import Stored
from paper_parts.timed import TimedRun


def measured_seconds(stored: Stored, data: FullInformationData) -> tuple[Int64, Float64] | None:
    """Return the rows of the data that were timed with all their arms, and these seconds (m, k); None if none was.

    Seconds are of as many tokens as the traced text has, where a run wrote another number.
    """
    n_new = {trace.query_id: len(trace.new_ids) for trace in stored.sides["test"].traces}
    found = {(run.query_id, run.arm): run for run in stored.runs}
    names = data.arm_names
    ids = [str(query) for query in data.query_ids or ()]
    rows = [i for i, query in enumerate(ids) if all((query, arm) in found for arm in names)]
    if not rows:
        return None
    seconds = [[_scaled(found[ids[i], arm], n_new[ids[i]]) for arm in names] for i in rows]
    return np.array(rows), np.array(seconds)


def _scaled(run: TimedRun, n_new: int) -> float:
    return run.seconds * n_new / max(1, run.n_tokens)
