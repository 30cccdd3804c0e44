"""The result of `simulate`: regret over decisions, for every seed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bandits.evaluation import Estimate

FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Simulation:
    """What a policy that learns as it goes lost against the best arm of each situation.

    Attributes:
        policy, environment: names of their classes.
        n_decisions, update_every: of each run.
        seeds: one run each.
        decisions: after how many decisions the figures below were taken.
        cumulative_regret: for each seed, the sum of (best arm's mean reward - chosen arm's mean reward) so far.
        mean_reward: for each seed, mean reward received in the whole run, noise included.
        arm_shares: how often each arm was chosen, over all seeds.
    """

    policy: str
    environment: str
    n_decisions: int
    update_every: int
    seeds: tuple[int, ...]
    decisions: tuple[int, ...]
    cumulative_regret: tuple[tuple[float, ...], ...]
    mean_reward: tuple[float, ...]
    arm_shares: dict[str, float]

    def regret_curve(self, confidence: float = 0.95) -> list[Estimate]:
        """Return the mean cumulative regret at each of `decisions`, with a t interval over seeds.

        With one seed the interval is the value itself: nothing is known of its spread.
        """
        from scipy.stats import t

        curves = np.array(self.cumulative_regret)  # (seeds, points)
        mean, n = curves.mean(axis=0), len(curves)
        spread = np.zeros_like(mean)
        if n > 1:
            spread = t.ppf(0.5 + confidence / 2, n - 1) * curves.std(axis=0, ddof=1) / np.sqrt(n)
        return [
            Estimate(float(m), float(m - s), float(m + s)) for m, s in zip(mean.tolist(), spread.tolist(), strict=True)
        ]

    def to_text(self) -> str:
        """Return what the reader wants first, in a line."""
        regret = self.regret_curve()[-1]
        return (
            f"{self.policy} in {self.environment}: cumulative regret {regret} after {self.n_decisions} decisions, "
            f"mean reward {np.mean(self.mean_reward):.3f}, {len(self.seeds)} seed(s)"
        )

    def to_json(self) -> str:
        """Return everything as JSON; `from_json` reads it back."""
        return json.dumps({"format_version": FORMAT_VERSION, **asdict(self)}, indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Simulation:
        """Read what `to_json` wrote.

        Raises:
            ValueError: if the text is damaged or from a newer version.
        """
        try:
            content = json.loads(text)
            version = content.pop("format_version")
            if version > FORMAT_VERSION:
                raise ValueError(f"format version {version} is newer than {FORMAT_VERSION}: upgrade draftpick")
            content["cumulative_regret"] = tuple(tuple(curve) for curve in content["cumulative_regret"])
            for name in ("seeds", "decisions", "mean_reward"):
                content[name] = tuple(content[name])
            return cls(**content)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"not a saved simulation: {error}") from error

    def save(self, path: str | Path) -> None:
        """Write the JSON to a file, whole or not at all."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.tmp")
        temporary.write_text(self.to_json(), encoding="utf-8")
        temporary.replace(path)

    @classmethod
    def load(cls, path: str | Path) -> Simulation:
        """Read what `save` wrote."""
        try:
            return cls.from_json(Path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path} is {error}") from error
