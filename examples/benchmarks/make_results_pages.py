"""Write the result pages, and the figures in README and `gpu.md`, from the JSON files that the measuring scripts leave.

    python examples/benchmarks/make_results_pages.py            # write docs/results/*.md and those figures
    python examples/benchmarks/make_results_pages.py --check    # exit with 1 if a page differs from its JSON
    python examples/benchmarks/make_results_pages.py --smoke    # make the pages, write nothing

A page whose JSON is missing says so; no figure is ever typed by hand. Each page is a file of `results_pages`.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from results_pages import make_pages
from results_pages.card import with_card_tables
from results_pages.gpu import with_gpu_tables
from results_pages.headline import with_headline

from arms.atomic_file import write_file

RESULTS = Path(__file__).parents[2] / "docs" / "results"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON files and pages")
    parser.add_argument("--check", action="store_true", help="compare only; exit with 1 if a page is out of date")
    parser.add_argument("--smoke", action="store_true", help="make the pages, write nothing")
    options = parser.parse_args(arguments)
    pages = {options.results / name: text for name, text in make_pages(options.results).items()}
    docs = options.results.parent
    blocks = {
        docs.parent / "README.md": (with_headline,),
        docs / "explanation" / "gpu.md": (with_card_tables, with_gpu_tables),
    }
    for page, makers in blocks.items():
        if page.is_file():
            pages[page] = page.read_text(encoding="utf-8")
            for with_figures in makers:
                pages[page] = with_figures(pages[page], options.results)
    stale = [path for path, text in pages.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    if options.check:
        for path in stale:
            print(f"{path} is out of date: run python examples/benchmarks/make_results_pages.py")
        return 1 if stale else 0
    if not options.smoke:
        for path in stale:
            write_file(path, pages[path])
    print(f"{len(pages)} pages, {len(stale)} changed{' (not written)' if options.smoke else ''}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
