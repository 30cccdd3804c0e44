"""Learning from a decision log, off the path of the decisions."""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence
from itertools import groupby
from pathlib import Path

from arms.atomic_file import write_file
from arms.folder_lock import FolderLock
from bandits import checks
from bandits.data.full_information_data import FullInformationData
from bandits.data.logged_data import LoggedData
from bandits.online.checkpoint import CHECKPOINT, Checkpoint, policy_of, read_checkpoint, settings_of
from bandits.online.hindsight import HINDSIGHT, Hindsight, full_information
from bandits.online.log_table import logged_data
from bandits.online.records import LoggedDecision, LoggedReward
from bandits.online.segments import BEGINNING, Position, Record, read_record, read_records
from bandits.policies.parameters import UnknownPolicyClassError
from bandits.policies.policy import Policy

_Row = tuple[LoggedDecision, float] | Hindsight


class Learner:
    """Reads rewarded decisions in the order of their rewards and lets a policy learn from them, each once.

        learner = Learner(policy, "log", "learner", batch=100)
        while learner.step():
            agent.serve(learner.policy, learner.version)

    Policy and place in the log are saved together after every batch: a learner that was killed goes on after the last
    batch it saved, counts no decision twice and misses none. It may run in the process that writes the log, or in
    another. A policy with `exact_updates` ends where one fit to the whole log does, up to rounding; one for which the
    order matters, since it forgets, learns rewards and hindsights in the order of the log, whatever the batches.

    Nothing that was logged is lost when settings change: with `relearn` a policy of other settings learns the log from
    its beginning, and knows in the end what it would have known, had it learned so from the start.

    Args:
        policy: to begin with, where there is no checkpoint; left as it is.
        log_folder: of the `DecisionLog`.
        checkpoint: folder for the policy and the place; made if it is missing.
        batch: decisions learned from at once, >= 1.
        hindsight: arms that are learned from `Hindsight` records, each row of which shows all of them. Of their own
            rewards only those of failed pulls are learned, of which no such record tells; the others are passed over,
            so that no answer is learned twice, and answers logged without a record teach nothing of these arms. What
            records tell of other arms is left out.
        relearn: where the checkpoint is of a policy of another class or with other settings, or has learned an arm
            with hindsight that is now learned without, or the reverse, leave it and begin anew.

    Attributes:
        batch: see above.
        policy: what was learned so far. A step puts another object here and never changes this one, so that other
            threads may choose with it.
        n_learned: how many decisions it was learned from.

    Raises:
        RuntimeError: if another learner uses the checkpoint.
        ValueError: if the checkpoint is damaged, or holds a policy of another class or with other settings; from the
            next call on, if an arm that was learned with hindsight now is to be learned without, or the reverse.
    """

    def __init__(
        self,
        policy: Policy,
        log_folder: str | Path,
        checkpoint: str | Path,
        *,
        batch: int = 100,
        hindsight: Collection[str] = (),
        relearn: bool = False,
    ) -> None:
        self._log_folder, self._folder = Path(log_folder), Path(checkpoint)
        self.batch = checks.at_least(batch, 1, "batch")
        self.policy, self.n_learned = policy, 0
        self._position, self._relearns, self._hindsight = BEGINNING, relearn, frozenset(hindsight)
        self._learned_otherwise: frozenset[str] = frozenset()
        self._kept_arms: tuple[str, ...] | None = None
        self._lock = FolderLock(self._folder, "learner")
        try:
            if (self._folder / CHECKPOINT).exists():
                self._restore(policy)
        except BaseException:
            self._lock.close()
            raise

    @property
    def version(self) -> str:
        """What tells the present policy from earlier ones: how many decisions it was learned from."""
        return str(self.n_learned)

    def keep_arms(self, arm_names: Sequence[str], *, new_arm_rows: float = 0.0) -> None:
        """Let arms join and leave: from now on the policy knows these, and decisions for others are passed over.

        Args:
            arm_names: the arms there are from now on.
            new_arm_rows: 0: an arm that joins starts with no data; else with the mean of those that stay, as if it had
                been seen on so many rows; see `Policy.add_arm`.

        Raises:
            ValueError: if the policy cannot start an arm so, or names repeat; nothing is changed then.
            OSError: if it cannot be saved; the policy knows the arms nevertheless, and is saved with the next batch.
        """
        names, rows = checks.names(arm_names), checks.not_negative(new_arm_rows, "new_arm_rows")
        policy = with_arms(self.policy, names, rows)
        self._check_hindsight(policy)
        is_changed = policy.arm_names != self.policy.arm_names
        self.policy, self._kept_arms = policy, names
        if is_changed:
            self._save(policy, self._position, self.n_learned)

    def step(self, *, whole_batches: bool = True) -> int:
        """Read the next batch of rewarded decisions and hindsights, learn it and save; return how many were read.

        Args:
            whole_batches: wait until there is a whole batch, so that the batches do not depend on when this is
                called; else take what there is.

        Raises:
            ValueError: if the log is damaged, or holds what the policy cannot learn from, or `hindsight` has changed.
        """
        self._check_hindsight(self.policy)
        read: list[_Row] = []
        position = self._position
        for placed in read_records(self._log_folder, self._position):
            position = placed.end
            row = self._row(placed.record)
            if row is not None:
                read.append(row)
            if len(read) == self.batch:
                break
        if not read or (whole_batches and len(read) < self.batch):
            return 0
        policy, n_learned = self._taught(read)
        self._save(policy, position, self.n_learned + n_learned)
        self._position, self.n_learned, self.policy = position, self.n_learned + n_learned, policy
        return len(read)

    def _row(self, record: Record) -> _Row | None:
        """Return what a record teaches, or None."""
        if record["kind"] == HINDSIGHT and self._hindsight:
            return Hindsight.from_record(record).of_arms(self._hindsight)
        if record["kind"] != "rewarded":
            return None
        reward = LoggedReward.from_record(record)
        made = LoggedDecision.from_record(read_record(self._log_folder, reward.decided_at))
        is_told = made.decision.arm in self._hindsight and not reward.is_of_failed_pull
        return None if is_told else (made, reward.reward)

    def _taught(self, read: Sequence[_Row]) -> tuple[Policy, int]:
        """Return the policy that has learned these rows, and how many of them it did: of arms that have left, none."""
        rows = [row for row in read if self._teaches(row)]
        if not rows:
            return self.policy, 0
        policy = copy.deepcopy(self.policy)
        if policy.exact_updates:  # in any order: then two updates do
            rows.sort(key=_is_told)
        for is_told, group in groupby(rows, _is_told):
            run = list(group)
            policy.update(self._told(policy, run) if is_told else self._rewarded(run))
        return policy, len(rows)

    def _teaches(self, row: _Row) -> bool:
        """Return whether a row is of an arm that the policy knows."""
        if isinstance(row, Hindsight):
            names = self._kept_arms or self.policy.arm_names
            return not names or not row.rewards.keys().isdisjoint(names)
        return self._kept_arms is None or row[0].decision.arm in self._kept_arms

    def _rewarded(self, rows: Sequence[_Row]) -> LoggedData:
        pairs, kept = [row for row in rows if isinstance(row, tuple)], self._kept_arms
        data = logged_data([made for made, _ in pairs], [reward for _, reward in pairs], with_distributions=False)
        return data if kept is None else data.select_arms(kept)

    def _told(self, policy: Policy, rows: Sequence[_Row]) -> FullInformationData:
        told = [row for row in rows if isinstance(row, Hindsight)]
        names = self._kept_arms or policy.arm_names
        return full_information(told, names or tuple(dict.fromkeys(name for one in told for name in one.rewards)))

    def close(self) -> None:
        """Let the checkpoint go."""
        self._lock.close()

    def _save(self, policy: Policy, position: Position, n_learned: int) -> None:
        """Write the policy under a name of its own; the checkpoint that names it then takes effect at once."""
        name = f"policy-{n_learned}.safetensors"
        policy.save(self._folder / name)
        checkpoint = Checkpoint(name, n_learned, position, self._hindsight)
        write_file(self._folder / CHECKPOINT, checkpoint.to_json())
        for old in self._folder.glob("policy-*.safetensors"):
            if old.name != name:
                old.unlink()

    def _restore(self, policy: Policy) -> None:
        saved = read_checkpoint(self._folder)
        try:
            restored = policy_of(self._folder, saved, policy)
        except UnknownPolicyClassError:
            if self._relearns:
                return
            raise
        if settings_of(restored) != settings_of(policy):
            if self._relearns:
                return
            raise ValueError(
                f"{self._folder} holds a policy with the settings {settings_of(restored)}, got {settings_of(policy)}: "
                "use another checkpoint folder, or learn the log anew with relearn"
            )
        otherwise = (saved.hindsight ^ self._hindsight).intersection(restored.arm_names)
        if otherwise and self._relearns:
            return
        self._learned_otherwise = otherwise
        self.policy, self.n_learned, self._position = restored, saved.n_learned, saved.position

    def _check_hindsight(self, policy: Policy) -> None:
        """Reject arms of the policy that were learned with hindsight and now are not, or the reverse."""
        self._learned_otherwise &= frozenset(policy.arm_names)  # one that has left, perhaps to come back, begins anew
        if self._learned_otherwise:
            raise ValueError(
                f"hindsight must be of the arms that {self._folder} learned with it, got a change for "
                f"{', '.join(sorted(self._learned_otherwise))}: use another folder, or learn the log anew with relearn"
            )


def with_arms(policy: Policy, arm_names: Sequence[str], new_arm_rows: float = 0.0) -> Policy:
    """Return a copy of a policy that knows these arms: others join, those that are not named leave.

    Args:
        policy: one that knows no arms yet stays so.
        arm_names: the arms there are from now on.
        new_arm_rows: see `Learner.keep_arms`.

    Raises:
        ValueError: if the policy cannot start an arm so.
    """
    policy = copy.deepcopy(policy)
    staying = tuple(name for name in policy.arm_names if name in arm_names)
    if policy.arm_names:
        for name in arm_names:
            if name not in policy.arm_names:
                policy.add_arm(name, staying if new_arm_rows and staying else None, rows=new_arm_rows or None)
        for name in policy.arm_names:
            if name not in arm_names:
                policy.remove_arm(name)
    return policy


def _is_told(row: _Row) -> bool:
    return isinstance(row, Hindsight)
