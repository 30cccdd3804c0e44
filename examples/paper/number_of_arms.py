"""Two to eight arms: does a larger choice pay, or confuse the policy?"""

from collections.abc import Sequence

from paper_parts.choosing import FIXED, ORACLE, RANDOM, Asked
from paper_parts.comparison import compared, gain, lines, table
from paper_parts.running import Found, Options, run
from paper_parts.stored import NO_DRAFT, Stored

ARMS = (
    NO_DRAFT,
    "draft_maths_4",
    "draft_code_4",
    "suffix_3",
    "early_exit_6_3",
    "suffix_11",
    "prompt_lookup_3",
    "early_exit_18_3",
)


def main(arguments: Sequence[str] | None = None) -> dict[str, object]:
    """Run it."""
    return run("number_of_arms", experiment, arguments)


def experiment(stored: Stored, options: Options) -> Found:
    """Choose among the first two to eight arms."""
    counts = range(2, len(ARMS) + 1)
    found = compared(stored, {str(k): Asked(ARMS[:k]) for k in counts}, options.seeds)
    names = (FIXED, RANDOM, "REINFORCE", "KNN", "ridge", ORACLE)
    drawn = {name: [one.over(name, NO_DRAFT) for one in found.values()] for name in names}
    few, many = found["3"], found[str(len(ARMS))]
    answer = f"With 3 arms, {gain(few)}; with {len(ARMS)}, {gain(many)}, and {gain(many, 'KNN')}."
    return Found(table(found, "arms"), answer, lines(drawn, counts, "More arms to choose among", "arms"))


if __name__ == "__main__":
    main()
