"""Options that several commands share, and how a command reports."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from speculative.cli.progress import busy, progress

if TYPE_CHECKING:
    from speculative.measuring.cost_profile import CostProfile
    from speculative.pools.pool import Pool

PoolOption = Annotated[
    Path,
    typer.Option("--pool", help="Pool file (TOML): target, arms and encoder.", metavar="POOL.toml"),
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything random.")]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the result on standard output as JSON and nothing else.")
]
ThreadsOption = Annotated[
    int | None, typer.Option("--threads", min=1, help="Threads of torch; by default torch's own choice.")
]
DeviceOption = Annotated[
    str | None,
    typer.Option("--device", help="Device of all models, such as cuda; the pool file's by default.", metavar="DEVICE"),
]
CacheOption = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        help="Folder of converted models and measured costs; by default ~/.cache/draftpick.",
        metavar="FOLDER",
    ),
]
DEFAULT_POOL = Path("pool.toml")


def start_torch(threads: int | None) -> None:
    """Make sure that what runs models is installed, and set torch's threads.

    Raises:
        ImportError: naming the extra that brings what is missing.
    """
    from arms.optional_import import optional_import

    torch = optional_import("torch", "llm")
    optional_import("transformers", "llm").utils.logging.disable_progress_bar()
    if threads is not None:
        torch.set_num_threads(threads)


def open_pool(path: Path, cache: Path | None, device: str | None = None) -> "Pool":
    """Read a pool file and load its models, on another device than it names where one is given.

    Raises:
        ValueError: see `read_pool_spec` and `Pool.of`.
    """
    from speculative.pools.pool import Pool
    from speculative.pools.spec import read_pool_spec

    spec = read_pool_spec(path)
    if device is not None:
        spec = spec.model_copy(update={"device": device})
    with busy("loading models"):
        return Pool.of(spec, cache_folder(cache))


def pool_costs(pool: "Pool", cache: Path | None, refresh: bool = False) -> "CostProfile":
    """Return the pool's cost profile, measured where none is stored."""
    from speculative.measuring.cost_profile import cached_costs

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


def cache_folder(cache: Path | None) -> Path:
    """Return the folder asked for, or the default one."""
    from speculative.models.settings import DEFAULT_CACHE

    return cache or DEFAULT_CACHE


def report(result: Mapping[str, object], text: str, as_json: bool) -> None:
    """Print a result on standard output: as JSON, or as text for people."""
    typer.echo(json.dumps(result, indent=1) if as_json else text)


def say(line: str) -> None:
    """Print a line for people on standard error."""
    typer.echo(line, err=True)
