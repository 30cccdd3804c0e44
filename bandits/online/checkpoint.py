"""What a learner leaves on the disk: a policy, and the place in the log up to which it has learned."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from arms.input_file import read_text
from bandits.online.segments import Position
from bandits.policies import load_policy
from bandits.policies.policy import Policy

CHECKPOINT = "checkpoint.json"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What stands in a learner's folder.

    Attributes:
        policy: name of its file.
        n_learned: how many decisions it was learned from.
        position: in the log, after the last record that was learned.
        hindsight: arms that were learned from `Hindsight` records.
    """

    policy: str
    n_learned: int
    position: Position
    hindsight: frozenset[str]

    def to_json(self) -> str:
        """Return it as text."""
        place = {"segment": self.position.segment, "offset": self.position.offset}
        values = {"policy": self.policy, "n_learned": self.n_learned, "position": place}
        return json.dumps(values | {"hindsight": sorted(self.hindsight)})


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read the checkpoint of a learner's folder.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is damaged.
    """
    file = folder / CHECKPOINT
    if not file.exists():
        raise FileNotFoundError(f"{file} does not exist: no learner has saved there yet")
    try:
        saved = json.loads(read_text(file))
        place = saved["position"]
        position = Position(int(place["segment"]), int(place["offset"]))
        return Checkpoint(str(saved["policy"]), int(saved["n_learned"]), position, frozenset(saved["hindsight"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{file} is damaged ({error!r}): delete the folder to learn the log anew") from error


def policy_of(folder: Path, checkpoint: Checkpoint, like: Policy) -> Policy:
    """Return the policy of a checkpoint.

    Args:
        folder: of the learner.
        checkpoint: read there.
        like: whose classes it may have, those of the policies inside included.

    Raises:
        FileNotFoundError: if it has been replaced since.
        UnknownPolicyClassError: if it is of another class.
        ValueError: if its file is damaged.
    """
    return load_policy(folder / checkpoint.policy, classes=_classes(like))


def settings_of(policy: Policy) -> dict[str, object]:
    """Return class and arguments, those of a policy inside included, without arms: they may be known or not."""
    values = policy.get_params()
    values.pop("arm_names", None)
    inner = {name: settings_of(value) if isinstance(value, Policy) else value for name, value in values.items()}
    return {"class": type(policy).__name__} | inner


def _classes(policy: Policy) -> tuple[type[Policy], ...]:
    inner = [value for value in policy.get_params().values() if isinstance(value, Policy)]
    return (type(policy), *(one for value in inner for one in _classes(value)))
