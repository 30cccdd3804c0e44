"""`draftpick compare`."""

import importlib.util
import json
from collections.abc import Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arms.atomic_file import write_file
from speculative.cli import options
from speculative.cli.progress import busy, stages
from speculative.cli.train import named_policy

if TYPE_CHECKING:
    from bandits import ContextEncoder, FullInformationData, LoggedData
    from bandits.evaluation import Comparison
    from bandits.off_policy.estimators import OffPolicyEstimator

DEFAULT_POLICIES = "best_fixed_arm,lin_ucb,lin_ts,epsilon_greedy,uniform"


class EncoderName(StrEnum):
    """The context encoders that the command line knows."""

    hashing = "hashing"
    sentence = "sentence"


def compare(
    data: Annotated[
        list[Path],
        typer.Argument(
            help="Folders that draftpick wrote, or Parquet files with columns query_id, query (text), arm, reward and, "
            "where there are, domain, cost and propensity."
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", help="Folder for table.md, comparison.json and plots; one inside for each DATA.")
    ],
    policies: Annotated[
        str,
        typer.Option(
            "--policies", help="Names (a wrong one shows them all) or package.module:Class, separated by commas."
        ),
    ] = DEFAULT_POLICIES,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How many divisions into training and test.")] = 5,
    encoder: Annotated[
        EncoderName | None,
        typer.Option("--encoder", help="Makes contexts from texts; a folder of draftpick has contexts already."),
    ] = None,
    bandit_feedback: Annotated[
        bool,
        typer.Option("--bandit-feedback", help="Full information: learn from one arm a query only, drawn uniformly."),
    ] = False,
    estimators: Annotated[
        str,
        typer.Option("--estimators", help="For a log: names, separated by commas, the one to trust most first."),
    ] = "doubly_robust,snips,ips",
    baseline: Annotated[
        str | None,
        typer.Option("--baseline", help="Policy or arm that others are compared with; by default the first."),
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Processes.")] = 1,
    as_json: options.JsonOption = False,
) -> None:
    """Say which policy is best on data: each learns from one part of the queries and is scored on the rest.

    Full information gives exact values, a log (with propensities) gives off-policy estimates. Intervals and paired
    differences are over seeds and queries. Torch is needed only for reinforce and for --encoder sentence.
    """
    import bandits

    learners = {name: named_policy(name, (), 0) for name in _policy_names(policies)}
    settings = bandits.ComparisonSettings(
        logging_policy=bandits.Uniform() if bandit_feedback else None,
        estimators=_estimators(estimators),
        baseline=baseline,
        n_jobs=jobs,
    )
    names = _folder_names(data)
    make_contexts = _encoder(encoder)
    results: dict[str, Comparison] = {}
    for path, name in zip(data, names, strict=True):
        rows = _read(path, make_contexts)
        with stages() as tell:
            results[name] = bandits.compare(
                learners,
                rows,
                range(seeds),
                settings=settings,
                on_progress=partial(tell, f"comparing on {name}"),
            )
        _write(results[name], out if len(data) == 1 else out / name)
    text = "\n\n".join(f"{name}\n{result.to_text()}" for name, result in results.items())
    options.report({name: json.loads(result.to_json()) for name, result in results.items()}, text, as_json)


def _policy_names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"--policies must name one or more different policies, got {text!r}")
    return names


def _estimators(text: str) -> "tuple[OffPolicyEstimator, ...]":
    from bandits.off_policy.estimators import make_estimator

    return tuple(make_estimator(name.strip()) for name in text.split(",") if name.strip())


def _folder_names(paths: Sequence[Path]) -> list[str]:
    names = [path.stem if path.is_file() else path.resolve().name for path in paths]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two DATA are named {name!r}: rename one file or folder")
    return names


def _encoder(name: EncoderName | None) -> "ContextEncoder | None":
    import bandits

    if name is None:
        return None
    return bandits.HashingEncoder() if name is EncoderName.hashing else bandits.SentenceEncoder()


def _read(path: Path, encoder: "ContextEncoder | None") -> "FullInformationData | LoggedData":
    """Read a folder of part files of either kind, or a long table."""
    import bandits
    from bandits.data.parquet_parts import kind_of

    if path.is_dir():
        return (bandits.LoggedData if kind_of(path) == bandits.LoggedData.kind else bandits.FullInformationData).load(
            path
        )
    try:
        with busy(f"reading {path.name}"):
            return bandits.from_long_table(path, encoder)
    except (TypeError, ValueError) as error:
        hint = "" if encoder is not None else " (texts need --encoder hashing or --encoder sentence)"
        raise ValueError(f"{path}: {error}{hint}") from error


def _write(comparison: "Comparison", folder: Path) -> None:
    comparison.save(folder / "comparison.json")
    write_file(folder / "table.md", comparison.to_markdown())
    if importlib.util.find_spec("matplotlib") is None:
        options.say("no plots: matplotlib is not installed (pip install 'draftpick[plots]')")
        return
    from bandits.evaluation.plots import plot_learning_curves, plot_pareto

    plot_learning_curves(comparison, folder / "learning_curves.png")
    if comparison.rows[0].cost is not None:
        plot_pareto(comparison, folder / "pareto.png")
