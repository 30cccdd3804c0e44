"""`draftpick replay-log`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from speculative.cli import options
from speculative.cli.data_files import read_log
from speculative.cli.plugins import estimators_of, policies_or_files
from speculative.cli.progress import busy


def replay_log(
    log: Annotated[
        Path,
        typer.Argument(help="State folder of draftpick serve, a decision log, or other logged data.", metavar="LOG"),
    ],
    policy: Annotated[
        list[str],
        typer.Option(
            "--policy",
            help=f"Saved policy, or the name of one that learns from the earlier part of the log: "
            f"{options.POLICY_NAMES}; settings in parentheses. May be repeated.",
            metavar="FILE|NAME",
        ),
    ],
    estimators: Annotated[
        str,
        typer.Option(
            "--estimator",
            help="Names, separated by commas, the one to trust most first: doubly_robust, self_normalised_dr, snips, "
            "ips, clipped_ips, direct_method, rejection_replay, or package.module:Class.",
            metavar="NAMES",
        ),
    ] = "doubly_robust, snips",
    test_share: Annotated[
        float | None,
        typer.Option(
            "--test-share",
            min=0,
            max=1,
            help="Of the decisions, the latest ones, that all are valued on; by default half where a policy must "
            "learn, else all.",
        ),
    ] = None,
    policy_class: options.PolicyClassOption = None,
    seed: options.SeedOption = 0,
    as_json: options.JsonOption = False,
) -> None:
    """Say what other policies would have earned on a served log, beside what was served and each fixed arm.

    The log may be written meanwhile. A policy of a name learns from the earlier decisions and is valued on the later
    ones; a saved one is taken as it is, so leave out what learned from this very log. Estimates are off-policy,
    with intervals; the last sentence compares the best policy with what was served and says what to do.
    """
    from bandits.evaluation import replay_log as replay

    policies = policies_or_files(policy, policy_class or (), seed)
    with busy("reading the log"):
        logged = read_log(log)
    with busy("estimating"):
        replayed = replay(
            policies, logged, estimators=estimators_of(estimators), test_share=test_share, confidence=0.95, seed=seed
        )
    result = json.loads(replayed.to_json()) | {"conclusion": replayed.conclusion}
    options.report(result, replayed.to_text(), as_json)
