"""`draftpick evaluate`."""

import importlib.util
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arms.atomic_file import write_file
from arms.optional_import import how_to_install
from speculative.cli import options
from speculative.cli.data_files import TableOptions, read_full_information, reward_of
from speculative.cli.plugins import load_policies
from speculative.cli.rounds import evaluate_rounds_of
from speculative.cli.streams import evaluate_streamed, open_folder

if TYPE_CHECKING:
    from bandits import FullInformationData, Policy
    from bandits.evaluation import Evaluation


def evaluate(
    data: Annotated[Path, typer.Argument(help=f"Held-out queries: {options.TABLE_HELP}. Every arm's reward is known.")],
    policy: Annotated[
        list[Path] | None, typer.Option("--policy", help="A saved policy; may be repeated.", metavar="FILE")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for evaluation.json, table.txt and the plots.")
    ] = None,
    train_data: Annotated[
        Path | None,
        typer.Option("--train-data", help="Training data, to compare with the arm that was best there."),
    ] = None,
    rounds: Annotated[
        bool,
        typer.Option(
            "--rounds",
            help="Value a choice at every round, beside the published rules, on a folder of draftpick collect; it is "
            "learned from --train-data, or from the other folds.",
        ),
    ] = False,
    reward: options.RewardOption = None,
    baseline: Annotated[
        str | None,
        typer.Option("--baseline", help="Arm that speed is compared with; by default no_draft, where there is one."),
    ] = None,
    policy_class: options.PolicyClassOption = None,
    encoder: options.EncoderOption = None,
    column: options.ColumnOption = None,
    arm_columns: options.ArmColumnsOption = None,
    cost_suffix: options.CostSuffixOption = None,
    batch_rows: options.BatchRowsOption = None,
    features: Annotated[
        bool,
        typer.Option(
            "--features", help="Also say which parts of the contexts carry each policy's choice: features.json."
        ),
    ] = False,
    seed: options.SeedOption = 0,
    as_json: options.JsonOption = False,
) -> None:
    """Say what saved policies, each fixed arm and the per-query oracle bring on held-out queries.

    Values are exact, intervals are bootstrap intervals over queries; the last sentence says whether to use the best
    policy or a fixed arm. Nothing is generated, and torch is needed with --rounds only. With --batch-rows DATA is a
    log, and values are off-policy estimates.
    """
    if rounds:
        if (
            policy
            or reward
            or baseline
            or policy_class
            or encoder
            or column
            or arm_columns
            or cost_suffix
            or features
            or batch_rows
        ):
            raise ValueError(
                "--rounds plays the rounds of collected texts: give no option but --train-data, --out, --seed"
            )
        options.start_torch(None)
        evaluate_rounds_of(data, train_data, out, seed, as_json)
        return
    if not policy or out is None:
        raise ValueError("give --policy, a saved policy, and --out, a folder; or --rounds")
    import bandits

    policies = load_policies(policy, policy_class or ())
    if batch_rows is not None:
        table = TableOptions(encoder, column or (), arm_columns=arm_columns, cost_suffix=cost_suffix)
        needs = {"train_data": train_data, "reward": reward, "baseline": baseline, "features": features}
        evaluate_streamed(policies, open_folder(data, batch_rows, table, **needs), out, as_json)
        return
    fixed_by = next(iter(policies.values())).learned.encoder
    table = TableOptions(encoder, column or (), arm_columns=arm_columns, cost_suffix=cost_suffix, fixed_by=fixed_by)
    held_out = read_full_information(data, table)
    training = None if train_data is None else read_full_information(train_data, table)
    if training is not None:
        _tell_overlap(data, held_out, training)
    known = training is not None and training.observations is not None
    value_of, reward_name = reward_of(held_out, reward, training.known_observations() if training and known else None)
    if value_of is not None:  # fitted, where it is a fitted one, on the training data alone
        held_out = held_out.with_reward(value_of)
        training = None if training is None else training.with_reward(value_of)
    _check_encoders(policies, held_out)
    if baseline is not None and baseline not in held_out.arm_names:
        raise ValueError(f"--baseline must be one of the arms {', '.join(held_out.arm_names)}, got {baseline!r}")
    evaluation = bandits.evaluate(
        policies, held_out, training_data=training, baseline_arm=baseline, bootstrap=bandits.Bootstrap(seed=seed)
    )
    text = f"reward: {reward_name}\n{evaluation.to_text()}"
    if evaluation.segments:
        text += f"\n\n{evaluation.segment_table().to_text()}"
    evaluation.save(out / "evaluation.json")
    write_file(out / "table.txt", text + "\n")
    if importlib.util.find_spec("matplotlib") is None:
        options.say(f"no plots: matplotlib is not installed ({how_to_install('plots')})")
    else:
        _plot(evaluation, policies, held_out, reward_name, out)
    result = json.loads(evaluation.to_json()) | {"reward": reward_name}
    if features:
        result["features"], lines = _features(policies, held_out, seed)
        write_file(out / "features.json", json.dumps(result["features"], indent=1) + "\n")
        text = "\n".join([text, *lines])
    options.report(result, text, as_json)


def _features(
    policies: "dict[str, Policy]", data: "FullInformationData", seed: int
) -> "tuple[dict[str, list[dict[str, object]]], list[str]]":
    """Return what each part of the contexts is worth to each policy, and the same in lines for people."""
    from bandits.evaluation import held_out_importance, objective_of
    from speculative.cli.context_parts import context_parts

    lost = "share of seconds" if objective_of(data.complete_rows()) == "seconds" else "mean reward"
    lines, parts = [], context_parts(data.encoder, data.n_features)
    found: dict[str, list[dict[str, object]]] = {}
    for name, policy in policies.items():
        importances = held_out_importance(policy, data, parts, seed=seed)
        found[name] = [asdict(one) for one in importances]
        lines.append(f"{name}: {lost} lost where a part of the contexts is another query's")
        lines += [f"  {one}" for one in importances]
    return found, lines


def _tell_overlap(path: Path, held_out: "FullInformationData", training: "FullInformationData") -> None:
    """Reject the training data as held-out data, and warn where some queries are in both."""
    from bandits.data.overlap import shared_rows

    n_shared = int(shared_rows(held_out, training).sum())
    if n_shared == len(held_out):
        raise ValueError(
            f"all {n_shared} queries of {path} are in --train-data too, whatever their ids: held-out queries must be "
            "others; collect some, or use draftpick compare, which divides one data set"
        )
    if n_shared:
        options.say(
            f"warning: {n_shared} of {len(held_out)} queries are in --train-data too, whatever their ids: "
            "a policy looks better on them than it is"
        )


def _check_encoders(policies: "dict[str, Policy]", data: "FullInformationData") -> None:
    from bandits.encoders.encoder import check_same_encoder

    for name, policy in policies.items():
        if policy.learned.n_features != data.n_features:
            raise ValueError(
                f"policy {name!r} was saved for contexts of size {policy.learned.n_features}, not {data.n_features}"
            )
        check_same_encoder(f"policy {name!r}", policy.learned.encoder, "the data", data.encoder)


def _plot(
    evaluation: "Evaluation",
    policies: "dict[str, Policy]",
    data: "FullInformationData",
    reward: str,
    out: Path,
) -> None:
    """Draw each row's value, and each policy's picks by domain."""
    from bandits.evaluation.plots import plot_segments, plot_values
    from speculative.demo.plots import picks_by_domain

    plot_values(evaluation, out / "values.png", reward=reward)
    if evaluation.segments:
        plot_segments(evaluation, out / "segments.png")
    rows = data.complete_rows()
    labels = [domain or "all" for domain in rows.domains or ("all",) * len(rows)]
    picks: dict[str, dict[str, dict[str, float]]] = {}
    for name, policy in policies.items():
        probabilities = rows.probabilities_of(policy)
        picks[name] = {}
        for domain in dict.fromkeys(labels):
            shares = probabilities[[label == domain for label in labels]].mean(axis=0).tolist()
            picks[name][domain] = dict(zip(rows.arm_names, shares, strict=True))
    picks_by_domain(out / "picks.png", picks, rows.arm_names)
