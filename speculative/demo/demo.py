"""The whole job on real models: collect, learn, evaluate on held-out prompts, and measure."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path

from arms import Query
from arms.atomic_file import write_file
from arms.input_file import read_text
from bandits import Bootstrap, FullInformationData, evaluate
from bandits.evaluation import best_fixed_arm
from rewards.named import DEFAULT_REWARD, make_reward
from speculative.collection.collect import collect
from speculative.collection.settings import CollectSettings
from speculative.demo.figures import DemoReport
from speculative.demo.learning import Learned, choose_policy, learn
from speculative.demo.modes import PEERS, demo_modes, timed_picks, with_picks
from speculative.demo.peers import peer_modes
from speculative.demo.per_round import PER_ROUND, PerRound, learn_per_round, with_per_round
from speculative.demo.queries import demo_queries, pick_evenly
from speculative.demo.report import domain_speed, make_report, picks_by_policy, save_pictures, save_report
from speculative.demo.size import FULL_SIZE, DemoSize, choose_size
from speculative.demo.wall_clock_stage import StageLimits, run_wall_clock
from speculative.measuring.cost_cache import cached_costs
from speculative.measuring.cost_profile import CostProfile
from speculative.models.settings import DEFAULT_CACHE
from speculative.pools.pool import Pool
from speculative.pools.spec import PoolSpec, read_pool_spec

Progress = Callable[[str, int, int], None]
DEMO_POOL = Path(str(files("speculative").joinpath("demo/pool.toml")))
_PROFILE_STEPS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSettings:
    """What a demo is asked for.

    Attributes:
        seconds: for everything after the models are loaded; fewer prompts and tokens are taken on a slow machine. None
            takes all prompts and longer answers.
        seed: of policies, orders and bootstraps.
        queries: prompts to learn from and prompts to test on; None for the project's own.
        allow_noisy_costs: go on, with a warning, where the machine was too busy to be measured.
    """

    seconds: float | None = 600.0
    seed: int = 0
    queries: tuple[Sequence[Query], Sequence[Query]] | None = None
    allow_noisy_costs: bool = False


def run_demo(
    out: Path,
    spec: PoolSpec | None = None,
    settings: DemoSettings | None = None,
    *,
    on_progress: Progress | None = None,
) -> DemoReport:
    """Run the demo and write its report folder; a stopped demo goes on where it was.

    Args:
        out: takes the collected data, the saved policies, the replayed table, every timed prompt, and at the end
            `report.md`, `report.json`, `runs.json` and plots.
        spec: of another pool than the demo's own (`DEMO_POOL`).
        settings: how long it may take, on which prompts.
        on_progress: called with (stage, done, of how many).

    Raises:
        ValueError: if the pool cannot be loaded, the machine was too busy, or `out` was begun with something else.
    """
    settings, notify = settings or DemoSettings(), on_progress or (lambda stage, done, total: None)
    asked, spec = settings.queries or demo_queries(), spec or read_pool_spec(DEMO_POOL)
    out.mkdir(parents=True, exist_ok=True)
    notify("loading models", 0, 1)
    pool = Pool.of(spec)
    begin = time.monotonic()
    costs = _profile(out, pool, notify, settings.allow_noisy_costs)
    peers = peer_modes(spec, pool, out)
    size = _size(out, pool, costs, asked, len(peers), settings.seconds)
    train_queries, test_queries = (_sized(side, size) for side in asked)
    train = _collect(train_queries, pool, out / "train", costs, notify, "collecting training prompts")
    test = _collect(test_queries, pool, out / "test", costs, notify, "collecting held-out prompts")
    notify("learning", 0, 1)
    per_round = learn_per_round(pool, out / "train", out / "test", costs, settings.seed)
    learned = _learn(train, test, settings.seed, out, per_round)
    notify("learning", 1, 1)
    left = None if size.seconds is None else size.seconds - (time.monotonic() - begin)
    timed = pick_evenly(test_queries, size.most_timed)
    few = {query.id for query in timed[: size.timed_by_transformers]}
    runs = run_wall_clock(
        timed,
        demo_modes(pool, learned.choice.name, learned.policies[learned.choice.name], settings.seed)
        | {PER_ROUND: per_round.mode(pool)}
        | peers,
        out / "timed",
        seed=settings.seed,
        limits=StageLimits(seconds=left, least=size.least_timed, only=dict.fromkeys(PEERS, few)),
        on_progress=lambda done, total: notify("measuring, prompts", done, total),
    )
    picks = {name: timed_picks(policy, test, settings.seed) for name, policy in learned.policies.items()}
    grouped = with_picks(runs, picks, pool.arms.names)
    report = make_report(pool, learned, test, timed, grouped)
    save_report(report, runs, pool.arms.names, out)
    return report


def _profile(out: Path, pool: Pool, notify: Progress, allow_noisy: bool) -> CostProfile:
    """Return the costs that a stopped demo was begun with, or measure them: all stages are priced alike."""
    file = out / "costs.json"
    if file.is_file():
        try:
            return CostProfile.from_json(read_text(file))
        except ValueError as error:
            raise ValueError(f"{file} is damaged ({error}): name another folder, or delete this one") from error
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        notify("measuring this machine", done, _PROFILE_STEPS)

    folder = DEFAULT_CACHE / "profiles"
    costs = cached_costs(pool.target.model, pool.target.name, pool.drafts, folder, on_progress=step)
    costs.check(allow_noisy=allow_noisy)
    write_file(file, costs.to_json())
    return costs


def _size(
    out: Path,
    pool: Pool,
    costs: CostProfile,
    asked: tuple[Sequence[Query], Sequence[Query]],
    n_peers: int,
    seconds: float | None,
) -> DemoSize:
    """Return the size that a stopped demo was begun with, or choose one."""
    file = out / "size.json"
    if file.is_file():
        try:
            return DemoSize(**json.loads(read_text(file)))
        except (ValueError, TypeError, RecursionError) as error:
            raise ValueError(f"{file} is damaged ({error}): name another folder, or delete this one") from error
    size = FULL_SIZE
    if seconds is not None:
        queries = [query for side in asked for query in side]
        n_prompt = sum(len(pool.target.request(query).token_ids) for query in queries) / len(queries)
        size = choose_size(costs, n_prompt, len(queries), len(pool.arms) + 2, n_peers, seconds)
    write_file(file, json.dumps(asdict(size)))
    return size


def _sized(queries: Sequence[Query], size: DemoSize) -> list[Query]:
    taken = pick_evenly(queries, max(2, round(size.share * len(queries))))
    return [query.model_copy(update={"max_new_tokens": size.max_new_tokens}) for query in taken]


def _collect(
    queries: Sequence[Query], pool: Pool, folder: Path, costs: CostProfile, notify: Progress, stage: str
) -> FullInformationData:
    done = 0

    def advance(n: int) -> None:
        nonlocal done
        done += n
        notify(stage, done, len(queries))

    data = collect(queries, pool, folder, costs, settings=CollectSettings(allow_noisy_costs=True), on_progress=advance)
    return data.with_reward(make_reward(DEFAULT_REWARD))


def _learn(train: FullInformationData, test: FullInformationData, seed: int, out: Path, per_round: PerRound) -> Learned:
    """Fit, choose and evaluate; all of it is on disk before the long stage begins."""
    policies = learn(train, seed)
    choice = choose_policy(policies, train, seed)
    evaluation = evaluate(policies, test, training_data=train, bootstrap=Bootstrap(seed=seed))
    evaluation = with_per_round(evaluation, per_round, test)
    for name, policy in policies.items():
        policy.save(out / "policies" / f"{name.lower().replace(' ', '_')}.safetensors")
    evaluation.save(out / "evaluation.json")
    write_file(out / "table.txt", evaluation.to_text(80) + "\n")
    save_pictures(domain_speed(test), picks_by_policy(policies, test), train.arm_names, out)
    plain_arm = best_fixed_arm(train.select_arms(per_round.arm_names))
    return Learned(policies, choice, evaluation, plain_arm, per_round)
