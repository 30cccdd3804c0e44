"""`draftpick evaluate`."""

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arms.atomic_file import write_file
from rewards.named import REWARD_HELP, make_reward
from speculative.cli import options

if TYPE_CHECKING:
    from bandits import FullInformationData, Policy
    from bandits.evaluation import Evaluation


def evaluate(
    data: Annotated[Path, typer.Argument(help="Held-out queries: a folder that `draftpick collect` wrote.")],
    policy: Annotated[list[Path], typer.Option("--policy", help="A saved policy; may be repeated.", metavar="FILE")],
    out: Annotated[Path, typer.Option("--out", help="Folder for evaluation.json, table.txt and the plots.")],
    train_data: Annotated[
        Path | None,
        typer.Option("--train-data", help="Training data, to compare with the arm that was best there."),
    ] = None,
    reward: Annotated[str, typer.Option("--reward", help=REWARD_HELP)] = "speedup",
    baseline: Annotated[
        str | None,
        typer.Option("--baseline", help="Arm that speed is compared with; by default no_draft, where there is one."),
    ] = None,
    seed: options.SeedOption = 0,
    as_json: options.JsonOption = False,
) -> None:
    """Say what saved policies, each fixed arm and the per-query oracle bring on held-out queries.

    Values are exact, intervals are bootstrap intervals over queries. Nothing is generated and torch is not
    needed.
    """
    import bandits

    held_out = bandits.FullInformationData.load(data)
    training = None if train_data is None else bandits.FullInformationData.load(train_data)
    if reward != "speedup":
        observations = None if training is None else training.known_observations()
        value_of = make_reward(reward, observations)
        held_out = held_out.with_reward(value_of)
        training = None if training is None else training.with_reward(value_of)
    policies = _load_policies(policy, held_out)
    evaluation = bandits.evaluate(
        policies, held_out, training_data=training, baseline_arm=baseline, bootstrap=bandits.Bootstrap(seed=seed)
    )
    text = evaluation.to_text()
    evaluation.save(out / "evaluation.json")
    write_file(out / "table.txt", text + "\n")
    if importlib.util.find_spec("matplotlib") is None:
        options.say("no plots: matplotlib is not installed (pip install 'draftpick[plots]')")
    else:
        _plot(evaluation, policies, held_out, reward, out)
    options.report(json.loads(evaluation.to_json()), text, as_json)


def _load_policies(files: Sequence[Path], data: "FullInformationData") -> dict[str, "Policy"]:
    """Load policies under the names of their files, or of the folders that hold them."""
    from bandits import load_policy
    from bandits.encoders.encoder import check_same_encoder

    policies: dict[str, Policy] = {}
    for file in files:
        name = file.stem if file.suffix == ".safetensors" else file.name
        if name in policies:
            raise ValueError(f"two policies are named {name!r}; rename one file or folder")
        policy = load_policy(file, n_features=data.n_features)
        encoder = policy.state.encoder if policy.state is not None else None
        check_same_encoder(str(file), encoder, "the data", data.encoder)
        if not policy.arm_names:
            raise ValueError(f"{file} knows no arms: train it first")
        policies[name] = policy
    return policies


def _plot(
    evaluation: "Evaluation",
    policies: dict[str, "Policy"],
    data: "FullInformationData",
    reward: str,
    out: Path,
) -> None:
    """Draw each row's value, and each policy's picks by domain."""
    from bandits.evaluation.plots import plot_values
    from speculative.demo.plots import picks_by_domain

    plot_values(evaluation, out / "values.png", reward=reward)
    rows = data.complete_rows()
    labels = [domain or "all" for domain in rows.domains or ("all",) * len(rows)]
    picks: dict[str, dict[str, dict[str, float]]] = {}
    for name, policy in policies.items():
        chances = rows.probabilities_of(policy)
        picks[name] = {}
        for domain in dict.fromkeys(labels):
            shares = chances[[label == domain for label in labels]].mean(axis=0).tolist()
            picks[name][domain] = dict(zip(rows.arm_names, shares, strict=True))
    picks_by_domain(out / "picks.png", picks, rows.arm_names)
