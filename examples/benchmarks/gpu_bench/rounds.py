"""Whole rounds on the card: how often they wait, and tokens a second by draft, sampling and batch."""

import json
import statistics
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch

from arms import acceptance_length
from gpu_bench.machine import Machine
from gpu_bench.stages import Cell, Row
from speculative.drafts.draft_model import DraftModel
from speculative.drafts.no_draft import NoDraft
from speculative.drafts.prompt_lookup import PromptLookup
from speculative.engine.engine import Engine
from speculative.engine.settings import EngineSettings
from speculative.models.graphs import Graphs
from speculative.protocols.request import Request
from speculative.sampling.sampling_params import SamplingParams
from tests.support.card_rounds import ARMS, SAMPLINGS, make_models, play, requests
from tests.support.pretended_card import PretendedCard
from tests.support.tiny_models import Arm

DRAFT_LENGTH, ACCEPTANCE = 4, 0.6
TARGETS = {
    "SmolLM2-135M": ("no draft", "prompt look-up", "2 layers"),
    "Llama-3.2-1B": ("no draft", "prompt look-up", "SmolLM2-135M"),
    "Llama-3.1-8B": ("no draft", "prompt look-up", "SmolLM2-135M", "Llama-3.2-1B"),
}
"""Drafts of each target; a model of another vocabulary is given the target's, "2 layers" are the target's first."""
KINDS = {
    "greedy": SamplingParams(),
    "coupled": SamplingParams(temperature=0.8, seed=1),
    "rejection": SamplingParams(temperature=0.8, seed=1, verification="rejection"),
}
_COUNTED = Path(__file__).parents[3] / "docs" / "results" / "bench_card.json"


class Speed(NamedTuple):
    """What is timed: a target with a draft, how its tokens are picked, requests at once, and how passes run."""

    model: str
    draft: str
    sampling: str
    batch: int
    passes: str


def waits(machine: Machine) -> Iterator[Cell]:
    """Most waits of a round of the harness's own models, beside what the harness counted for it."""
    rows = json.loads(_COUNTED.read_text(encoding="utf-8"))["rounds"] if _COUNTED.is_file() else []
    counted = {(row["draft"], row["sampling"], row["batch"]): row["waits"] for row in rows}
    for arm in ARMS[:3:2] if machine.dry else ARMS:
        for sampling in list(SAMPLINGS)[: 2 if machine.dry else None]:
            for batch in (1, 4):
                what = {"draft": arm, "sampling": sampling, "batch": batch}

                def measure(arm: str = arm, sampling: str = sampling, batch: int = batch) -> Row:
                    found = _pretended_waits if machine.dry else _waits
                    return {"waits": found(arm, sampling, batch), "counted": counted.get((arm, sampling, batch))}

                yield Cell(what, measure)


def speeds(machine: Machine) -> Iterator[Cell]:
    """Tokens a second, milliseconds a round and what it accepts, of random weights' text."""
    for target, drafts in list(TARGETS.items())[: 1 if machine.dry else None]:
        for draft in drafts:
            for kind in list(KINDS)[: 2 if machine.dry else None]:
                for batch in (1, 2) if machine.dry else (1, 8):
                    for passes in ("graphs", "eager") if kind == "greedy" else ("graphs",):
                        one = Speed(target, draft, kind, batch, passes)
                        yield Cell(one._asdict(), lambda one=one: _speed(machine, one))


def make_arm(machine: Machine, name: str, draft: str, is_eager: bool = False) -> Arm:
    """Make an arm with one of the drafts of a target in `TARGETS`."""
    if draft == "no draft":
        return Arm(NoDraft(), 0)
    if draft == "prompt look-up":
        return Arm(PromptLookup(), DRAFT_LENGTH)
    n_vocab = machine.config(name).n_vocab
    layers = machine.model(name, n_layers=2) if draft == "2 layers" else machine.model(draft, n_vocab=n_vocab)
    model = machine.eager(layers) if is_eager else layers
    return Arm(DraftModel(model, name=draft, n_target_vocab=n_vocab), DRAFT_LENGTH)


def prompt(machine: Machine, n_vocab: int, number: int = 0) -> tuple[int, ...]:
    """Return a prompt of 200 tokens, in a dry run of 20."""
    return tuple((7 * number + 31 * i) % min(n_vocab, 997) for i in range(20 if machine.dry else 200))


def check_recorded(model: object) -> None:
    """Reject figures of a model whose passes were to be graphs, and went on without.

    Raises:
        RuntimeError: if a recording has failed.
    """
    graphs = getattr(model, "graphs", None)
    if isinstance(graphs, Graphs) and not graphs.are_recorded:
        raise RuntimeError("passes ran without new graphs, since a recording had failed: the warning says why")


def _speed(machine: Machine, one: Speed) -> Row:
    """Answer a batch of requests, the second time with a clock."""
    target, batch, is_eager = machine.model(one.model), one.batch, one.passes == "eager"
    target = machine.eager(target) if is_eager else target
    arm, n_new = make_arm(machine, one.model, one.draft, is_eager), 8 if machine.dry else 96
    for _ in range(2):
        engine = Engine(target, [arm], settings=EngineSettings(max_batch=batch))
        for i in range(batch):
            engine.submit(Request(str(i), prompt(machine, target.n_vocab, i), n_new, sampling=KINDS[one.sampling]))
        rounds_s, begin = [], time.perf_counter()
        while engine.n_unfinished:
            at = time.perf_counter()
            results = engine.step()
            if all(result.action is not None for result in results):
                rounds_s.append(time.perf_counter() - at)
        machine.wait()
        seconds = time.perf_counter() - begin
    for model in (target, getattr(arm.draft, "model", None)):
        check_recorded(model)
    generations = [engine.take(str(i)) for i in range(batch)]
    stats = [generation.stats for generation in generations]
    round_ms = 1e3 * statistics.median(rounds_s)
    tokens = sum(ACCEPTANCE**i for i in range(arm.draft_length + 1))
    lengths = [acceptance_length(one.n_accepted, one.n_rounds) for one in stats]
    return {
        "tokens_s": round(sum(one.n_new for one in stats) / seconds, 1),
        "round_ms": round(round_ms, 3),
        "acceptance_length": round(statistics.mean(lengths), 2),
        "tokens_s_at_0.6": round(batch * tokens / round_ms * 1e3, 1),
        "faults": sorted({fault.reason for one in stats for fault in one.faults}),
    }


def _waits(arm: str, sampling: str, batch: int) -> int:
    """Count torch's own warnings of calls that wait, in rounds of the whole batch."""
    models = make_models("cuda", draft_seed=0)
    engine = Engine(models.target, [models.arms[arm]], settings=EngineSettings(max_batch=batch))
    for request in requests(batch, SAMPLINGS[sampling], 16):
        engine.submit(request)
    most = 0
    torch.cuda.set_sync_debug_mode("warn")
    try:
        while engine.n_unfinished:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                results = engine.step()
            if len(results) == batch and all(result.action is not None for result in results):
                most = max(most, sum("synchroniz" in str(warning.message) for warning in caught))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return most


def _pretended_waits(arm: str, sampling: str, batch: int) -> int:
    """Count the same on the card that is not there."""
    with PretendedCard() as card:
        models = make_models("cuda", draft_seed=0)
        _, rounds = play(models, arm, requests(batch, SAMPLINGS[sampling], 16), batch, card)
    return max(each.counts.n_waits for each in rounds if each.n_requests == batch)
