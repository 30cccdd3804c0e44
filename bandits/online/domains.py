"""What was chosen, what it earned and how long it took, by the domains of the queries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from bandits.online.segments import read_records
from bandits.statistics.table import Table

NO_DOMAIN = "(none)"


@dataclass(slots=True)
class ServedDomain:
    """The decisions of one domain.

    Attributes:
        chosen: how many of them took each arm.
        n_rewarded: of them.
        n_failed: answers that were not given, or not to the end.
        reward: sum of the rewards.
        seconds: of the answers whose tokens are known.
        n_tokens: of these.
    """

    chosen: Counter[str] = field(default_factory=Counter)
    n_rewarded: int = 0
    n_failed: int = 0
    reward: float = 0.0
    seconds: float = 0.0
    n_tokens: int = 0

    @property
    def mean_reward(self) -> float | None:
        """The mean of the rewards; None without any."""
        return self.reward / self.n_rewarded if self.n_rewarded else None

    @property
    def ms_per_token(self) -> float | None:
        """Milliseconds for each token, all answers together; None where none was measured."""
        return 1000 * self.seconds / self.n_tokens if self.n_tokens else None

    def take(self, reward: float, seconds: float | None = None, n_tokens: int = 0, *, failed: bool = False) -> None:
        """Take the end of one of the decisions.

        Args:
            reward: of it.
            seconds: of its answer; None where they are not known.
            n_tokens: of its answer.
            failed: whether the arm failed.
        """
        self.reward += reward
        self.n_rewarded += 1
        self.n_failed += failed
        if seconds is not None and n_tokens:
            self.seconds += seconds
            self.n_tokens += n_tokens

    def to_dict(self) -> dict[str, object]:
        """Give the figures as JSON values."""
        figures = {"reward": self.mean_reward, "ms_per_token": self.ms_per_token, "failed": self.n_failed}
        return {"decisions": self.chosen.total(), "chosen": dict(self.chosen), **figures}


def served_domains(folder: str | Path) -> dict[str | None, ServedDomain]:
    """Return the decisions of a log by domain, in the order in which the domains came; None for those without one.

    Decisions that were dropped are left out. It reads while another process writes, each record once.

    Args:
        folder: of the log.

    Raises:
        ValueError: if the log is damaged.
    """
    found: dict[str | None, ServedDomain] = {}
    waiting: dict[int, tuple[str | None, str]] = {}
    for placed in read_records(Path(folder)):
        record = cast("dict[str, Any]", placed.record)  # its checksum vouches for the types
        if record["kind"] == "decided":
            domain, arm = waiting[record["number"]] = record.get("domain"), record["arm"]
            found.setdefault(domain, ServedDomain()).chosen[arm] += 1
        elif record["kind"] in ("rewarded", "dropped") and record["number"] in waiting:
            domain, arm = waiting.pop(record["number"])
            if record["kind"] == "dropped":
                found[domain].chosen[arm] -= 1
                continue
            seen = record["observation"] or {}
            failed = seen.get("failure") is not None
            found[domain].take(record["reward"], seen.get("seconds"), seen.get("n_tokens") or 0, failed=failed)
    return found


def domains_table(domains: Mapping[str | None, ServedDomain]) -> Table:
    """Return a line a domain: decisions, what was chosen, mean reward, milliseconds a token."""
    lines = [
        (
            domain or NO_DOMAIN,
            str(one.chosen.total()),
            _shares(one),
            _figure(one.mean_reward),
            _figure(one.ms_per_token),
        )
        for domain, one in domains.items()
    ]
    return Table(
        title="What was served, by domain",
        headings=("domain", "decisions", "chosen", "reward", "ms a token"),
        lines=tuple(lines),
        left=frozenset({"chosen"}),
    )


def _shares(domain: ServedDomain) -> str:
    """Say which share of the decisions each arm took, the largest first."""
    n = max(1, domain.chosen.total())
    return ", ".join(f"{arm} {count / n:.0%}" for arm, count in domain.chosen.most_common() if count)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
