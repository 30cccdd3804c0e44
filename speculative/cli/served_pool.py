"""What `draftpick serve` serves: a pool of upstreams or of one's own, and what chooses in it at every round."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from arms.input_file import read_text
from speculative.cli import options
from speculative.cli.plugins import selector_of
from speculative.cli.rounds import round_selector

if TYPE_CHECKING:
    from speculative.measuring.cost_profile import CostProfile
    from speculative.pools.pool import Pool
    from speculative.protocols.selector import Selector
    from speculative.serving.upstream_spec import UpstreamPoolSpec

PER_ROUND = "per_round"
"""Name of the arm that chooses at every round by what was saved."""


def selectors_of(
    served: "UpstreamPoolSpec | Pool", rounds: Path | None, rules: Sequence[str], cache: Path | None
) -> "dict[str, Selector]":
    """Return what chooses at every round, by the name of the arm that it is.

    Raises:
        ValueError: if the pool has no target of its own, or a file, a name or a setting is wrong.
    """
    from speculative.serving.upstream_spec import UpstreamPoolSpec

    if rounds is None and not rules:
        return {}
    if isinstance(served, UpstreamPoolSpec):
        raise ValueError("--rounds and --selector need a pool with a target of its own: leave them out")
    from speculative.selectors.arm_subset import ArmSubset  # it needs torch, upstreams do not

    found = {} if rounds is None else {PER_ROUND: round_selector(rounds, served, cache)}
    for entry in rules:
        if not (entry.isascii() and entry.isprintable() and len(entry) <= 100):  # a header of each answer holds it
            raise ValueError(f"--selector must have at most 100 characters, all of them ASCII, got {entry!r:.200}")
        if entry in found:
            raise ValueError(f"--selector {entry}: an arm before it has this name: give each once")
        found[entry] = ArmSubset(selector_of(entry, list(served.arms)), range(len(served.arms)))  # others may join
    return found


def hindsight_costs(served: "UpstreamPoolSpec | Pool", cache: Path | None) -> "CostProfile":
    """Return the cost profile that answers are replayed by.

    Raises:
        ValueError: if the pool has no target of its own.
    """
    from speculative.serving.upstream_spec import UpstreamPoolSpec

    if isinstance(served, UpstreamPoolSpec):
        raise ValueError("--hindsight needs a pool with a target of its own, whose tokens are known: leave it out")
    return options.pool_costs(served, cache)


def read_served_pool(file: Path, cache: Path | None, threads: int | None) -> "UpstreamPoolSpec | Pool":
    """Read a pool of upstreams, or load a target with its drafts, whichever the file holds."""
    from speculative.serving.upstream_spec import read_upstream_pool

    try:
        has_target = "target" in tomllib.loads(read_text(file))
    except (OSError, ValueError, RecursionError):
        has_target = False  # the reader below says what is wrong
    if not has_target:
        return read_upstream_pool(file)
    options.start_torch(threads)
    return options.open_pool(options.read_spec(file), cache)
