"""The whole job on real models: collect, learn, evaluate on held-out prompts, and check it by the clock."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from arms import Query
from bandits import (
    BestFixedArm,
    Bootstrap,
    FullInformationData,
    LinTS,
    LinUCB,
    Policy,
    Reinforce,
    evaluate,
)
from bandits.policies.linear.prior_precision import choose_prior_precision
from rewards import TimeSaved
from speculative.collection.collect import collect
from speculative.demo.report import LOOKUP, PLAIN, DemoReport, make_report, save_report, show_report
from speculative.measuring.cost_profile import CostProfile, cached_costs
from speculative.measuring.wall_clock import Run, arm_mode, measure, policy_mode, transformers_mode
from speculative.models.settings import DEFAULT_CACHE
from speculative.pools.pool import Pool
from speculative.pools.spec import read_pool_spec


@dataclass(frozen=True, slots=True)
class DemoSize:
    """How much the demo measures: prompts by the clock, of these with transformers, tokens a text."""

    n_timed: int = 24
    n_transformers: int = 8
    max_new_tokens: int = 48


FULL_SIZE = DemoSize(n_timed=84, n_transformers=84, max_new_tokens=96)


def demo_queries() -> tuple[list[Query], list[Query]]:
    """Return the project's own prompts: training and held-out, 210 over seven domains."""
    lines = files("speculative").joinpath("demo/prompts.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    sides: dict[str, list[Query]] = {"train": [], "test": []}
    for row in rows:
        sides[row["split"]].append(Query(id=row["id"], prompt=row["prompt"], domain=row["domain"]))
    return sides["train"], sides["test"]


def run_demo(
    out: Path, *, full: bool = False, seed: int = 0, pool_file: Path | None = None, device: str | None = None
) -> DemoReport:
    """Run the demo and write its report folder.

    Args:
        out: takes `report.md`, `report.json`, `runs.json`, plots, and the collected data, from which a stopped
            run goes on.
        full: more prompts and tokens by the clock.
        seed: of policies, orders and bootstraps.
        pool_file: another pool.toml; the demo's own by default.
        device: of all models; the pool's by default.
    """
    size = FULL_SIZE if full else DemoSize()
    console = Console(stderr=True)
    out.mkdir(parents=True, exist_ok=True)
    path = pool_file or Path(str(files("speculative").joinpath("demo/pool.toml")))
    spec = read_pool_spec(path).model_copy(update={"max_new_tokens": size.max_new_tokens})
    if device is not None:
        spec = spec.model_copy(update={"device": device})
    with console.status("loading the target and its drafts (the first time weights are converted)"):
        pool = Pool.of(spec)
    train_queries, test_queries = demo_queries()
    with _progress(console) as progress:
        costs = _profile(pool, progress)
        train = _collect(train_queries, pool, out / f"train-{size.max_new_tokens}", costs, progress, "training prompts")
        test = _collect(test_queries, pool, out / f"test-{size.max_new_tokens}", costs, progress, "held-out prompts")
        train, test = train.with_reward(TimeSaved()), test.with_reward(TimeSaved())
        policies = learn(train, seed)
        evaluation = evaluate(policies, test, training_data=train, bootstrap=Bootstrap(seed=seed))
        timed = pick_evenly(test_queries, size.n_timed)
        runs = _clock(timed, pool, policies, size, seed, progress)
    report = make_report(pool, policies, evaluation, test, timed, runs, seed)
    save_report(report, runs, pool.arms.names, out)
    show_report(report, Console())
    console.print(f"report: {out / 'report.md'}, figures: {out / 'report.json'}, plots beside them")
    return report


def pick_evenly(queries: Sequence[Query], n: int) -> list[Query]:
    """Take `n` queries, in turn from each domain."""
    by_domain: dict[str | None, list[Query]] = defaultdict(list)
    for query in queries:
        by_domain[query.domain].append(query)
    turns = [query for group in zip(*_padded(list(by_domain.values())), strict=True) for query in group if query]
    return turns[:n]


def _padded(groups: list[list[Query]]) -> list[list[Query | None]]:
    longest = max(map(len, groups))
    return [[*group, *[None] * (longest - len(group))] for group in groups]


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)


def _profile(pool: Pool, progress: Progress) -> CostProfile:
    task = progress.add_task("measuring this machine", total=8)
    folder = DEFAULT_CACHE / "profiles"
    costs = cached_costs(
        pool.target.model, pool.target.name, pool.drafts, folder, on_progress=lambda: progress.advance(task)
    )
    progress.update(task, completed=8)
    for arm in pool.arms:
        if arm.draft_length:
            progress.console.print(f"  {costs.verdict(arm.draft.name, arm.draft_length)}")
    return costs


def _collect(
    queries: Sequence[Query], pool: Pool, folder: Path, costs: CostProfile, progress: Progress, name: str
) -> FullInformationData:
    task = progress.add_task(f"collecting {name}", total=len(queries))
    return collect(queries, pool.arms, pool.encoder, folder, costs, on_progress=lambda n: progress.advance(task, n))


def learn(train: FullInformationData, seed: int) -> dict[str, Policy]:
    """Fit the policies that the demo and the benchmarks compare."""
    precision = choose_prior_precision(train)
    policies: dict[str, Policy] = {
        "best fixed arm": BestFixedArm(),
        "LinUCB": LinUCB(prior_precision=precision),
        "LinTS": LinTS(prior_precision=precision),
        "REINFORCE": Reinforce(seed=seed),
    }
    for policy in policies.values():
        policy.fit(train)
    return policies


def _clock(
    timed: Sequence[Query],
    pool: Pool,
    policies: Mapping[str, Policy],
    size: DemoSize,
    seed: int,
    progress: Progress,
) -> list[Run]:
    """Every arm, every policy and transformers on the timed prompts, interleaved."""
    from transformers import AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    target = pool.target
    peer = AutoModelForCausalLM.from_pretrained(target.folder, dtype=target.model.dtype).to(target.model.device)
    modes = {arm.name: arm_mode(arm) for arm in pool.arms}
    for name, policy in policies.items():
        modes[name] = policy_mode(pool.arms, pool.encoder, policy, name=name, seed=seed)
    modes[PLAIN] = transformers_mode(target, peer, PLAIN)
    modes[LOOKUP] = transformers_mode(target, peer, LOOKUP, prompt_lookup_num_tokens=7)
    few = {query.id for query in timed[: size.n_transformers]}
    only = {PLAIN: few, LOOKUP: few}
    total = len(timed) * (len(modes) - 2) + 2 * len(few)
    task = progress.add_task("measuring by the clock", total=total)
    return measure(timed, modes, seed, only=only, on_progress=lambda: progress.advance(task))
