"""Several domains, the same two drafts: does a choice by the prompt beat the best of them?"""

from collections.abc import Sequence

from paper_parts.choosing import DOMAIN, FIXED, LEARNED, ORACLE, RANDOM, Asked
from paper_parts.comparison import bars, compared, gain, table
from paper_parts.running import Found, Options, run
from paper_parts.stored import Stored


def main(arguments: Sequence[str] | None = None) -> dict[str, object]:
    """Run it."""
    return run("several_domains", experiment, arguments)


def experiment(stored: Stored, options: Options) -> Found:
    """Choose among both specialists and no draft, in all domains, and in those that a specialist knows."""
    arms = stored.target.small
    settings = {"all domains": Asked(arms), "maths and code": Asked(arms, tuple(stored.target.specialists))}
    found = compared(stored, settings, options.seeds)
    answer = ". ".join(f"In {setting}, {gain(one)}, {gain(one, 'KNN')}" for setting, one in found.items())
    shown = {"all domains": found["all domains"]}
    names = (RANDOM, FIXED, *LEARNED, DOMAIN, ORACLE)
    return Found(table(found), f"{answer}.", bars(shown, names, "Two specialists, eight domains"))


if __name__ == "__main__":
    main()
