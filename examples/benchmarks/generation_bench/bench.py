"""What the parts of the benchmark share, loaded when first needed."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch

from generation_bench.earlier_outputs import fill_stores, without_own_outputs
from generation_bench.peers import load_peer
from generation_bench.prompts import Prompts, load_prompts
from speculative.collection.trace import Trace
from speculative.collection.tracing import trace_queries
from speculative.measuring.cost_cache import cached_costs
from speculative.measuring.cost_measurement import EXACT, measure_costs
from speculative.measuring.cost_profile import CostProfile
from speculative.models.settings import DEFAULT_CACHE
from speculative.pools.pool import Pool
from speculative.pools.spec import PoolSpec, read_pool_spec

Timing = dict[str, object]


class Bench:
    """The float32 pool, transformers' model of the same weights, and the prompts.

    Args:
        options: the command line.

    Attributes:
        runs: part to its timings.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.runs: dict[str, Sequence[Timing]] = {}

    @cached_property
    def prompts(self) -> Prompts:
        """What is answered."""
        return load_prompts(self.options)

    @cached_property
    def pool(self) -> Pool:
        """The pool of `--pool`."""
        return Pool.of(self.spec(self.options.pool))

    @cached_property
    def peer(self) -> Any:
        """The model in transformers, float32."""
        return load_peer(self.pool.target, torch.float32)

    @cached_property
    def costs(self) -> CostProfile:
        """What passes of the pool cost on this machine."""
        if self.options.smoke:
            return measure_costs(self.pool.target.model, self.pool.drafts, effort=replace(EXACT, n_repeats=1))
        return cached_costs(self.pool.target.model, self.pool.target.name, self.pool.drafts, DEFAULT_CACHE / "profiles")

    @cached_property
    def training_traces(self) -> list[Trace]:
        """The target's texts of the training prompts, every draft traced on them; they fill the pool's stores."""
        traces = without_own_outputs(trace_queries(self.prompts.train, self.pool.arms, self.pool.encoder), self.pool)
        fill_stores(self.pool, [trace.new_ids for trace in traces])
        return traces

    def spec(self, path: Any) -> PoolSpec:
        """Return a pool file under the command line's token limit."""
        return read_pool_spec(path).model_copy(update={"max_new_tokens": self.options.max_new_tokens})
