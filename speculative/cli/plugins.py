"""What an option names, made: a policy, estimators, and the classes that saved policies may be of."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from arms.input_file import read_bytes
from arms.named_call import listed, read_call

if TYPE_CHECKING:
    from bandits import ContextEncoder, Policy
    from bandits.off_policy.estimators import OffPolicyEstimator
    from speculative.protocols.drafting_rule import EngineArm
    from speculative.protocols.selector import Selector


@contextmanager
def users_fault(option: str) -> Iterator[None]:
    """Turn a wrong type, which plug-ins and settings raise on purpose, into what bad input raises.

    Args:
        option: what the user gave.

    Raises:
        ValueError: instead of a TypeError.
    """
    try:
        yield
    except TypeError as error:
        raise ValueError(f"{option}: {error}") from error


def policy_of(name: str, settings: Sequence[str], seed: int) -> "Policy":
    """Build an unfitted policy.

    Args:
        name: a name of `POLICIES`, or "package.module:Class", some with settings: `lin_ucb(ucb_width=0.5)`.
        settings: NAME=VALUE each; see `settings_of`.
        seed: for a policy that draws while it learns and is given no seed.

    Raises:
        ValueError: if the name or a setting is unknown, or a value breaks the policy's rule.
    """
    return _policy(name, settings_of(settings), seed)


def _policy(text: str, values: Mapping[str, object], seed: int) -> "Policy":
    from bandits.policies import make_policy

    with users_fault(f"--policy {text}"):
        policy = make_policy(text, values)
        given = {*values, *read_call(text)[1]}
        return policy.set_params(seed=seed) if "seed" in policy.get_params() and "seed" not in given else policy


def policies_of(text: str, seed: int) -> "dict[str, Policy]":
    """Build the policies that a list names, each under what was written: `lin_ucb`, `lin_ucb(ucb_width=0.5)`.

    Raises:
        ValueError: if a name or a setting is unknown, one stands there twice, or there is none.
    """
    entries = listed(text)
    if not entries or len(set(entries)) < len(entries):
        raise ValueError(f"--policies must name one or more different policies, got {text!r}")
    return {entry: _policy(entry, {}, seed) for entry in entries}


def estimators_of(text: str) -> "tuple[OffPolicyEstimator, ...]":
    """Make the estimators that a list names, some with settings: `snips, clipped_ips(max_weight=20)`.

    Raises:
        ValueError: if a name or a setting is unknown, or a path leads to no estimator.
    """
    from bandits.off_policy.estimators import make_estimator

    with users_fault("--estimators"):
        return tuple(make_estimator(entry) for entry in listed(text))


def selector_of(entry: str, arms: "Sequence[EngineArm]") -> "Selector":
    """Make the selector of a name for an engine's arms, some with settings: `ucb_spec(ucb_width=0.5)`.

    Raises:
        ValueError: if the name or a setting is unknown, or a path leads to no selector.
    """
    from speculative.selectors import read_selector_spec

    name, values = read_call(entry)
    with users_fault(f"--selector {entry}"):
        return read_selector_spec({"kind": name, **values}).build(arms)


def encoder_of(name: str) -> "ContextEncoder":
    """Make the encoder of a name; see `bandits.encoders.named.make_encoder`.

    Raises:
        ValueError: if the name is unknown, or a path leads to no encoder.
    """
    from bandits.encoders.named import make_encoder

    with users_fault("--encoder"):
        return make_encoder(name)


def load_policies(files: Sequence[Path], classes: Sequence[str]) -> "dict[str, Policy]":
    """Load policies under the names of their files, or of the folders that hold them.

    Args:
        files: saved policies.
        classes: "package.module:Class" each, which files may hold beside those of draftpick.

    Raises:
        ValueError: if two have one name, or one is damaged, of an unknown class, or knows no arms.
    """
    policies: dict[str, Policy] = {}
    for file in files:
        name = file.stem if file.suffix == ".safetensors" else file.name
        if name in policies:
            raise ValueError(f"two policies are named {name!r}; rename one file or folder")
        policies[name] = load_one_policy(file, classes)
    return policies


def load_one_policy(file: Path, classes: Sequence[str]) -> "Policy":
    """Load a policy; see `load_policies`."""
    from arms.plugin import resolve_plugin
    from bandits import Policy, load_policy
    from bandits.policies.parameters import UnknownPolicyClassError

    with users_fault("--policy-class"):
        own = [resolve_plugin(path, Policy, "policy class") for path in classes]
    try:
        policy = load_policy(file, classes=own)
    except UnknownPolicyClassError as error:
        raise ValueError(f"{error}; on the command line, name it with --policy-class package.module:Class") from error
    if not policy.arm_names:
        raise ValueError(f"{file} knows no arms: train it first")
    return policy


def policies_or_files(given: Sequence[str], classes: Sequence[str], seed: int) -> "dict[str, Policy]":
    """Load saved policies, and build unfitted ones of names, each under its own name.

    Args:
        given: a file or folder that exists, or a name of `POLICIES`, some with settings: `lin_ucb(ucb_width=0.5)`.
        classes: see `load_policies`.
        seed: see `policy_of`.

    Raises:
        ValueError: see `load_policies` and `policies_of`; or if two have one name.
    """
    files = [Path(one) for one in given if Path(one).exists()]
    names = [one for one in given if not Path(one).exists()]
    saved = load_policies(files, classes)
    named = policies_of(", ".join(names), seed) if names else {}
    if set(saved) & set(named):
        raise ValueError(f"two policies are named {sorted(set(saved) & set(named))[0]!r}; rename the file")
    return saved | named


def policy_digest(file: Path) -> str:
    """Return what tells one saved policy from another in a log."""
    from bandits.policies.codec import policy_path

    return sha256(read_bytes(policy_path(file))).hexdigest()[:12]


def settings_of(settings: Sequence[str]) -> dict[str, object]:
    """Read NAME=VALUE settings; a value is JSON, or else text as it stands.

    Raises:
        ValueError: if one has no name or no "=", or two set one name.
    """
    values: dict[str, object] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not (name and equals) or name in values:
            raise ValueError(f"--set must be NAME=VALUE, each name once, got {setting!r}")
        try:
            values[name] = json.loads(text)
        except (ValueError, RecursionError):
            values[name] = text
    return values
