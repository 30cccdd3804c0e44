"""The command line `draftpick`. Torch and the models are imported by the commands that need them, on use."""

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from speculative.cli.chat import chat
from speculative.cli.choose import choose
from speculative.cli.collect import collect
from speculative.cli.compare import compare
from speculative.cli.demo import demo
from speculative.cli.distill import distill
from speculative.cli.evaluate import evaluate
from speculative.cli.generate import generate
from speculative.cli.plain_errors import Command, Group
from speculative.cli.profile import profile
from speculative.cli.replay_log import replay_log
from speculative.cli.reward import reward
from speculative.cli.serve import serve
from speculative.cli.shadowing import shadow_warnings
from speculative.cli.train import train

PANELS: dict[str, tuple[Callable[..., None], ...]] = {
    "Learn a policy from data (no model needed)": (train, evaluate, compare, replay_log),
    "Use it": (generate, chat, serve, choose, reward),
    "Prepare drafts and data": (profile, collect, distill),
    "See it at work": (demo,),
}


def _unwrapped(text: str) -> str:
    """Return a docstring's paragraphs without its line breaks, which the help would keep."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Lossless speculative decoding with contextual bandits: learn from logged data which draft should speed up "
    "which query, and whether that pays.",
)
for _panel, _commands in PANELS.items():
    for _command in _commands:
        app.command(
            cls=Command,
            help=_unwrapped(_command.__doc__ or ""),
            rich_help_panel=_panel,
            # so that a reward may be negative
            context_settings={"ignore_unknown_options": True} if _command is reward else None,
        )(_command)


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
