"""`draftpick reward`."""

from pathlib import Path
from typing import Annotated

import typer

from speculative.cli.decision_logs import opened_log


def reward(
    log: Annotated[Path, typer.Argument(help="The folder that `draftpick choose --log` wrote to.")],
    decision_id: Annotated[str, typer.Argument(metavar="ID", help="The decision's id.")],
    value: Annotated[float, typer.Argument(help="What came of it; the first reward of a decision counts.")],
) -> None:
    """Join a reward to a decision that `draftpick choose --log` made."""
    from bandits.online.segments import segment_numbers

    if not segment_numbers(log):
        raise ValueError(f"{log} holds no decision log: choose with --log {log} first, or check the path")
    with opened_log(log) as decisions:
        decisions.rewarded(decision_id, value)
