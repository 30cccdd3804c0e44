"""The command line `draftpick`. Torch and the models are imported by the commands that need them, on use."""

import importlib.util
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from speculative.cli.collect import collect
from speculative.cli.compare import compare
from speculative.cli.demo import demo
from speculative.cli.distill import distill
from speculative.cli.evaluate import evaluate
from speculative.cli.generate import generate
from speculative.cli.profile import profile
from speculative.cli.train import train

PACKAGES = ("arms", "rewards", "bandits", "speculative")
BAD_INPUT = 2


class _PlainErrors(TyperGroup):
    """Shows what the library refuses as one line on standard error, with exit status 2."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # the reader of our output has gone: click's to handle
            raise
        except (ValueError, OSError, ImportError) as error:
            typer.echo(f"error: {one_line(error)}", err=True)
            raise typer.Exit(BAD_INPUT) from None


app = typer.Typer(
    cls=_PlainErrors,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Learn which draft should speed up which query, and prove it on logged data.",
)
for _command in (collect, train, evaluate, compare, generate, distill, profile, demo):
    app.command()(_command)


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
) -> None:
    for warning in shadow_warnings(Path.cwd()):
        typer.echo(warning, err=True)


def main() -> None:
    """Run the command line."""
    app()


def one_line(error: Exception) -> str:
    """An error's message without line breaks; its type where it has no message."""
    return " ".join(str(error).split()) or type(error).__name__


def shadow_warnings(folder: Path) -> list[str]:
    """Say which of our packages Python would take from `folder` instead of from the installation.

    Args:
        folder: the current directory. The project's own folder shadows nothing: it is the installation.
    """
    if _is_project(folder):
        return []
    warnings = []
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        places = [] if spec is None else [spec.origin, *(spec.submodule_search_locations or ())]
        if any(place and Path(place).resolve().is_relative_to(folder.resolve() / package) for place in places):
            warnings.append(
                f"warning: the folder {folder / package} shadows draftpick's package {package!r}; "
                "run draftpick elsewhere, or rename the folder"
            )
    return warnings


def _is_project(folder: Path) -> bool:
    file = folder / "pyproject.toml"
    try:
        project = tomllib.loads(file.read_text(encoding="utf-8")).get("project", {})
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        return False
    return isinstance(project, dict) and project.get("name") == "draftpick"


if __name__ == "__main__":
    main()
