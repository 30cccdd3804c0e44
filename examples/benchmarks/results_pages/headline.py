"""The demo's conclusion, for the start page and for the README."""

from pathlib import Path

from results_pages.parts import NOTICE, machine_line, missing, page_text, read_record, with_block


def headline(folder: Path) -> str:
    """Return the demo's conclusion and picture for the start page."""
    demo = read_record(folder / "demo.json")
    lines = [NOTICE, ""]
    if demo is None:
        return page_text(lines, missing("make demo"))
    lines += [demo["conclusion"], "", f"*{machine_line(demo)} [All figures](results/policies.md).*", ""]
    name = "demo_speed.png"
    if (folder / name).is_file():
        lines += [f"![Measured speed of every arm, policy and transformers mode](results/{name})", ""]
    return page_text(lines)


def with_headline(readme: str, folder: Path) -> str:
    """Return the README with the demo's conclusion between the marks `<!-- headline -->` and `<!-- /headline -->`.

    Raises:
        ValueError: if the marks are missing.
    """
    demo = read_record(folder / "demo.json")
    said = missing("make demo")[0] if demo is None else f"**Measured:** {demo['conclusion']} *({machine_line(demo)})*"
    return with_block(readme, "headline", [said])
