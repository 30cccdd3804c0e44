"""The stored traces, priced: what every arm would have taken on every query, and what each draft writes alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from arms import Observation, Reference
from bandits import FullInformationData
from bandits.checks import Float64
from bandits.data.closed_folder import closed_manifest
from paper_parts.packing import texts_of
from paper_parts.targets import NO_DRAFT, TARGETS, PaperTarget, paper_target
from paper_parts.timed import TimedLabel, TimedRun, read_labels, read_runs
from rewards import Reward, TimeSaved
from speculative.collection.arm_plan import ArmPlan, plan_of_facts
from speculative.collection.replay import Replayer
from speculative.collection.trace import Trace
from speculative.collection.trace_store import KIND, read_trace_parts
from speculative.measuring.cost_profile import CostProfile

COSTS = "costs"
Texts = Mapping[str, Mapping[str, object]]


@dataclass(frozen=True)
class Side:
    """Traced queries.

    Attributes:
        traces: one a query.
        texts: by query, the columns of its texts' file: the target's text, and what drafts wrote alone.
    """

    traces: Sequence[Trace]
    texts: Texts

    @cached_property
    def domains(self) -> tuple[str, ...]:
        """Return each query's domain."""
        return tuple(trace.domain or "" for trace in self.traces)


@dataclass(frozen=True)
class Stored:
    """All that the experiments read.

    Attributes:
        sides: "train", "test", and, where they were traced, the test queries asked "otherwise".
        plans: what each arm of the pool does.
        profiles: seconds of a machine, by name.
        facts: of the pool and the target.
        target: which of the experiments' targets it is.
        runs: wall-clock runs of the arms on some test queries; none where they were not measured.
        label_seconds: of both kinds of label on some queries, a row a query, draft and length; none where they were not
            measured.
    """

    sides: Mapping[str, Side]
    plans: Mapping[str, ArmPlan]
    profiles: Mapping[str, CostProfile]
    facts: Mapping[str, object]
    target: PaperTarget
    runs: Sequence[TimedRun] = ()
    label_seconds: Sequence[TimedLabel] = ()

    def plan(self, arm: str) -> ArmPlan:
        """Return an arm of the pool.

        Raises:
            ValueError: if there is none of that name.
        """
        if arm not in self.plans:
            raise ValueError(f"the arm must be one of {', '.join(self.plans)}, got {arm!r}")
        return self.plans[arm]

    @property
    def costs(self) -> CostProfile:
        """Return the profile that prices where nothing else is said."""
        return self.profiles[self.target.main]

    def data(
        self, side: str, arms: Sequence[str], profile: str | None = None, reward: Reward | None = None
    ) -> FullInformationData:
        """Return what each arm would have brought on each query, replayed with a machine's seconds.

        Args:
            side: whose queries.
            arms: names, see `plan`.
            profile: of the machine; the target's main one by default.
            reward: by default the seconds saved over no draft.
        """
        own, plans = self.sides[side], [self.plan(arm) for arm in arms]
        costs = self.costs if profile is None else self.profiles[profile]
        rows = []
        for trace in own.traces:
            replayer = Replayer(trace, costs)
            texts = own.texts.get(trace.query_id, {})
            rows.append(tuple(_observed(replayer, arm, plan, texts) for arm, plan in zip(arms, plans, strict=True)))
        reward = reward or TimeSaved()
        return FullInformationData(
            np.stack([trace.context for trace in own.traces]),
            np.array([[reward(one) for one in row] for row in rows]),
            tuple(arms),
            costs=np.array([[one.seconds for one in row] for row in rows]),
            query_ids=tuple(trace.query_id for trace in own.traces),
            domains=own.domains,
            observations=tuple(rows),
            encoder=own.traces[0].encoder,
            cost_profiles=(costs.digest,),
        )

    def encode_s(self, side: str) -> Float64:
        """Return the seconds (n,) that each query's context took."""
        return np.array([trace.encode_s for trace in self.sides[side].traces])


def _observed(replayer: Replayer, arm: str, plan: ArmPlan, texts: Mapping[str, object]) -> Observation:
    trace, played, text = replayer.trace, replayer.play(plan), str(texts.get("text", ""))
    draft = plan.drafts[0][0]
    own = text if draft == NO_DRAFT else texts.get(f"own {draft}")
    return Observation(
        arm=arm,
        query_id=trace.query_id,
        text=text,
        n_tokens=len(trace.new_ids),
        seconds=played.seconds,
        proposed=played.proposed,
        accepted=played.accepted,
        own_text=None if own is None else str(own),
        reference=Reference(text, replayer.plain_s, len(trace.new_ids)),
    )


def read_stored(folder: Path, targets: Mapping[str, PaperTarget] = TARGETS) -> Stored:
    """Read what `make_traces.py` packed of one of some targets.

    Raises:
        FileNotFoundError: if a side or its texts are missing.
        ValueError: if the sides are of different targets or pools, or of a pool that the experiments do not know, or a
            side or what was timed is damaged or of another target; the message names it.
    """
    sides: dict[str, Side] = {}
    facts: Mapping[str, object] = {}
    for name in ("train", "test", *(["otherwise"] if (folder / "otherwise").is_dir() else [])):
        own = closed_manifest(folder / name, KIND).made_of
        for what in facts or own:
            if facts and own.get(what) != facts[what]:
                raise ValueError(
                    f"{folder / name} was traced with another {what} than {folder / 'train'}: all sides must be of one "
                    "target and pool; run make_traces.py again"
                )
        facts = own
        sides[name] = _read_side(folder, name)
    _check_same_queries(sides, folder)
    names = [str(name) for name in facts["arms"]]  # type: ignore[attr-defined]
    target = paper_target(names, targets)
    plans = {name: plan_of_facts(facts[f"arm {name}"]) for name in names}
    profiles = {
        path.stem: CostProfile.from_json(path.read_text(encoding="utf-8"))
        for path in sorted((folder / COSTS).glob("*.json"))
    }
    drafts = {draft for plan in plans.values() if plan is not None for draft, _ in plan.drafts} - {NO_DRAFT}
    for name, profile in profiles.items():
        faults = [*profile.faults(), *(f"it lacks {draft}" for draft in sorted(drafts - set(profile.drafts)))]
        if faults:
            raise ValueError(f"{folder / COSTS / name}.json cannot price traces: {'; '.join(faults)}; measure again")
    if target.main not in profiles:
        raise ValueError(f"{folder / COSTS} must hold {target.main}.json, a cost profile: run make_traces.py --costs")
    asked = set(sides["test"].texts)
    runs = read_runs(folder, facts["target"], asked, names)
    label_seconds = read_labels(folder, facts["target"], asked, drafts)
    known = {name: plan for name, plan in plans.items() if plan is not None}
    return Stored(sides, known, profiles, facts, target, runs, label_seconds)


def _read_side(folder: Path, name: str) -> Side:
    traces = [trace for part in read_trace_parts(folder / name) for trace in part]
    path = texts_of(folder, name)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing, which holds the texts of {folder / name}: pack both again")
    texts = {str(row.get("query_id")): row for row in pq.read_table(path).to_pylist()}
    if list(texts) != [trace.query_id for trace in traces]:
        raise ValueError(f"{path} must hold the texts of the queries in {folder / name}, in order: pack both again")
    return Side(traces, texts)


def _check_same_queries(sides: Mapping[str, Side], folder: Path) -> None:
    if "otherwise" not in sides:
        return
    asked, otherwise = ([trace.query_id for trace in sides[name].traces] for name in ("test", "otherwise"))
    if asked != otherwise:
        other = next((pair for pair in zip(asked, otherwise, strict=False) if pair[0] != pair[1]), None)
        told = f"{len(asked)} and {len(otherwise)} of them" if other is None else f"{other[0]!r} against {other[1]!r}"
        raise ValueError(f"{folder / 'otherwise'} must hold the queries of {folder / 'test'}, in order, got {told}")


def first_queries(stored: Stored, n: int) -> Stored:
    """Return every `len / n`-th query of each side, at most `n`, for a quick look."""

    def fewer(side: Side) -> Side:
        step = max(1, len(side.traces) // n)
        return replace(side, traces=side.traces[::step][:n])

    return replace(stored, sides={name: fewer(side) for name, side in stored.sides.items()})
