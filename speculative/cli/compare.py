"""`draftpick compare`."""

import importlib.util
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arms.atomic_file import write_file
from arms.optional_import import how_to_install
from speculative.cli import options
from speculative.cli.cost_weights import trade_off_of, weights_of, write_trade_off
from speculative.cli.data_files import STORED_REWARD, TableOptions, file_names, read_data, valued, without_observations
from speculative.cli.plugins import estimators_of, policies_of
from speculative.cli.progress import busy, stages
from speculative.cli.rolling import check_times, rolling_of, write_rolling
from speculative.cli.streams import open_folder

if TYPE_CHECKING:
    from bandits import FullInformationData, LoggedData, Policy
    from bandits.data import DataStream
    from bandits.evaluation import Comparison, RollingEvaluation, TradeOff

    Rows = FullInformationData | LoggedData | DataStream[FullInformationData | LoggedData]

DEFAULT_POLICIES = "best_fixed_arm, lin_ucb, lin_ts, epsilon_greedy, uniform"


def compare(
    data: Annotated[list[Path], typer.Argument(help=f"Each {options.TABLE_HELP}.")],
    out: Annotated[
        Path, typer.Option("--out", help="Folder for table.md, comparison.json and plots; one inside for each DATA.")
    ],
    policies: Annotated[
        str,
        typer.Option(
            "--policies",
            help=f"Names, separated by commas, of {options.POLICY_NAMES}; settings in parentheses: "
            "lin_ucb(ucb_width=0.5).",
            metavar="NAMES",
        ),
    ] = DEFAULT_POLICIES,
    reward: options.RewardOption = None,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            help="Also write all of it as one HTML page that needs no network and prints well.",
            metavar="FILE.html",
        ),
    ] = None,
    save_best: Annotated[
        Path | None,
        typer.Option(
            "--save-best", help="Fit the best policy to all rows and save it in this file or folder.", metavar="FILE"
        ),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How many divisions into training and test.")] = 5,
    encoder: options.EncoderOption = None,
    column: options.ColumnOption = None,
    context_columns: options.ContextColumnsOption = None,
    unknown_levels: options.UnknownLevelsOption = "refuse",
    propensities: options.PropensitiesOption = "logged",
    arm_columns: options.ArmColumnsOption = None,
    cost_suffix: options.CostSuffixOption = None,
    batch_rows: options.BatchRowsOption = None,
    bandit_feedback: Annotated[
        bool,
        typer.Option("--bandit-feedback", help="Full information: learn from one arm a query only, drawn uniformly."),
    ] = False,
    estimators: Annotated[
        str,
        typer.Option(
            "--estimators",
            help="For a log: names, separated by commas, the one to trust most first, of ips, clipped_ips, snips, "
            "direct_method, doubly_robust, self_normalised_dr, rejection_replay, switch_dr, shrunk_dr, "
            "sub_gaussian_ips, sub_gaussian_dr, slope, more_robust_dr, balanced_ips, marginalised_ips, multi_logger, "
            "additive_slate, or package.module:Class; settings in parentheses: clipped_ips(max_weight=20).",
            metavar="NAMES",
        ),
    ] = "doubly_robust, snips, ips",
    cost_weight: Annotated[
        str | None,
        typer.Option(
            "--cost-weight",
            help="Compare by reward - WEIGHT * cost; several, ascending and separated by commas, give cost against "
            "quality: trade_off.md and trade_off.png.",
            metavar="WEIGHTS",
        ),
    ] = None,
    cost_unit: Annotated[
        str | None, typer.Option("--cost-unit", help="What the costs are in, such as $, for the plots.")
    ] = None,
    by_segment: Annotated[
        bool,
        typer.Option("--by-segment", help="Also compare on the queries of each domain: segments.md and segments.png."),
    ] = False,
    rolling: Annotated[
        bool,
        typer.Option(
            "--rolling",
            help="Also follow the policies while they learn through the rows in order of time (a column time): "
            "rolling.md and rolling.png.",
        ),
    ] = False,
    baseline: Annotated[
        str | None,
        typer.Option("--baseline", help="Policy or arm that others are compared with; by default the first."),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", min=1, help="Workers; one process by default, with Ray one a processor of the cluster."),
    ] = None,
    executor: options.ExecutorOption = "processes",
    as_json: options.JsonOption = False,
) -> None:
    """Say which policy is best on data: each learns from one part of the queries and is scored on the rest.

    Full information gives exact values, a log (with propensities) gives off-policy estimates. Intervals and paired
    differences are over seeds and queries; the last sentence says whether to use the best policy or a fixed arm.
    Torch is needed only for reinforce and for --encoder sentence.
    """
    import bandits
    from bandits.data import DataStream

    if save_best is not None and len(data) > 1:
        raise ValueError(f"--save-best saves the best policy of one DATA, got {len(data)}: compare one at a time")
    _check_report(report, data)
    learners, weights = policies_of(policies, 0), weights_of(cost_weight)
    settings = bandits.ComparisonSettings(
        logging_policy=bandits.Uniform() if bandit_feedback else None,
        estimators=estimators_of(estimators),
        baseline=baseline,
        by_segment=by_segment,
        cost_weight=weights[0] if len(weights) == 1 else None,
        executor=options.workers(executor, jobs),
    )
    table = TableOptions(encoder, column or (), context_columns, unknown_levels, propensities, arm_columns, cost_suffix)
    if batch_rows is None:
        at_once = _read_all(data, table)
        if rolling:
            check_times(at_once)
        read: dict[str, Rows] = dict(at_once)
    else:
        needs = {"reward": reward, "bandit_feedback": bandit_feedback, "by_segment": by_segment, "rolling": rolling}
        several = {"cost_weight": len(weights) > 1}
        opened = [open_folder(path, batch_rows, table, **needs, **several) for path in data]
        read = dict(zip(file_names(data), opened, strict=True))
        settings = replace(settings, train_shares=(1.0,))
    results: dict[str, dict[str, object]] = {}
    texts: list[str] = []
    for name, unvalued in read.items():
        rows, reward_name = _valued(unvalued, reward)
        with stages() as notify:
            comparison = bandits.compare(
                learners, rows, range(seeds), settings=settings, on_progress=partial(notify, f"comparing on {name}")
            )
        folder = out if len(data) == 1 else out / name
        _write(comparison, folder, cost_unit)
        texts.append(f"{name}, reward: {reward_name}\n{comparison.to_text()}")
        beside: list[TradeOff | RollingEvaluation] = []
        if len(weights) > 1 and not isinstance(rows, DataStream):
            with busy(f"weighing costs on {name}"):
                front = trade_off_of(learners, rows, weights, seeds, settings)
            write_trade_off(front, folder, cost_unit)
            texts.append(front.to_text())
            beside.append(front)
        if by_segment:
            texts.append(comparison.segment_table().to_text())
        results[name] = json.loads(comparison.to_json()) | {"reward": reward_name}
        if rolling and not isinstance(rows, DataStream):
            with busy(f"following time on {name}"):
                followed = rolling_of(learners, rows, seeds, settings.cost_weight)
            write_rolling(followed, folder)
            texts.append(followed.to_text())
            beside.append(followed)
            results[name]["rolling"] = json.loads(followed.to_json())
        if report is not None:
            from bandits.evaluation import write_report

            command = shlex.join(["draftpick", *sys.argv[1:]])
            write_report(comparison, report, files=data, command=command, beside=beside, cost_unit=cost_unit)
            options.say(f"the report is {report}")
        if save_best is not None:
            results[name]["best_policy_file"] = str(_save_best(comparison, learners, rows, save_best))
    options.report(results, "\n\n".join(texts), as_json)


def _check_report(report: Path | None, data: Sequence[Path]) -> None:
    """Refuse what could not be written, before anything is computed."""
    if report is None:
        return
    from bandits.evaluation.report import report_path

    report_path(report)
    if len(data) > 1:
        raise ValueError(f"--report writes one page on one DATA, got {len(data)}: compare one at a time")


def _read_all(paths: Sequence[Path], table: TableOptions) -> "dict[str, FullInformationData | LoggedData]":
    """Read everything before the first comparison, which may take long; folders beside tables need no options."""
    names = file_names(paths)
    if all(path.is_dir() for path in paths):
        return {name: read_data(path, table) for name, path in zip(names, paths, strict=True)}
    return {
        name: read_data(path, TableOptions() if path.is_dir() else table)
        for name, path in zip(names, paths, strict=True)
    }


def _valued(rows: "Rows", reward: str | None) -> "tuple[Rows, str]":
    """Return rows under the reward asked for, without observations; a stream's are its own."""
    from bandits.data import DataStream

    if isinstance(rows, DataStream):
        return rows, STORED_REWARD
    found, name = valued(rows, reward)
    return without_observations(found), name


def _save_best(
    comparison: "Comparison",
    learners: "Mapping[str, Policy]",
    rows: "Rows",
    file: Path,
) -> Path:
    with busy(f"fitting {comparison.best} to all rows"):
        saved = comparison.fit_best(learners, rows).save(file)
    options.say(f"{comparison.best}, the best policy, learned from all {comparison.n_rows} rows; saved in {saved}")
    return saved


def _write(comparison: "Comparison", folder: Path, cost_unit: str | None) -> None:
    comparison.save(folder / "comparison.json")
    write_file(folder / "table.md", comparison.to_markdown())
    if comparison.segments:
        write_file(folder / "segments.md", comparison.segment_table().to_markdown())
    if importlib.util.find_spec("matplotlib") is None:
        options.say(f"no plots: matplotlib is not installed ({how_to_install('plots')})")
        return
    from bandits.evaluation.plots import plot_learning_curves, plot_pareto, plot_segments

    plot_learning_curves(comparison, folder / "learning_curves.png")
    if comparison.rows[0].cost is not None:
        plot_pareto(comparison, folder / "pareto.png", cost_unit=cost_unit)
    if comparison.segments:
        plot_segments(comparison, folder / "segments.png")
