"""The demo's conclusion for the start page."""

from pathlib import Path

from results_pages.parts import NOTICE, machine_line, missing, page_text, read_record


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
