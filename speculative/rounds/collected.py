"""What rounds are learned from: the traces, fixed arms and costs of a folder that collect wrote."""

from dataclasses import dataclass
from pathlib import Path

from speculative.collection.arm_plan import ArmPlan, plan_of_facts
from speculative.collection.priced_folder import made_of, stored_costs
from speculative.collection.trace import Trace
from speculative.collection.trace_store import TRACES, read_trace_parts
from speculative.measuring.cost_profile import CostProfile


@dataclass(frozen=True, slots=True)
class CollectedRounds:
    """Traced texts and what playing them needs.

    Attributes:
        traces: of the folder's queries.
        arms: name to plan of each fixed arm; rules are left out, because each of their rounds is one of a fixed arm.
        costs: the profile that priced the folder.
        target: digest of what the target was; of its drafts, the arms' own.
        target_name: the last part of the target's name, wherever its files lie.
    """

    traces: list[Trace]
    arms: dict[str, ArmPlan]
    costs: CostProfile
    target: object
    target_name: str | None = None

    @classmethod
    def read(cls, folder: str | Path) -> "CollectedRounds":
        """Read a finished collection.

        Raises:
            FileNotFoundError: if it holds no traces.
            ValueError: if it is not finished or damaged, was not written by collect, or has no cost profile.
        """
        folder = Path(folder)
        facts, costs = made_of(folder), stored_costs(folder)
        names = facts.get("arms")
        if not isinstance(names, list) or costs is None:
            raise ValueError(f"{folder} was not written by draftpick collect, or not priced: collect it again")
        plans = {str(name): plan_of_facts(facts.get(f"arm {name}")) for name in names}
        arms = {name: plan for name, plan in plans.items() if plan is not None and len(plan.drafts) == 1}
        if not arms:
            raise ValueError(f"{folder}: its manifest names no fixed arm to choose among: collect with one")
        traces = [trace for part in read_trace_parts(folder / TRACES) for trace in part]
        name = facts.get("target_name")
        return cls(traces, arms, costs, facts.get("target"), name if isinstance(name, str) else None)

    def check_fits(self, other: "CollectedRounds") -> None:
        """Reject held-out rounds that were not collected with the same pool, or share a text.

        Raises:
            ValueError: if targets, arms or encoders differ, or a prompt is in both.
        """
        if self.target != other.target or self.arms != other.arms:
            raise ValueError("training and held-out rounds must be of one target and the same arms: collect both alike")
        known = {trace.prompt_ids for trace in self.traces}
        n_shared = sum(trace.prompt_ids in known for trace in other.traces)
        if n_shared:
            raise ValueError(f"{n_shared} held-out prompts are training prompts too: held-out prompts must be others")
