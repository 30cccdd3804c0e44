"""The least seconds that any choice per round could take on a traced text, known in hindsight."""

from collections.abc import Sequence

import numpy as np

from bandits.checks import Float64
from speculative.collection.arm_plan import ArmPlan
from speculative.collection.trace import Trace
from speculative.measuring.cost_profile import CostProfile


def clairvoyant_s(plans: Sequence[ArmPlan], trace: Trace, costs: CostProfile) -> float:
    """Return the seconds of the best sequence of fixed arms, found exactly by dynamic programming.

    An idle draft's reading is charged as `replay` charges it. So the least seconds from a position on depend on how far
    each draft has read; as reading costs the same for each token, it is enough to know which drafts are used later:

        W(j, S) = seconds from j on if just the drafts S are used, as if each had read nothing
        W(j, S + {d}) = min over arms of d: round + read_s[d] * committed(j)
                        + W(j', S) - [d in S] * read_s[d] * committed(j')

    Args:
        plans: fixed arms; rules among them are left out, because each of their rounds is one of a fixed arm.
        trace: of their drafts.
        costs: seconds of this machine.

    Raises:
        ValueError: if no plan is a fixed arm.
    """
    fixed = [plan.drafts[0] for plan in plans if len(plan.drafts) == 1]
    if not fixed:
        raise ValueError("the clairvoyant chooses among fixed arms, but every plan is a rule")
    names = sorted({name for name, _ in fixed if name in trace.drafts})
    bits = {name: 1 << i for i, name in enumerate(names)}
    n_prompt, n_new = len(trace.prompt_ids), len(trace.new_ids)
    least = np.full((n_new + 1, 1 << len(names)), np.inf)
    least[n_new, 0] = 0.0
    subsets = np.arange(1 << len(names))
    for j in range(n_new - 1, 0, -1):
        for name, length in fixed:
            n_proposed, n_accepted = trace.proposal(name, length, j)
            end = min(n_new, j + n_accepted + 1)
            seconds = least[end] + costs.verify_s(1 + max(n_proposed, 0), n_prompt + j - 1)
            if n_proposed < 0:
                least[j] = np.minimum(least[j], seconds)
                continue
            used_later = (subsets & bits[name]) > 0
            read_s = costs.drafts[name].read_s if name in costs.drafts else 0.0
            seconds += costs.draft_s(name, trace.n_drafted(name, length, j), n_prompt + j - 1)
            seconds -= np.where(used_later, read_s * (n_prompt + end - 1), 0.0)
            _lower(least[j], subsets | bits[name], seconds)
    return costs.prefill_s(n_prompt) + float(least[1].min() if n_new > 1 else 0.0)


def _lower(row: Float64, at: np.ndarray, seconds: Float64) -> None:
    np.minimum.at(row, at, seconds)
