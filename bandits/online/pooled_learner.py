"""What several learners, each of a log of its own, know together."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bandits.online.checkpoint import Checkpoint, policy_of, read_checkpoint
from bandits.online.learner import Learner, with_arms
from bandits.policies import merge
from bandits.policies.policy import Policy

LOGGER = logging.getLogger(__name__)
_TRIES = 5  # at a checkpoint that is replaced while it is read


class PooledLearner:
    """Learns from one log as a `Learner` does, and adds what others have learned from theirs.

        learner = PooledLearner(policy, "a/log", "a/learner", lambda: [Path("b/learner")])
        while learner.step():
            agent.serve(learner.policy, learner.version)

    Each step reads what the others have saved and adds it up, which is exact (see `bandits.policies.merge`): `policy`
    is the one that saw the rows of all. A checkpoint holds the rows of its own log alone, so that none is ever counted
    twice; a learner whose process is gone counts with what it has saved.

    Args:
        policy: to begin with; what it has learned counts once, however many learners begin with it. It knows its arms.
        log_folder: of the own log.
        checkpoint: the own folder, see `Learner`.
        others: gives the checkpoint folders of the others, each time anew. One that holds nothing yet is passed over,
            and so, with a warning to this module's logger, is one whose policy cannot be merged with this one.
        batch: see `Learner`.
        relearn: see `Learner`.

    Attributes:
        batch: see `Learner`.
        policy: what all of them have learned so far, another object after each change.
        n_learned: how many decisions it was learned from, beside those that `policy` began with.

    Raises:
        RuntimeError: if another learner uses the checkpoint, or the policy knows no arms.
        ValueError: if what the policy learns is no sum over rows, or for what `Learner` says.
    """

    def __init__(
        self,
        policy: Policy,
        log_folder: str | Path,
        checkpoint: str | Path,
        others: Callable[[], Iterable[Path]],
        *,
        batch: int = 100,
        relearn: bool = False,
    ) -> None:
        self._begun_with, self._others = merge([policy]), others
        without_rows = policy.clone()
        without_rows.start(policy.arm_names, policy.learned.n_features, policy.learned.encoder)
        self._learner = Learner(without_rows, log_folder, checkpoint, batch=batch, relearn=relearn)
        self.batch = self._learner.batch
        self._known: dict[Path, _Saved] = {}
        self._read_others()
        self._add_up()

    @property
    def version(self) -> str:
        """What tells the present policy from earlier ones: how many decisions it was learned from."""
        return str(self.n_learned)

    def keep_arms(self, arm_names: Sequence[str], *, new_arm_rows: float = 0.0) -> None:
        """Let arms join and leave, see `Learner.keep_arms`.

        Raises:
            ValueError: if `new_arm_rows` is not 0: each learner would start the arm with rows of its own.
        """
        if new_arm_rows:
            raise ValueError(f"new_arm_rows must be 0 where several learn together, got {new_arm_rows:g}: leave it out")
        self._learner.keep_arms(arm_names)
        self._add_up()

    def step(self, *, whole_batches: bool = True) -> int:
        """Read the next batch of the own log, and what others have saved; return how many decisions are new.

        Args:
            whole_batches: see `Learner.step`; what others have saved is taken in any case.

        Raises:
            ValueError: see `Learner.step`.
        """
        n_read = self._learner.step(whole_batches=whole_batches)
        n_new = n_read + self._read_others()
        if n_new:
            self._add_up()
        return n_new

    def close(self) -> None:
        """Let the checkpoint go."""
        self._learner.close()

    def _read_others(self) -> int:
        """Take what others have saved since; return how many decisions they learned it from."""
        n_new = 0
        for folder in self._others():
            before = self._known.get(folder)
            try:
                read = _read(folder, self._learner.policy, before)
            except FileNotFoundError:  # nothing is saved there yet
                continue
            if read is not before:
                self._known[folder] = read
                n_new += read.n_more_than(before)
        return n_new

    def _add_up(self) -> None:
        own = self._learner.policy
        n_learned, policies = self._learner.n_learned, [self._begun_with]
        for saved in self._known.values():
            if saved.policy is not None:
                n_learned += saved.checkpoint.n_learned
                policies.append(saved.policy)
        self.policy = merge([own, *(with_arms(policy, own.arm_names) for policy in policies)])
        self.n_learned = n_learned


@dataclass(frozen=True, slots=True)
class _Saved:
    """What another learner has saved; no policy where it cannot be merged."""

    checkpoint: Checkpoint
    policy: Policy | None

    def n_more_than(self, before: _Saved | None) -> int:
        """Return how many decisions it has learned since; one that began anew has learned all of them."""
        n = 0 if self.policy is None else self.checkpoint.n_learned
        n_before = 0 if before is None or before.policy is None else before.checkpoint.n_learned
        return n - n_before if n >= n_before else n


def _read(folder: Path, own: Policy, before: _Saved | None) -> _Saved:
    """Return what is saved in a folder now: `before` itself where nothing has changed.

    Raises:
        FileNotFoundError: if nothing is.
    """
    for _ in range(_TRIES):
        checkpoint = read_checkpoint(folder)
        if before is not None and checkpoint == before.checkpoint:
            return before
        try:
            policy = policy_of(folder, checkpoint, own)
            merge([own, with_arms(policy, own.arm_names)])
        except FileNotFoundError:  # replaced by a later one meanwhile
            continue
        except ValueError as error:
            LOGGER.warning("what %s holds is left out: %s", folder, error)
            return _Saved(checkpoint, None)
        return _Saved(checkpoint, policy)
    raise FileNotFoundError(f"{folder}: the policy that its checkpoint names is missing")
