"""`draftpick serve`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from arms.input_file import read_text
from speculative.cli import options
from speculative.cli.plugins import load_one_policy, policy_of
from speculative.cli.served_pool import hindsight_costs, read_served_pool, selectors_of

if TYPE_CHECKING:
    from bandits import Policy
    from speculative.serving.request_columns import ColumnGroup


def serve(
    pool: Annotated[
        Path, typer.Argument(help="Pool file (TOML): upstreams, or a target with its drafts.", metavar="POOL.toml")
    ],
    state: Annotated[
        Path, typer.Option("--state", help="Folder of the log and of what is learned; gone on with.", metavar="FOLDER")
    ],
    policy: Annotated[
        str,
        typer.Option(
            "--policy",
            help=f"Saved policy, or the name of one that starts from nothing: {options.POLICY_NAMES}.",
            metavar="FILE|NAME",
        ),
    ] = "lin_ts",
    mode: Annotated[
        Literal["shadow", "canary", "live"],
        typer.Option(
            "--mode",
            help="shadow: the incumbent serves, the policy's choice is logged; canary: the policy decides a share; "
            "live: it decides all but the exploration.",
        ),
    ] = "shadow",
    incumbent: Annotated[
        str | None,
        typer.Option("--incumbent", help="Arm that serves where the policy does not; the first by default."),
    ] = None,
    share: Annotated[
        float, typer.Option("--share", min=0, max=1, help="Of the requests that the policy decides with canary.")
    ] = 0.1,
    exploration: Annotated[
        float,
        typer.Option(
            "--exploration", min=0, max=1, help="Of the requests that any arm may get; without it nothing is learned."
        ),
    ] = 0.05,
    propensity_floor: Annotated[
        float,
        typer.Option(
            "--propensity-floor",
            min=0,
            max=1,
            help="Least probability of each arm that is up; the exploration is larger where that needs it.",
        ),
    ] = 0.0,
    rewards: Annotated[
        Literal["own", "caller"],
        typer.Option("--rewards", help="own: seconds a token, measured; caller: posted to /v1/draftpick/reward."),
    ] = "own",
    slowest: Annotated[
        float | None,
        typer.Option(
            "--slowest",
            help="Seconds a token that count as the worst; by default 4 times the incumbent's in the probe.",
        ),
    ] = None,
    reward_window: Annotated[
        float,
        typer.Option(
            "--reward-window", min=0, help="Seconds that a caller's reward is waited for; later ones count no more."
        ),
    ] = 600.0,
    default_reward: Annotated[
        float,
        typer.Option("--default-reward", min=0, max=1, help="Of a decision that its caller does not reward in time."),
    ] = 0.0,
    discount: Annotated[
        float | None,
        typer.Option(
            "--discount", help="Forget: a reward weighs this to the power of the decisions since, such as 0.999."
        ),
    ] = None,
    window: Annotated[
        int | None, typer.Option("--window", min=1, help="Forget: learn from so many of the last decisions only.")
    ] = None,
    drift_threshold: Annotated[
        float | None,
        typer.Option(
            "--drift-threshold",
            help="Forget an arm once its rewards moved: Page-Hinkley threshold in standard deviations, such as 20.",
        ),
    ] = None,
    relearn: Annotated[
        bool,
        typer.Option(
            "--relearn", help="Settings or --hindsight have changed: learn the log in --state from its beginning."
        ),
    ] = False,
    new_arm_rows: Annotated[
        float,
        typer.Option(
            "--new-arm-rows",
            min=0,
            help="An arm that joins the pool starts like the others, as if seen on so many requests; 0: with nothing.",
        ),
    ] = 0.0,
    columns: Annotated[
        str | None,
        typer.Option(
            "--columns",
            help="What contexts hold beside the text: some of load, queue, conversation, tools, prefix, time, or none; "
            "by default what the policy learned from, or, for one that starts from nothing, all but the time of day.",
        ),
    ] = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port; 0 for any that is free.")] = 8000,
    replicas: Annotated[
        int | None,
        typer.Option(
            "--replicas",
            min=1,
            help="Serve upstreams with so many processes, which Ray runs: each has a log of its own in --state and "
            "serves what all of them have learned. Needs the extra ray.",
        ),
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option("--key-file", help="Keys, one a line, of which a request must bear one.", metavar="FILE"),
    ] = None,
    requests_per_minute: Annotated[
        float | None,
        typer.Option(
            "--requests-per-minute",
            help="Most completions a minute of each key, or of each address where there are no keys; then 429.",
        ),
    ] = None,
    burst: Annotated[int, typer.Option("--burst", min=1, help="How many of them may come at once.")] = 10,
    sync_every: Annotated[
        int,
        typer.Option(
            "--sync-every",
            min=0,
            help="fsync the log after this many records; 0 leaves it to the system. A killed server loses nothing.",
        ),
    ] = 0,
    allow_unproven: Annotated[
        bool, typer.Option("--allow-unproven", help="Serve arms whose body fields the engine ignores.")
    ] = False,
    show_texts: Annotated[
        bool,
        typer.Option(
            "--show-texts",
            help="Let the live page show texts of requests and answers; without it, it shows figures only.",
        ),
    ] = False,
    spans: Annotated[
        bool,
        typer.Option(
            "--spans",
            help="An OpenTelemetry span a completion, with its arm; needs the extra otel and an exporter of yours.",
        ),
    ] = False,
    promote: Annotated[
        bool,
        typer.Option(
            "--promote",
            help="Let the policy go up a stage once it earns more than the incumbent beyond doubt; one that earns less "
            "goes back to shadow in any case.",
        ),
    ] = False,
    hindsight: Annotated[
        bool,
        typer.Option(
            "--hindsight",
            help="Replay the look-ups of a pool with a target on every answer, and learn them from all answers, by "
            "this machine's cost profile.",
        ),
    ] = False,
    conservative: Annotated[
        float | None,
        typer.Option(
            "--conservative",
            min=0,
            help="Let other arms serve only while the time that they lost against the incumbent, all answers together, "
            "stays below so many seconds.",
            metavar="SECONDS",
        ),
    ] = None,
    conservative_share: Annotated[
        float,
        typer.Option(
            "--conservative-share",
            min=0,
            max=1,
            help="Of the incumbent's time for all tokens, by which --conservative grows.",
        ),
    ] = 0.0,
    rounds: Annotated[
        Path | None,
        typer.Option(
            "--rounds",
            help="A further arm, per_round, of a pool with a target: at every round the choice that draftpick train "
            "--rounds saved.",
            metavar="FILE",
        ),
    ] = None,
    selector: Annotated[
        list[str] | None,
        typer.Option(
            "--selector",
            help="A further arm of a pool with a target: at every round this rule chooses, such as meta_sd or "
            "package.module:Class, with settings in brackets; may be repeated.",
            metavar="NAME",
        ),
    ] = None,
    settings: options.SetOption = None,
    policy_class: options.PolicyClassOption = None,
    seed: options.SeedOption = 0,
    cache: options.CacheOption = None,
    threads: options.ThreadsOption = None,
) -> None:
    """Put a policy in front of engines that run already: an OpenAI-compatible server that chooses, logs and learns.

    Every decision is in the log, with its propensity, before it is served. Start in shadow mode: nothing changes for
    anybody, and the log tells what the policy would have chosen.
    """
    from arms.optional_import import optional_import

    for module in ("fastapi", "uvicorn", "httptools"):
        optional_import(module, "serve")
    from speculative.serving.learning import forgetting
    from speculative.serving.served_arms import arm_names
    from speculative.serving.server import ServerSettings
    from speculative.serving.server import serve as run_server
    from speculative.serving.settings import ServiceSettings
    from speculative.serving.upstream_spec import UpstreamPoolSpec

    served = read_served_pool(pool, cache, threads)
    selectors = selectors_of(served, rounds, selector or (), cache)
    names = arm_names(served, selectors)
    service = ServiceSettings(
        incumbent=incumbent or names[0],
        stage=mode,
        share=share,
        exploration=exploration,
        propensity_floor=propensity_floor,
        rewards=rewards,
        reward_window_s=reward_window,
        default_reward=default_reward,
        promote=promote,
        conservative=conservative,
        conservative_share=conservative_share,
        show_texts=show_texts,
    )
    server = ServerSettings(
        folder=state,
        host=host,
        port=port,
        keys=() if key_file is None else _keys(key_file),
        requests_per_minute=requests_per_minute,
        burst=burst,
        columns=_columns(columns),
        spans=spans,
        slowest=slowest,
        sync_every=sync_every,
        allow_unproven=allow_unproven,
        seed=seed,
        relearn=relearn,
        new_arm_rows=new_arm_rows,
        hindsight=hindsight_costs(served, cache) if hindsight else None,
        selectors=selectors,
        pool_file=pool,
    )
    learns = forgetting(_policy(policy, settings or (), policy_class or (), seed), discount, window, drift_threshold)
    if replicas is None:
        run_server(served, learns, service, server, os.environ, options.say)
        return
    if not isinstance(served, UpstreamPoolSpec):
        raise ValueError("--replicas is for a pool of upstreams; an engine of one's own is one process: leave it out")
    from speculative.serving.ray_replicas import serve_replicas

    serve_replicas(served, learns, service, server, replicas, options.say)


def _policy(name: str, settings: "list[str] | tuple[()]", classes: "list[str] | tuple[()]", seed: int) -> "Policy":
    """Return a saved policy, or a new one of a name."""
    if Path(name).exists():
        if settings:
            raise ValueError("--set is for a policy that starts from nothing; a saved one keeps its settings")
        return load_one_policy(Path(name), classes)
    if classes:
        raise ValueError("--policy-class is for a saved policy, whose file names its class: leave it out")
    return policy_of(name, settings, seed)


def _columns(option: str | None) -> "tuple[ColumnGroup, ...] | None":
    from speculative.serving.request_columns import COLUMNS

    if option is None:
        return None
    asked = [] if option.strip() == "none" else [name.strip() for name in option.split(",")]
    unknown = [name for name in asked if name not in COLUMNS]
    if unknown:
        raise ValueError(f"--columns must be some of {', '.join(COLUMNS)}, or none, got {unknown[0]!r}")
    return tuple(group for group in COLUMNS if group in asked)


def _keys(file: Path) -> tuple[str, ...]:
    keys = tuple(line.strip() for line in read_text(file).splitlines() if line.strip())
    if not keys or not all(key.isascii() and key.isprintable() and len(key) >= 16 for key in keys):
        raise ValueError(
            f"--key-file {file} must hold one key or more, one a line, each of 16 ASCII characters or more"
        )
    return keys
