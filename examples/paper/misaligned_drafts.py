"""Misaligned drafts: does the policy learn to leave them, and to draft with nothing?"""

from collections.abc import Sequence

from paper_parts.choosing import LEARNED, RANDOM, Asked
from paper_parts.comparison import bars, compared, table
from paper_parts.running import Found, Options, run
from paper_parts.stored import Stored
from paper_parts.targets import NO_DRAFT

UNKNOWN = ("translate", "rewrite", "summarise", "passage", "chat")  # domains that no specialist learned from


def main(arguments: Sequence[str] | None = None) -> dict[str, object]:
    """Run it."""
    return run("misaligned_drafts", experiment, arguments)


def experiment(stored: Stored, options: Options) -> Found:
    """Choose among no draft and three drafts in domains that none of them knows."""
    drafts = (*stored.target.specialists.values(), stored.target.exits[0])
    found = compared(stored, {"unknown domains": Asked((NO_DRAFT, *drafts), UNKNOWN)}, options.seeds)
    [choices] = found.values()
    plain = choices.arms.index(NO_DRAFT)
    told = [
        f"{name} picks no draft for {choices.picks[name][plain]:.0%} of the queries and is "
        f"{choices.over(name, NO_DRAFT):.2f} times as fast as always drafting with nothing"
        for name in ("REINFORCE", "KNN")
    ]
    answer = f"{'; '.join(told)}; a draft at random is {choices.over(RANDOM, NO_DRAFT):.2f} times."
    shown = (*drafts, RANDOM, *LEARNED)
    return Found(table(found), answer, bars({"": choices}, shown, "In domains that no draft has learned from"))


if __name__ == "__main__":
    main()
