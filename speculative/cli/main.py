"""The command line `draftpick`. Torch and the models are imported by the commands that need them, on use."""

from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from speculative.cli.collect import collect
from speculative.cli.compare import compare
from speculative.cli.demo import demo
from speculative.cli.distill import distill
from speculative.cli.evaluate import evaluate
from speculative.cli.generate import generate
from speculative.cli.plain_errors import Command, Group
from speculative.cli.profile import profile
from speculative.cli.shadowing import shadow_warnings
from speculative.cli.train import train

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Speculative decoding with a learned choice of draft: learn which draft should speed up which query, "
    "and prove it on logged data.",
)
for _command in (collect, train, evaluate, compare, generate, distill, profile, demo):
    app.command(cls=Command)(_command)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"draftpick {version('draftpick')}")
        raise typer.Exit


@app.callback()
def _start(
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
    show_traceback: Annotated[
        bool,
        typer.Option("--traceback", help="Show the traceback of an error; may stand anywhere on the line."),
    ] = False,
) -> None:
    for warning in shadow_warnings(Path.cwd()):
        typer.echo(warning, err=True)


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
