"""Run every experiment on the stored traces and bring the page up to date; no model runs.

python examples/paper/make_paper.py
python examples/paper/make_paper.py --only labels weight_sweep
"""

import argparse
import importlib
import time
from collections.abc import Sequence

from make_page import write_page
from paper_parts.running import HERE, RESULTS, Options, write
from paper_parts.stored import read_stored

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
    """Run them in the order of the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=EXPERIMENTS, default=EXPERIMENTS)
    only = parser.parse_args(arguments).only
    stored = read_stored(HERE / "traces")
    if "otherwise" not in stored.sides:
        only = [name for name in only if name != "paraphrases"]
        print("== paraphrases left out: the traces lack the test queries asked otherwise")
    for name in only:
        begin = time.perf_counter()
        print(f"== {name}")
        write(name, importlib.import_module(name).experiment, stored, Options(range(5), RESULTS))
        print(f"== {name}: {time.perf_counter() - begin:.0f} s", flush=True)
    write_page()


if __name__ == "__main__":
    main()
