"""Options that several commands share, what they open, and how a command reports."""

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from speculative.cli.progress import busy, log_to_stderr, progress

if TYPE_CHECKING:
    from arms import Executor
    from speculative.measuring.cost_profile import CostProfile
    from speculative.pools.pool import Pool
    from speculative.pools.spec import PoolSpec

PoolOption = Annotated[
    Path,
    typer.Option("--pool", help="Pool file (TOML): target, arms and encoder.", metavar="POOL.toml"),
]
LogOption = Annotated[
    Path | None,
    typer.Option("--log", help="Folder of a decision log, which is begun or gone on with.", metavar="FOLDER"),
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything random.")]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the result on standard output as JSON and nothing else.")
]
NoisyCostsOption = Annotated[
    bool,
    typer.Option("--allow-noisy-costs", help="Go on, with a warning, where this machine was too busy to be measured."),
]
ThreadsOption = Annotated[
    int | None, typer.Option("--threads", min=1, help="Threads of torch; by default torch's own choice.")
]
DeviceOption = Annotated[
    str | None,
    typer.Option("--device", help="Device of all models, such as cuda; the pool file's by default.", metavar="DEVICE"),
]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]
Weights = Literal["auto", "dense", "int4", "int4_fast", "int4_all", "fp8"]
DtypeOption = Annotated[
    Dtype | None,
    typer.Option("--dtype", help="Of all models; the pool file's by default. auto: the fastest here."),
]
WeightsOption = Annotated[
    Weights | None,
    typer.Option(
        "--weights",
        help="Of the target; the pool file's by default. 4 bits, or fp8 on a card: faster, a text of its own; auto: "
        "the fastest.",
    ),
]
Graphs = Literal["auto", "on", "off"]
GraphsOption = Annotated[
    Graphs | None,
    typer.Option("--graphs", help="Rounds as CUDA graphs; the pool file's by default. auto: on a card."),
]
CacheOption = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        help="Folder of converted models and measured costs; by default ~/.cache/draftpick.",
        metavar="FOLDER",
    ),
]
ExecutorOption = Annotated[
    str,
    typer.Option(
        "--executor",
        help="Where the workers are: processes, threads, serial, ray for Ray on this machine, or ray://host:port.",
        metavar="NAME",
    ),
]
DEFAULT_POOL = Path("pool.toml")

POLICY_NAMES = (
    "uniform, best_fixed_arm, ucb1, beta_ts, hedge, exp3, lin_ucb, hybrid_lin_ucb, diagonal_lin_ucb, lin_ts, "
    "square_cb, logistic_ucb, logistic_ts, knn, regression, bootstrapped_ts, neural_linear_ts, reinforce, "
    "selected, epsilon_greedy, softmax, cost_weighted, budgeted, least_cost, discounted, sliding_window, "
    "reset_on_drift, or package.module:Class"
)  # a test compares them with the table, which is imported on use
REWARD_HELP = (
    "A formula of time_saved, speedup, relative_speed, seconds_per_token, tokens_per_second, price, "
    "acceptance_length, acceptance_rate, distribution_overlap, expected_acceptance_length, rouge_l, "
    "gleu, bleu, chrf, token_f1, exact_match, common_prefix, semantic_similarity, paper(A), "
    "on_failure(REWARD, VALUE) and your own as package.module:Class, such as "
    "0.5 * rouge_l(missing=1) + 0.5 * relative_speed. Default: time_saved where the data hold observations of drafts, "
    "else the data's own reward."
)
RewardOption = Annotated[str | None, typer.Option("--reward", help=REWARD_HELP, metavar="FORMULA")]
EncoderOption = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        help="Makes contexts from texts: hashing, sentence, a recorded name such as hashing-64, or "
        "package.module:Class. A folder of draftpick has contexts already.",
        metavar="NAME",
    ),
]
ColumnOption = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        help="A table's column that is not named after its role, such as query=prompt; may be repeated. Roles: "
        "query_id, query, arm, reward, cost, propensity, domain, weight, time.",
        metavar="ROLE=NAME",
    ),
]
ContextColumnsOption = Annotated[
    str | None,
    typer.Option(
        "--context-columns",
        help="A table's columns that are features, separated by commas: numbers, or text with a feature a level. With "
        "--encoder they stand beside its features. Default: context_0, context_1, ...",
        metavar="NAMES",
    ),
]
UnknownLevelsOption = Annotated[
    Literal["refuse", "own_column"],
    typer.Option("--unknown-levels", help="What a text column's level is that the policy did not learn from."),
]
PropensitiesOption = Annotated[
    Literal["logged", "estimated"],
    typer.Option("--propensities", help="For a table that is a log without them: estimated from its contexts."),
]
ArmColumnsOption = Annotated[
    str | None,
    typer.Option(
        "--arm-columns",
        help="For a wide table, a row a query: its columns that hold an arm's reward, separated by commas. Default "
        "with --cost-suffix: those that have costs.",
        metavar="NAMES",
    ),
]
CostSuffixOption = Annotated[
    str | None,
    typer.Option(
        "--cost-suffix",
        help="For a wide table: how a column of costs ends whose name begins as its arm's, such as '|total_cost'.",
        metavar="SUFFIX",
    ),
]
BatchRowsOption = Annotated[
    int | None,
    typer.Option(
        "--batch-rows",
        min=1,
        help="Read a folder that draftpick wrote so many rows at a time (such as 65536), in memory that does not grow "
        "with it.",
        metavar="ROWS",
    ),
]
PolicyClassOption = Annotated[
    list[str] | None,
    typer.Option(
        "--policy-class",
        help="Class of your own that a policy file may hold; may be repeated. A file alone never imports code.",
        metavar="package.module:Class",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="A setting, VALUE in JSON, such as ucb_width=0.5; may be repeated."
    ),
]
TABLE_HELP = (
    "a folder that draftpick wrote (collected data, a log, decisions), a Parquet, CSV, JSON lines or Arrow table, or "
    "a folder of Parquet files or of Hugging Face datasets, with columns arm, reward and, where there are, query_id, "
    "query (text), domain, cost, propensity (or a column an arm: --arm-columns), or Vowpal Wabbit's .dsjson"
)


def start_torch(threads: int | None) -> None:
    """Make sure that what runs models is installed, set torch's threads, and let the library say what it converts.

    Raises:
        ImportError: naming the extra that installs what is missing.
    """
    from arms.optional_import import optional_import

    torch = optional_import("torch", "llm")
    optional_import("transformers", "llm").utils.logging.disable_progress_bar()
    if threads is not None:
        torch.set_num_threads(threads)
    log_to_stderr()


def read_spec(path: Path, **changes: str | None) -> "PoolSpec":
    """Read a pool file.

    Args:
        path: the pool file.
        changes: `device`, `dtype`, `weights` or `graphs` as asked for instead; None keeps the file's.

    Raises:
        ValueError: see `read_pool_spec`.
    """
    from speculative.pools.spec import read_pool_spec

    return read_pool_spec(path).model_copy(update={name: value for name, value in changes.items() if value is not None})


def workers(executor: str, jobs: int | None) -> "Executor | None":
    """Return the executor of `--executor` and `--jobs`, or None to work in this process: one worker needs no other.

    Raises:
        ValueError: if the name is unknown.
    """
    from arms.executors import executor_of

    return None if executor == "processes" and jobs in (None, 1) else executor_of(executor, jobs)


def open_pool(spec: "PoolSpec", cache: Path | None) -> "Pool":
    """Load a pool's models.

    Raises:
        ValueError: see `Pool.of`.
    """
    from speculative.pools.pool import Pool

    with busy("loading models"):
        return Pool.of(spec, cache_folder(cache))


def pool_costs(pool: "Pool", cache: Path | None, refresh: bool = False) -> "CostProfile":
    """Return the pool's cost profile, measured where none is stored."""
    from speculative.measuring.cost_cache import cached_costs

    folder = cache_folder(cache) / "profiles"
    with progress("measuring this machine", 8) as advance:
        return cached_costs(
            pool.target.model,
            pool.target.name,
            pool.drafts,
            folder,
            refresh=refresh,
            on_progress=lambda: advance(1),
        )


def quick_costs(pool: "Pool") -> "CostProfile":
    """Return a cost profile of few passes, for a first look."""
    from speculative.measuring.cost_measurement import QUICK, measure_costs

    with progress("measuring this machine", QUICK.n_repeats + 1) as advance:
        return measure_costs(pool.target.model, pool.drafts, effort=QUICK, on_progress=lambda: advance(1))


def tell_drift(pool: "Pool", costs: "CostProfile") -> None:
    """Say where this machine is no longer as fast as it was when the costs were measured."""
    from speculative.measuring.cost_measurement import drift_from
    from speculative.measuring.cost_profile import MAX_DRIFT

    factor = drift_from(pool.target.model, costs)
    if not 1 / (1 + MAX_DRIFT) <= factor <= 1 + MAX_DRIFT:
        say(f"a plain step now takes {factor:.2g} times what the cost profile says; profile anew on a quiet machine")


def cache_folder(cache: Path | None) -> Path:
    """Return the folder asked for, or the default one."""
    from speculative.models.settings import DEFAULT_CACHE

    return cache or DEFAULT_CACHE


def report(result: Mapping[str, object], text: str, as_json: bool) -> None:
    """Print a result on standard output: as JSON, or as text for people."""
    typer.echo(json.dumps(result, indent=1) if as_json else text)


def standard_input() -> str:
    """Read every byte as it is: a text stream would change the line ends.

    Raises:
        ValueError: if it is no UTF-8 text.
    """
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"standard input must be UTF-8 text: {error}") from error


def wrapped(lines: Sequence[str]) -> str:
    """Return lines broken to the terminal's width (COLUMNS where that is set)."""
    width = shutil.get_terminal_size().columns
    broken = (wrap(line, width, break_long_words=False) if len(line) > width else [line] for line in lines)
    return "\n".join(part for parts in broken for part in parts)


def say(line: str) -> None:
    """Print a line for people on standard error."""
    typer.echo(line, err=True)
