"""`draftpick train`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rewards.named import REWARD_HELP, make_reward
from speculative.cli import options
from speculative.cli.progress import busy

if TYPE_CHECKING:
    from bandits import Policy


def train(
    data: Annotated[Path, typer.Argument(help="Folder that `draftpick collect` wrote.")],
    out: Annotated[
        Path, typer.Option("--out", help="The policy: a .safetensors file, or a folder for policy.safetensors.")
    ],
    policy: Annotated[
        str,
        typer.Option(
            "--policy",
            help="Which policy learns: a name (a wrong one shows them all), or package.module:Class of your own.",
        ),
    ] = "lin_ucb",
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

    epsilon_greedy and softmax follow LinUCB without its optimism (ucb_width 0); the one explores with probability
    `epsilon`, the other prefers arms by predicted reward over `temperature`. Only reinforce needs torch.
    """
    from bandits import FullInformationData

    if policy == "reinforce" or threads is not None:
        options.start_torch(threads)
    learner = named_policy(policy, settings or (), seed)
    stored = FullInformationData.load(data)
    rewarded = stored
    if reward != "speedup":
        rewarded = stored.with_reward(make_reward(reward, stored.known_observations()))
    with busy("learning"):
        learner.fit(rewarded)
    file = learner.save(out)
    value = rewarded.value(learner)
    result = {
        "policy": policy,
        "file": str(file),
        "reward": reward,
        "n_queries": len(rewarded),
        "arm_names": list(learner.arm_names),
        "training_value": value,
    }
    text = f"{policy} learned from {len(rewarded)} queries: mean {reward} {value:.3f} on them; saved in {file}"
    options.report(result, text, as_json)


def named_policy(name: str, settings: Sequence[str], seed: int) -> "Policy":
    """Build an unfitted policy.

    Args:
        name: in `bandits.POLICIES`, or "package.module:Class".
        settings: NAME=VALUE each, VALUE in JSON; the constructor's arguments.
        seed: for the policies that draw while they learn.

    Raises:
        ValueError: if the name or a setting is unknown or malformed, or its value breaks the policy's rule.
        TypeError: if a value is of the wrong type.
    """
    import bandits

    values = dict(_setting(setting) for setting in settings)
    policy = bandits.make_policy(name, values)
    return policy.set_params(seed=seed) if "seed" in policy.get_params() and "seed" not in values else policy


def _setting(setting: str) -> tuple[str, object]:
    key, _, value = setting.partition("=")
    try:
        return key, json.loads(value)
    except json.JSONDecodeError as error:
        raise ValueError(f"--set {setting!r}: the value must be JSON, such as 0.5 or true ({error})") from error
