"""What a choice at every round takes inside the engine, over a vocabulary of 150,000: the record, the choice, learning.

The target is a table of random logits, so that nothing else takes long; the arms are look-ups of several lengths.

    python examples/benchmarks/bench_round_choice.py            # seconds; writes docs/results/round_choice.json
    python examples/benchmarks/bench_round_choice.py --smoke    # a short text; writes nothing
"""

import argparse
import json
import shlex
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from arms.atomic_file import write_file
from speculative import PromptLookup, SuffixDraft
from speculative.collection.arm_plan import ArmPlan
from speculative.drafts.no_draft import NoDraft
from speculative.engine.engine import Engine
from speculative.engine.generate import generate
from speculative.measuring.cost_profile import CostProfile, DraftCost
from speculative.measuring.machine import machine_facts
from speculative.protocols.causal_lm import ForwardOutput
from speculative.protocols.draft import Draft
from speculative.protocols.kv_cache import CacheShape, KVCache
from speculative.protocols.request import Request
from speculative.protocols.selector import QueryState, RoundContext, RoundObservation, Selector
from speculative.protocols.token_batch import TokenBatch
from speculative.rounds import AcceptanceModel, RecordLayout, SpeedSelector

RESULTS = Path(__file__).parents[2] / "docs" / "results"
BAR_US = 100.0
N_VOCAB, N_ROWS = 150_000, 64
LENGTHS = (1, 2, 3, 5, 7, 11)


@dataclass(frozen=True)
class LengthArm:
    """A draft with one draft length."""

    name: str
    draft: Draft
    draft_length: int


class RandomTarget:
    """The logits of a token are a row of a fixed random table, another one every sixteen positions."""

    n_vocab, n_features, max_positions = N_VOCAB, 1, 4096
    dtype, device = torch.float32, torch.device("cpu")
    arithmetic, can_roll_back, packs_rows = "a table", True, False

    def __init__(self, seed: int) -> None:
        self._table = torch.randn(N_ROWS, N_VOCAB, generator=torch.Generator().manual_seed(seed))

    def fingerprint(self) -> str:
        """Say what it is."""
        return "random table"

    def new_cache(self, n_rows: int, capacity: int = 512) -> KVCache:
        """Make a cache that holds nothing but lengths."""
        return KVCache(CacheShape(1, n_rows, 1, 1), capacity=capacity)

    def forward(self, batch: TokenBatch, cache: KVCache, logit_rows: Sequence[int] | None = None) -> ForwardOutput:
        """Look the logits up."""
        [n_tokens] = batch.counts
        positions = cache.lengths[batch.first_row] + torch.arange(n_tokens)
        cache.reserve(cache.lengths[batch.first_row] + n_tokens)
        cache.lengths[batch.first_row] += n_tokens
        rows = (batch.token_ids + positions // 16) % N_ROWS
        chosen = rows if logit_rows is None else rows[list(logit_rows)]
        return ForwardOutput(self._table[chosen], torch.zeros(n_tokens, 1))


@dataclass
class Timed(Selector):
    """Times what another selector does each round, and what asking for the target's certainty would add."""

    selector: Selector
    rounds_us: list[float] = field(default_factory=list)
    certainty_us: list[float] = field(default_factory=list)

    def start(self, query: QueryState) -> None:
        """Pass it on."""
        self.selector.start(query)

    def select(self, rounds: Sequence[RoundContext]) -> Sequence[int]:
        """Time the choice, then the question."""
        begin = time.perf_counter()
        actions = self.selector.select(rounds)
        chosen = time.perf_counter()
        rounds[0].certainty()
        self.certainty_us.append(1e6 * (time.perf_counter() - chosen))
        self.rounds_us.append(1e6 * (chosen - begin))
        return actions

    def observe(self, observations: Sequence[RoundObservation]) -> None:
        """Time it, too."""
        begin = time.perf_counter()
        self.selector.observe(observations)
        self.rounds_us[-1] += 1e6 * (time.perf_counter() - begin)

    def finish(self, request_id: str) -> None:
        """Pass it on."""
        self.selector.finish(request_id)


def main(arguments: Sequence[str] | None = None) -> dict[str, object]:
    """Measure, print, and write `round_choice.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-rounds", type=int, default=2000, help="new tokens of the text, most of them a round each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="a short text; writes nothing")
    options = parser.parse_args(arguments)
    timed, n_arms = measure(40 if options.smoke else options.n_rounds, options.seed)
    choice_us, certainty_us = statistics.median(timed.rounds_us), statistics.median(timed.certainty_us)
    result: dict[str, object] = {
        "n_arms": n_arms,
        "n_vocab": N_VOCAB,
        "n_rounds": len(timed.rounds_us),
        "choice_us": choice_us,
        "certainty_us": certainty_us,
        "bars": [
            {
                "name": "microseconds of a record, a choice and its outcome",
                "value": choice_us,
                "bar": BAR_US,
                "at_most": True,
                "holds": choice_us <= BAR_US,
            }
        ],
        "command": f"python examples/benchmarks/bench_round_choice.py {shlex.join(arguments or sys.argv[1:])}".strip(),
        "machine": machine_facts(),
        "seed": options.seed,
        "date": time.strftime("%Y-%m-%d"),
    }
    print(f"{n_arms} arms: {choice_us:.0f} us a round; asking for the certainty would add {certainty_us:.0f} us")
    if not options.smoke:
        write_file(RESULTS / "round_choice.json", json.dumps(result, indent=1, allow_nan=False) + "\n")
    return result


def measure(n_new: int, seed: int) -> tuple[Timed, int]:
    """Write one text in the engine with a `SpeedSelector`, timed at every round; return also the number of arms."""
    arms = [LengthArm("no_draft", NoDraft(), 0)]
    arms += [LengthArm(f"{draft.name}_{n}", draft, n) for draft in (PromptLookup(), SuffixDraft()) for n in LENGTHS]
    layout = RecordLayout({arm.name: ArmPlan.fixed(arm.draft.name, arm.draft_length) for arm in arms})
    selector = SpeedSelector(AcceptanceModel(layout), _round_figures(layout.drafts), rate=20.0, inertia=16.0)
    timed = Timed(selector)
    generate(Engine(RandomTarget(seed), arms, timed), [Request("text", tuple(range(200)), n_new)])
    return timed, len(arms)


def _round_figures(drafts: Sequence[str]) -> CostProfile:
    """Return a profile: what it says does not change how long a choice takes."""
    return CostProfile(
        key="round figures",
        widths=(1, 12),
        cache_lengths=(64, 1024),
        verify_grid=((0.04, 0.06), (0.05, 0.07)),
        spread=0.0,
        prefill_widths=(256,),
        prefill_grid=(1.0,),
        drafts={draft: DraftCost(0.0001, 0.00001, 0.0) for draft in drafts},
        measured_at=0.0,
    )


if __name__ == "__main__":
    main()
