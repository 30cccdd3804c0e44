"""A tiny pool, its queries, their traces and plans, and round figures for costs."""

from dataclasses import dataclass

import pytest

from arms import Query
from speculative.collection.arm_plan import ArmPlan
from speculative.collection.trace import Trace
from speculative.collection.tracing import trace_queries
from speculative.measuring.cost_profile import CostProfile
from speculative.pools.pool import Pool
from tests.support.tiny_pool import plain_costs, queries, save_pool


@dataclass(frozen=True)
class Traced:
    """What was traced, and what it cost."""

    pool: Pool
    queries: list[Query]
    traces: list[Trace]
    arms: dict[str, ArmPlan]
    costs: CostProfile


@pytest.fixture(scope="package")
def traced_pool(tmp_path_factory: pytest.TempPathFactory) -> Traced:
    pool = Pool.load(save_pool(tmp_path_factory.mktemp("pool")))
    asked = queries(6)
    traces = trace_queries(asked, pool.arms, pool.encoder)
    arms = {arm.name: ArmPlan.of(arm) for arm in pool.arms}
    return Traced(pool, asked, traces, arms, plain_costs("prompt_lookup", "draft_small"))
