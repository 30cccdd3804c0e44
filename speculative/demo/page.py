"""A demo's figures as a page and on the terminal."""

from rich.console import Console
from rich.table import Table

from speculative.demo.figures import DemoReport


def show_report(report: DemoReport, console: Console) -> None:
    """Print the tables and the conclusion."""
    console.print(report.evaluation.to_text(console.width), highlight=False)
    references = _references(report)
    for part in (references[:2], references[2:]):
        if not part:
            continue
        table = Table(title=f"Measured on {report.n_timed} held-out prompts", title_justify="left")
        for heading in ("mode", "tokens/s", *(f"times {name}" for name in part)):
            table.add_column(heading, justify="left" if heading == "mode" else "right")
        for name, ratios in report.ratios.items():
            table.add_row(name, f"{report.speeds[name]:.1f}", *(f"{ratios[other]:.2f}" for other in part))
        console.print(table)
    console.print(equality_sentence(report))
    console.print(f"[bold]{report.conclusion}[/bold]")


def to_markdown(report: DemoReport) -> str:
    """Return the report as a page to read."""
    machine = report.machine
    lines = [
        "# draftpick demo",
        "",
        f"**{report.conclusion}**",
        "",
        "![measured speed](speed.png)",
        "",
        f"{report.n_timed} held-out prompts, answers of at most {report.max_new_tokens} tokens, every mode on every "
        f"prompt, interleaved; transformers on {report.n_transformers} of them. {machine['processor']}, "
        f"{machine['threads']} threads.",
        "",
        *_measured(report),
        "## How the policy was chosen",
        "",
        f"Each policy was scored on training prompts that it had not seen; {report.chosen} did best. The choice per "
        "round was learned from the same texts, and starts every answer anew.",
        "",
        *(f"- {name}: {score}" for name, score in report.held_out.items()),
        "",
        "## Held-out prompts by replay",
        "",
        "```",
        report.evaluation.to_text(),
        "```",
        "",
        "![speed by domain](speed_by_domain.png)",
        "",
        "![picks by domain](picks_by_domain.png)",
        "",
    ]
    return "\n".join(lines)


def _measured(report: DemoReport) -> list[str]:
    references = _references(report)
    rows = [
        f"| {name} | {report.speeds[name]:.1f} | " + " | ".join(f"{ratios[other]:.2f}" for other in references) + " |"
        for name, ratios in report.ratios.items()
    ]
    return [
        "## Measured",
        "",
        "Speed is total tokens over total seconds; prefill, encoding and choosing are counted. Brackets: 95 %",
        "bootstrap intervals over prompts, on the prompts that both modes ran. A policy's time on a prompt is the",
        "measured time of its pick and of picking; the chosen policy also really ran.",
        "",
        "| mode | tokens/s | " + " | ".join(f"times {name}" for name in references) + " |",
        "|---|---|" + "---|" * len(references),
        *rows,
        "",
        equality_sentence(report),
        "",
    ]


def equality_sentence(report: DemoReport) -> str:
    """Say how many texts equal no draft's."""
    equality = report.equality
    modes = "arm, policy and transformers mode" if report.peers_compared else "arm and policy"
    return (
        f"Texts of every {modes} against no draft's: {equality['identical']} identical, "
        f"{equality['tie']} parted at a tie of the two best logits, {equality['different']} different. "
        f"{report.looping_share:.0%} of the texts loop (over half of their 4-grams are repeats)."
    )


def _references(report: DemoReport) -> list[str]:
    return list(next(iter(report.ratios.values())))
