"""`draftpick train`."""

from pathlib import Path
from typing import Annotated

import typer

from speculative.cli import options
from speculative.cli.data_files import TableOptions, read_data, valued
from speculative.cli.plugins import policy_of
from speculative.cli.progress import busy
from speculative.cli.rounds import train_rounds
from speculative.cli.streams import open_folder, train_streamed


def train(
    data: Annotated[Path, typer.Argument(help=f"Training data: {options.TABLE_HELP}.")],
    out: Annotated[
        Path, typer.Option("--out", help="The policy: a .safetensors file, or a folder for policy.safetensors.")
    ],
    policy: Annotated[
        str, typer.Option("--policy", help=f"Which policy learns: {options.POLICY_NAMES}.", metavar="NAME")
    ] = "lin_ucb",
    reward: options.RewardOption = None,
    settings: options.SetOption = None,
    folds: Annotated[
        int,
        typer.Option("--folds", min=2, help="Parts of the queries, each held out once, that the score is taken on."),
    ] = 10,
    encoder: options.EncoderOption = None,
    column: options.ColumnOption = None,
    context_columns: options.ContextColumnsOption = None,
    unknown_levels: options.UnknownLevelsOption = "refuse",
    propensities: options.PropensitiesOption = "logged",
    arm_columns: options.ArmColumnsOption = None,
    cost_suffix: options.CostSuffixOption = None,
    batch_rows: options.BatchRowsOption = None,
    rounds: Annotated[
        bool,
        typer.Option(
            "--rounds", help="Learn a choice at every round from a folder of draftpick collect, for generate --rounds."
        ),
    ] = False,
    seed: options.SeedOption = 0,
    threads: options.ThreadsOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Learn from data which arm suits which query, save the policy, and say what it earns on queries held out.

    The score and the conclusion are of copies that were fitted without the queries they are scored on; the policy
    that is saved learns from all rows. A linear policy's prior_precision is the one that predicts best how arms
    differ on rows left out of those that it learns from (on a log the largest that cannot be told from it), unless
    --set gives another than the default. Only reinforce, --encoder sentence and --rounds need torch.
    """
    if rounds:
        of_wide = (arm_columns, cost_suffix)
        of_tables = (
            column,
            context_columns,
            unknown_levels != "refuse",
            propensities != "logged",
            *of_wide,
            batch_rows,
        )
        _refuse_with_rounds(policy != "lin_ucb", reward, settings, folds != 10, encoder, *of_tables)
        options.start_torch(threads)
        train_rounds(data, out, seed, as_json)
        return
    from bandits import cross_validated
    from bandits.policies.shrunk import shrunk

    if policy == "reinforce" or threads is not None:
        options.start_torch(threads)
    learner = policy_of(policy, settings or (), seed)
    table = TableOptions(encoder, column or (), context_columns, unknown_levels, propensities, arm_columns, cost_suffix)
    if batch_rows is not None:
        stream = open_folder(data, batch_rows, table, reward=reward, folds=folds != 10)
        report, said = train_streamed(policy, learner, stream, out, seed)
        options.report(report, options.wrapped(said), as_json)
        return
    stored = read_data(data, table)
    rows, reward_name = valued(stored, reward)
    with busy("scoring on queries held out"):
        score = cross_validated(learner, rows, seed=seed, n_folds=folds)
    with busy("learning"):
        learner = shrunk(learner, rows).fit(rows)
    file = learner.save(out)
    result = {
        "policy": policy,
        "file": str(file),
        "reward": reward_name,
        "n_rows": len(rows),
        "n_queries": score.n_queries,
        "arm_names": list(learner.arm_names),
        "held_out": {"value": score.value, "low": score.low, "high": score.high, "n_folds": score.n_folds},
        "conclusion": str(score.conclusion),
    }
    lines = [
        f"{policy} learned from {len(rows)} rows of {score.n_queries} queries; saved in {file}",
        f"mean {reward_name}: {score}",
        str(score.conclusion),
    ]
    options.report(result, options.wrapped(lines), as_json)


def _refuse_with_rounds(*given: object) -> None:
    if any(given):
        raise ValueError(
            "--rounds learns from the rounds of collected texts: leave out --policy, --reward, --set, --folds, "
            "--encoder and options of tables"
        )
