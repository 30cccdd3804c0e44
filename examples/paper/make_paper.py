"""Run every experiment on each target's stored traces and bring the page up to date; no model runs.

python examples/paper/make_paper.py
python examples/paper/make_paper.py --only labels weight_sweep --targets smollm2
"""

import argparse
import importlib
import time
from collections.abc import Sequence

from make_page import write_page
from paper_parts.running import RESULTS, TRACES, Options, write
from paper_parts.stored import read_stored
from paper_parts.targets import TARGETS, PaperTarget

EXPERIMENTS = (
    "one_domain",
    "several_domains",
    "another_size",
    "weight_sweep",
    "misaligned_drafts",
    "number_of_arms",
    "learning_curves",
    "labels",
    "self_drafting",
    "generalist",
    "paraphrases",
    "label_price",
    "quality",
    "when_to_choose",
    "what_prompts_tell",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run them in the order of the page, but for those that a target's traces cannot answer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=EXPERIMENTS, default=EXPERIMENTS)
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=TARGETS)
    told = parser.parse_args(arguments)
    for target in told.targets:
        _run(TARGETS[target], told.only)
    write_page()


def _run(target: PaperTarget, names: Sequence[str]) -> None:
    stored = read_stored(TRACES / target.name, {target.name: target})
    for name in names:
        if name in target.lacking:
            print(f"== {target.name}, {name}: left out, {target.lacking[name]}")
            continue
        begin = time.perf_counter()
        print(f"== {target.name}, {name}")
        write(name, importlib.import_module(name).experiment, stored, Options(range(5), RESULTS))
        print(f"== {target.name}, {name}: {time.perf_counter() - begin:.0f} s", flush=True)


if __name__ == "__main__":
    main()
