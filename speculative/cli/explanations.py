"""What --explain and --explain-html ask for: answers taken apart, shown, and written as a page."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from speculative.cli.options import say

if TYPE_CHECKING:
    from speculative.explaining.answer import ExplainedAnswer
    from speculative.protocols.request import Generation, Request
    from speculative.targets.target import Target


@dataclass(slots=True)
class Explanations:
    """Takes finished answers apart, where that is asked for.

    Attributes:
        shown: whether answers are printed with their tokens told apart, or, as JSON, with their rounds.
        page: takes a page of all answers; None for none.
        answers: by request id, in the order in which they finished.

    Raises:
        ValueError: if the page exists.
    """

    shown: bool = False
    page: Path | None = None
    answers: "dict[str, ExplainedAnswer]" = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.page is not None and self.page.exists():
            raise ValueError(f"{self.page} exists: name another --explain-html, or remove it")

    @property
    def wanted(self) -> bool:
        """Whether rounds must be reported."""
        return self.shown or self.page is not None

    def take(self, target: "Target", request: "Request", generation: "Generation") -> None:
        """Take an answer apart, and keep it where it goes on a page."""
        if not self.wanted:
            return
        from speculative.explaining.answer import explain

        if self.page is None:
            self.answers.clear()
        self.answers[request.id] = explain(generation, target, request.text)

    def show(self, request: "Request") -> None:
        """Print an answer, in colours where standard output is a terminal that shows them, and NO_COLOR is not set."""
        from rich.console import Console

        from speculative.explaining.terminal import to_text

        console = Console()
        colour = console.color_system is not None and not console.no_color
        typer.echo(to_text(self.answers[request.id], colour=colour), color=colour)

    def rounds(self, request: "Request") -> dict[str, object]:
        """Return what is added to an answer's JSON: its rounds, where they are shown."""
        return {"rounds": [one.record() for one in self.answers[request.id].rounds]} if self.shown else {}

    def write(self, order: "list[Request]") -> None:
        """Write the page of what was answered, in the order asked, and say where it is."""
        if self.page is None or not self.answers:
            return
        from arms.atomic_file import write_file
        from speculative.explaining.page import to_html

        found = [self.answers[request.id] for request in order if request.id in self.answers]
        self.page.parent.mkdir(parents=True, exist_ok=True)
        write_file(self.page, to_html(found))
        say(f"explained: {self.page}")
