"""`draftpick train`."""

import inspect
import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rewards.named import REWARD_HELP, make_reward
from speculative.cli import options
from speculative.cli.progress import busy

if TYPE_CHECKING:
    from bandits import Policy


class PolicyName(StrEnum):
    """The policies that the command line can train."""

    linucb = "linucb"
    lints = "lints"
    reinforce = "reinforce"
    squarecb = "squarecb"
    knn = "knn"
    ucb1 = "ucb1"
    epsilon_greedy = "epsilon_greedy"
    softmax = "softmax"
    best_fixed = "best_fixed"
    uniform = "uniform"


def train(
    data: Annotated[Path, typer.Argument(help="Folder that `draftpick collect` wrote.")],
    out: Annotated[
        Path, typer.Option("--out", help="The policy: a .safetensors file, or a folder for policy.safetensors.")
    ],
    policy: Annotated[PolicyName, typer.Option("--policy", help="Which policy learns.")] = PolicyName.linucb,
    reward: Annotated[str, typer.Option("--reward", help=REWARD_HELP)] = "speedup",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A setting of the policy, VALUE in JSON, e.g. ucb_width=0.5; may be repeated.",
        ),
    ] = None,
    seed: options.SeedOption = 0,
    threads: options.ThreadsOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Learn from collected data which arm suits which query, and save the policy.

    epsilon_greedy and softmax follow LinUCB without its optimism (ucb_width 0); the one explores with chance
    `epsilon`, the other prefers arms by predicted reward over `temperature`. Only reinforce needs torch.
    """
    from bandits import FullInformationData

    if policy is PolicyName.reinforce or threads is not None:
        options.start_torch(threads)
    learner = make_policy(policy, settings or (), seed)
    stored = FullInformationData.load(data)
    rewarded = stored
    if reward != "speedup":
        rewarded = stored.with_reward(make_reward(reward, stored.known_observations()))
    with busy("learning"):
        learner.fit(rewarded)
    file = learner.save(out)
    value = rewarded.value(learner)
    result = {
        "policy": policy.value,
        "file": str(file),
        "reward": reward,
        "n_queries": len(rewarded),
        "arm_names": list(learner.arm_names),
        "training_value": value,
    }
    text = f"{policy.value} learned from {len(rewarded)} queries: mean {reward} {value:.3f} on them; saved in {file}"
    options.report(result, text, as_json)


def make_policy(name: PolicyName, settings: Sequence[str], seed: int) -> "Policy":
    """Build an unfitted policy.

    Args:
        name: which.
        settings: NAME=VALUE each, VALUE in JSON; the constructor's arguments.
        seed: for the policies that draw while they learn.

    Raises:
        ValueError: if a setting is malformed or unknown, or its value breaks the policy's rule.
    """
    import bandits

    classes: dict[PolicyName, type[Policy]] = {
        PolicyName.linucb: bandits.LinUCB,
        PolicyName.lints: bandits.LinTS,
        PolicyName.reinforce: bandits.Reinforce,
        PolicyName.squarecb: bandits.SquareCB,
        PolicyName.knn: bandits.KNN,
        PolicyName.ucb1: bandits.UCB1,
        PolicyName.epsilon_greedy: bandits.EpsilonGreedy,
        PolicyName.softmax: bandits.Softmax,
        PolicyName.best_fixed: bandits.BestFixedArm,
        PolicyName.uniform: bandits.Uniform,
    }
    arguments: dict[str, Any] = {}
    if name in (PolicyName.epsilon_greedy, PolicyName.softmax):
        arguments["policy"] = bandits.LinUCB(ucb_width=0.0)
    if name is PolicyName.reinforce:
        arguments["seed"] = seed
    known = [
        argument
        for argument in inspect.signature(classes[name].__init__).parameters
        if argument not in ("self", "arm_names", *arguments)
    ]
    arguments |= dict(_setting(setting, name, known) for setting in settings)
    try:
        return classes[name](**arguments)
    except TypeError as error:
        raise ValueError(f"--set does not suit {name.value}: {error}") from error


def _setting(setting: str, policy: PolicyName, known: Sequence[str]) -> tuple[str, object]:
    key, _, value = setting.partition("=")
    if key not in known:
        raise ValueError(f"--set {setting!r}: {policy.value} has the settings {', '.join(known) or '(none)'}")
    try:
        return key, json.loads(value)
    except json.JSONDecodeError as error:
        raise ValueError(f"--set {setting!r}: the value must be JSON, such as 0.5 or true ({error})") from error
