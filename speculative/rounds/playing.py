"""Any selector on a traced text: the rounds and seconds that it would have had, without a model."""

from collections.abc import Sequence

import torch

from speculative.collection.arm_plan import ArmPlan
from speculative.collection.replay import Replay, Replayer
from speculative.collection.trace import Trace
from speculative.measuring.cost_profile import CostProfile
from speculative.protocols.request import Request
from speculative.protocols.selector import QueryState, Selector


def play(selector: Selector, plans: Sequence[ArmPlan], trace: Trace, costs: CostProfile) -> Replay:
    """Walk a traced text from a selector's own round starts: the rounds that a real run would have had.

    The selector is started, asked, told and finished as the engine does it for one request, and what it asks of
    look-ups is charged. Seconds are those of `replay`, with which this agrees for one arm; what the selector itself
    takes is not in them, nor its learning: time it apart.

    Args:
        selector: chooses among `plans` by their index. It is given the trace's context; hidden states are empty.
        plans: of the arms, fixed ones and rules: `ArmPlan.of(arm)`.
        trace: of their drafts.
        costs: seconds of this machine.

    Raises:
        ValueError: if a draft was not traced, or not that far, or the selector chooses no arm.
    """
    request = Request(trace.query_id, trace.prompt_ids, trace.max_new_tokens)
    nothing = torch.zeros(0)
    selector.start(QueryState(request, nothing, nothing, trace.context, trace.encoder))
    try:
        return Replayer(trace, costs).walk(plans, selector)
    finally:
        selector.finish(trace.query_id)
