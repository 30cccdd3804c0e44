"""Two to eight arms: does a larger choice pay, or confuse the policy?"""

from collections.abc import Sequence

from paper_parts.choosing import FIXED, ORACLE, RANDOM, Asked
from paper_parts.comparison import compared, gain, lines, table
from paper_parts.running import Found, Options, run
from paper_parts.stored import Stored
from paper_parts.targets import NO_DRAFT


def main(arguments: Sequence[str] | None = None) -> dict[str, object]:
    """Run it."""
    return run("number_of_arms", experiment, arguments)


def experiment(stored: Stored, options: Options) -> Found:
    """Choose among the first two to eight arms."""
    arms = stored.target.by_number
    counts = range(2, len(arms) + 1)
    found = compared(stored, {str(k): Asked(arms[:k]) for k in counts}, options.seeds)
    names = (FIXED, RANDOM, "REINFORCE", "KNN", "ridge", ORACLE)
    drawn = {name: [one.over(name, NO_DRAFT) for one in found.values()] for name in names}
    few, many = found["3"], found[str(len(arms))]
    answer = f"With 3 arms, {gain(few)}; with {len(arms)}, {gain(many)}, and {gain(many, 'KNN')}."
    return Found(table(found, "arms"), answer, lines(drawn, counts, "More arms to choose among", "arms"))


if __name__ == "__main__":
    main()
