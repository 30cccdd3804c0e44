"""A saved policy: one safetensors file with JSON metadata. Reading one can never run code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from arms.atomic_file import atomic_file
from bandits.policies.policy import Policy, PolicyState

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT_VERSION = 1
FILE_NAME = "policy.safetensors"
_KEY = "draftpick_policy"


def policy_path(path: str | Path) -> Path:
    """Return a saved policy's file: `path` itself if it ends in .safetensors, else that folder's file."""
    path = Path(path)
    return path if path.suffix == ".safetensors" else path / FILE_NAME


def save_policy(policy: Policy, path: str | Path) -> Path:
    """Write `policy` to a folder or a .safetensors file, whole or not at all, and return the file's path.

    Raises:
        TypeError: if a constructor argument is none of: number, text, bool, None, list of these, settings
            dataclass, policy.
    """
    file = policy_path(path)
    state = policy.state
    header = {
        "format_version": FORMAT_VERSION,
        **_described(policy),
        "arm_names": list(policy.arm_names),
        "n_features": state.n_features if state else None,
        "encoder": state.encoder if state else None,
    }
    tensors: dict[str, np.ndarray] = {}
    if state is not None:
        tensors = {f"per_arm.{name}": np.ascontiguousarray(array) for name, array in state.per_arm.items()}
        tensors |= {f"shared.{name}": np.ascontiguousarray(array) for name, array in state.shared.items()}
    content = save(tensors, metadata={_KEY: json.dumps(header)})
    with atomic_file(file) as out:
        out.write(content)
    return file


def load_policy(
    path: str | Path,
    *,
    classes: Sequence[type[Policy]] = (),
    arm_names: Sequence[str] | None = None,
    n_features: int | None = None,
) -> Policy:
    """Read a saved policy of a built-in class, or of one of `classes`.

    Args:
        path: the file, or the folder that holds it.
        classes: policy classes of your own that the file may hold.
        arm_names: if given, the arms it must have been saved for (in any order).
        n_features: if given, the context size it must have been saved for.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged, from a newer version, of an unknown class, or for other arms or
            contexts.
    """
    file = policy_path(path)
    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist: train a policy and save it there first")
    header, tensors = _read(file)
    try:
        policy = _built(header, classes)
        if not isinstance(header["arm_names"], list):
            raise ValueError(f"arm_names must be a list, got {header['arm_names']!r}")
        saved_arms = tuple(cast("list[str]", header["arm_names"]))
        saved_features = header["n_features"]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file} cannot be loaded: {error}") from error
    if arm_names is not None and set(arm_names) != set(saved_arms):
        raise ValueError(
            f"{file} was saved for the arms {', '.join(saved_arms)}, not for {', '.join(arm_names)}: train it again"
        )
    if n_features is not None and saved_features is not None and saved_features != n_features:
        raise ValueError(f"{file} was saved for contexts of size {saved_features}, not {n_features}")
    if saved_features is not None:
        policy.state = _state(file, policy, header, tensors)
    return policy


def built_in_policies() -> dict[str, type[Policy]]:
    """Return the policy classes that `load_policy` knows, by name."""
    from bandits import policies

    table = (
        policies.Uniform,
        policies.BestFixedArm,
        policies.EpsilonGreedy,
        policies.Softmax,
        policies.UCB1,
        policies.LinUCB,
        policies.HybridLinUCB,
        policies.LinTS,
        policies.SquareCB,
        policies.KNN,
        policies.Reinforce,
    )
    return {policy.__name__: policy for policy in table}


def _read(file: Path) -> tuple[dict[str, object], dict[str, np.ndarray]]:
    try:
        with safe_open(file, framework="numpy") as content:
            text = (content.metadata() or {}).get(_KEY)
            tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118  no mapping
    except (SafetensorError, OSError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} is damaged or cut off ({error}): train the policy and save it again") from error
    if text is None:
        raise ValueError(f"{file} is not a saved policy (no '{_KEY}' entry in its metadata)")
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} has damaged metadata ({error})") from error
    if not isinstance(header, dict) or not isinstance(header.get("format_version"), int):
        raise ValueError(f"{file} has damaged metadata: no format_version")
    if header["format_version"] > FORMAT_VERSION:
        raise ValueError(
            f"{file} has format version {header['format_version']}, this draftpick reads up to "
            f"{FORMAT_VERSION}: upgrade draftpick"
        )
    return header, tensors


def _described(policy: Policy) -> dict[str, object]:
    """Return class name and parameters as JSON values; a policy inside another is described the same way."""
    return {
        "class": type(policy).__name__,
        "params": {name: _to_json(type(policy).__name__, name, value) for name, value in policy.get_params().items()},
    }


def _to_json(owner: str, name: str, value: object) -> object:
    if isinstance(value, Policy):
        return {"policy": _described(value)}
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{owner} cannot be saved: argument {name} = {value!r} is not a JSON value") from error
    return value


def _built(description: Mapping[str, object], classes: Sequence[type[Policy]]) -> Policy:
    table = built_in_policies() | {policy.__name__: policy for policy in classes}
    name = description["class"]
    if not isinstance(name, str) or name not in table:
        raise ValueError(f"class {name!r} is not built in: load it with YourClass.load(path), or pass classes=")
    params = description["params"]
    if not isinstance(params, dict):
        raise ValueError("params must be a JSON object")
    values: dict[str, object] = {}
    for key, value in params.items():
        nested = isinstance(value, dict) and set(value) == {"policy"}
        values[key] = _built(value["policy"], classes) if nested else value
    return table[name](**values)  # type: ignore[arg-type]  # the class checks its own arguments


def _state(file: Path, policy: Policy, header: dict[str, object], tensors: dict[str, np.ndarray]) -> PolicyState:
    """Return the saved state, shaped as the class itself shapes it for these arms and this context size."""
    arm_names = tuple(cast("list[str]", header["arm_names"]))
    n_features, encoder = header["n_features"], header.get("encoder")
    if type(n_features) is not int or n_features < 1 or not isinstance(encoder, str | None):
        raise ValueError(f"{file} has damaged metadata: n_features {n_features!r}, encoder {encoder!r}")
    try:
        policy.start(arm_names, n_features, encoder)
    except (MemoryError, TypeError, ValueError) as error:
        raise ValueError(f"{file} has damaged metadata: {error}") from error
    state = policy.learned
    expected = {f"per_arm.{name}": array for name, array in state.per_arm.items()}
    expected |= {f"shared.{name}": array for name, array in state.shared.items()}
    if set(expected) != set(tensors):
        raise ValueError(f"{file} must hold the arrays {sorted(expected)}, got {sorted(tensors)}")
    grown: set[int] = set()  # lengths of axes that grow with the rows learned from; all must be one
    for name, array in expected.items():
        saved = tensors[name]
        sides = list(zip(saved.shape, array.shape, strict=False))
        grown |= {have for have, want in sides if want == 0}
        fits = saved.ndim == array.ndim and all(want in (have, 0) for have, want in sides) and len(grown) <= 1
        if not fits or saved.dtype != array.dtype:
            raise ValueError(
                f"{file}: {name} must be {array.dtype} of shape {array.shape} for {len(arm_names)} arms and "
                f"{n_features} features, got {saved.dtype} of shape {saved.shape}"
            )
        if saved.dtype.kind == "f" and not np.isfinite(saved).all():
            raise ValueError(f"{file}: {name} must be finite")
        group, key = name.split(".", 1)
        getattr(state, group)[key] = saved
    return state
