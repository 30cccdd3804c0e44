"""`draftpick replay-log`."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from speculative.cli import options
from speculative.cli.data_files import log_folder, read_log
from speculative.cli.plugins import estimators_of, policies_or_files
from speculative.cli.progress import busy

if TYPE_CHECKING:
    from bandits import LoggedData


def replay_log(
    log: Annotated[
        Path,
        typer.Argument(
            help="State folder of draftpick serve, a decision log, or other logged data (.dsjson too).", metavar="LOG"
        ),
    ],
    policy: Annotated[
        list[str] | None,
        typer.Option(
            "--policy",
            help=f"Saved policy, or the name of one that learns from the earlier part of the log: "
            f"{options.POLICY_NAMES}; settings in parentheses. May be repeated.",
            metavar="FILE|NAME",
        ),
    ] = None,
    estimators: Annotated[
        str,
        typer.Option(
            "--estimator",
            help="Names, separated by commas, the one to trust most first, of doubly_robust, snips, ips, "
            "slope, shrunk_dr and the others of ESTIMATORS, or package.module:Class; settings in parentheses.",
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
    to_dsjson: Annotated[
        Path | None,
        typer.Option(
            "--to-dsjson", help="Write the rewarded decisions to this file, for vw --dsjson.", metavar="FILE.dsjson"
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
    from bandits.data.io import write_dsjson
    from bandits.evaluation import replay_log as replay
    from bandits.online.domains import NO_DOMAIN, domains_table, served_domains

    if not policy and to_dsjson is None:
        raise ValueError("give --policy, what to value, or --to-dsjson, a file to write the log to")
    if to_dsjson is not None and to_dsjson.exists():
        raise ValueError(f"{to_dsjson} exists: name another --to-dsjson, or remove it")
    _refuse_learners_own(log, policy or ())
    policies, by = policies_or_files(policy or (), policy_class or (), seed), estimators_of(estimators)
    if to_dsjson is not None:
        with busy("writing the log"):
            n = write_dsjson((replace(part, domains=None) for part in _parts(log)), to_dsjson)
        options.say(f"{n} decisions written to {to_dsjson}, without domains, for which dsjson has no field")
    if not policies:
        return
    with busy("reading the log"):
        logged = read_log(log)
    with busy("estimating"):
        replayed = replay(policies, logged, estimators=by, test_share=test_share, seed=seed)
    result = json.loads(replayed.to_json()) | {"conclusion": replayed.conclusion}
    text = replayed.to_text()
    if logged.domains is not None and (folder := log_folder(log)) is not None:
        domains = served_domains(folder)
        result["domains"] = {domain or NO_DOMAIN: one.to_dict() for domain, one in domains.items()}
        text = f"{domains_table(domains).to_text()}\n\n{text}"
    options.report(result, text, as_json)


def _parts(log: Path) -> "Iterable[LoggedData]":
    """Return a log in parts, so that a long one need not be in memory; other logged data as one."""
    from bandits import DecisionLog

    folder = log_folder(log)
    return (read_log(log),) if folder is None else DecisionLog.stream(folder)


def _refuse_learners_own(log: Path, policies: Sequence[str]) -> None:
    """Refuse what the service itself learned from this log, which would look better than it is."""
    learners = {(folder / "learner").resolve() for folder in (log, log.parent)}
    for one in policies:
        if Path(one).exists() and learners & {Path(one).resolve(), *Path(one).resolve().parents}:
            raise ValueError(
                f"--policy {one} learned from this very log, on which it would look better than it is: name the policy "
                "instead, which then learns from the earlier part"
            )
