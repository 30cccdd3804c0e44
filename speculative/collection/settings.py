"""How a collection goes about prompts that are too long, costs that are noisy, and the drafts' own answers."""

from dataclasses import dataclass

from arms import Executor, ThreadExecutor
from arms.checks import at_least
from speculative.collection.long_prompts import TooLong


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectSettings:
    """The options of `collect`.

    Attributes:
        own_texts: after the traces, also let each draft model write its own answer, which `RougeL` and the like compare
            with the target's; without it, those that are there are kept.
        overlaps: also look at how much probability each draft's distribution shares with the target's at every token,
            for rewards of sampled texts; costs a pass of each over the text, and must be asked for when a folder is
            begun.
        allow_noisy_costs: go on with a profile that is too noisy or contradicts itself, with a warning.
        too_long: what to do with a prompt that does not fit the target's context with its answer: "refuse" it before
            anything is generated, "truncate" it to its last tokens, or "skip" its query. `collect.json` says which.
        executor: traces the parts, in processes or Ray actors, each with a pool of its own, which it loads once; None
            traces them here. The pool must be one that was read from a file (`Pool.load`), whose models every worker
            can reach. Threads are refused: they would share one pool.
        threads: torch's threads in each worker that loads a pool, set before it does, >= 1; None leaves them to torch.
            This process keeps its own.

    Raises:
        ValueError: if the executor runs threads, or `threads` breaks its rule.
    """

    own_texts: bool = False
    overlaps: bool = False
    allow_noisy_costs: bool = False
    too_long: TooLong = "refuse"
    executor: Executor | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.executor, ThreadExecutor):
            raise ValueError(
                "the executor of a collection must give each worker a pool of its own, got threads, which would share "
                "one: take processes (ProcessExecutor) or ray (RayExecutor)"
            )
        if self.threads is not None:
            at_least(self.threads, 1, "threads")


DEFAULT = CollectSettings()
