"""Self-drafting: the target's own first layers draft, and how many of them is the arm."""

from collections.abc import Sequence

from paper_parts.choosing import FIXED, LEARNED, ORACLE, RANDOM, Asked, choices_of
from paper_parts.comparison import bars, table
from paper_parts.running import Found, Options, run
from paper_parts.stored import Stored
from paper_parts.targets import NO_DRAFT


def main(arguments: Sequence[str] | None = None) -> dict[str, object]:
    """Run it."""
    return run("self_drafting", experiment, arguments)


def experiment(stored: Stored, options: Options) -> Found:
    """Choose among no draft and the depths of the exit."""
    choices = choices_of(stored, Asked((NO_DRAFT, *stored.target.exits)), options.seeds)
    exits = {arm: choices.over(arm, NO_DRAFT) for arm in stored.target.exits}
    best = max(exits, key=lambda arm: exits[arm].value)
    plain = float(choices.picks["REINFORCE"][choices.arms.index(NO_DRAFT)])
    answer = (
        f"The best exit, {best}, is {exits[best]:.2f} times as fast as no draft; REINFORCE drafts with nothing for "
        f"{plain:.0%} of the queries."
    )
    shown = (*exits, FIXED, RANDOM, *LEARNED, ORACLE)
    return Found(table({"exits": choices}), answer, bars({"": choices}, shown, "The depth of the exit as the arm"))


if __name__ == "__main__":
    main()
