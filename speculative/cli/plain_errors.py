"""How a command ends when something is wrong: one line on standard error, and an exit status that says whose fault."""

import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from arms.folder_lock import FolderInUseError

USERS_FAULT = 2
OUR_FAULT = 1
_USERS = (ValueError, OSError, ImportError, MemoryError, FolderInUseError)


class _FlagsWithoutType:
    """Shows a flag in the help without a type, which would read as if it took a value."""

    def get_params(self, ctx: Any) -> list[Any]:
        params: list[Any] = super().get_params(ctx)  # type: ignore[misc]  # of the command that this is mixed into
        for param in params:
            if getattr(param, "is_flag", False):
                param.metavar = ""
        return params


class Command(_FlagsWithoutType, TyperCommand):
    """A command of draftpick, whose text arguments are UTF-8 whatever the locale."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command.

        Raises:
            ValueError: if an argument is not UTF-8.
        """
        ctx.params = {name: _in_utf8(value) for name, value in ctx.params.items()}
        return super().invoke(ctx)


class Group(_FlagsWithoutType, TyperGroup):
    """Turns every exception into one line on standard error.

    Exit status 2 is bad input or a broken environment; 1 is a fault of draftpick's own. `--traceback`, anywhere on the
    line, shows the traceback first.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take `--traceback` from wherever it stands before a bare `--`."""
        end = args.index("--") if "--" in args else len(args)
        shown = "--traceback" in args[:end]
        rest = [arg for arg in args[:end] if arg != "--traceback"] + args[end:]
        ctx.meta["traceback"] = shown
        return super().parse_args(ctx, rest)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; see the class."""
        try:
            with warnings_as_lines():
                return super().invoke(ctx)
        except (BrokenPipeError, typer.Abort, typer.Exit):  # the reader has gone, or the command has said it all
            raise
        except Exception as error:
            if isinstance(error, typer.BadParameter) or type(error).__module__.startswith(("click", "typer")):
                raise  # wrong usage, which the library reports
            if ctx.meta.get("traceback"):
                traceback.print_exception(error)
            if isinstance(error, _USERS):
                typer.echo(f"error: {one_line(error)}", err=True)
                raise typer.Exit(USERS_FAULT) from None
            typer.echo(
                f"error: {type(error).__name__}: {one_line(error)} "
                "(a fault of draftpick's own: run again with --traceback, and report it)",
                err=True,
            )
            raise typer.Exit(OUR_FAULT) from None


def _in_utf8(value: Any) -> Any:
    """Return texts, never paths, as the bytes that were typed say, where a locale without UTF-8 could not read them."""
    if isinstance(value, list | tuple):
        return [_in_utf8(part) for part in value]
    try:
        return value.encode(errors="surrogateescape").decode() if isinstance(value, str) else value
    except UnicodeError as error:
        raise ValueError(f"arguments must be UTF-8 text, got {value!r:.80}") from error


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Show what the library warns of as one line on standard error."""

    def show(message: Warning | str, category: type[Warning], filename: str, lineno: int, *more: Any) -> None:
        if issubclass(category, UserWarning):
            typer.echo(f"warning: {one_line(message)}", err=True)
        else:
            shown_before(message, category, filename, lineno, *more)

    shown_before = warnings.showwarning
    with warnings.catch_warnings():
        warnings.showwarning = show  # type: ignore[assignment]  # takes the rest whatever it is
        yield


def one_line(error: Warning | Exception | str) -> str:
    """Give an error's message without line breaks; its type where it has no message."""
    return " ".join(str(error).split()) or type(error).__name__
