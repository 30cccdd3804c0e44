"""One domain, two drafts of different expertise: does the policy learn which of them knows it?"""

from collections.abc import Sequence

from paper_parts.choosing import DOMAIN, FIXED, ORACLE, RANDOM, Asked
from paper_parts.comparison import bars, compared, gain, table
from paper_parts.running import Found, Options, run
from paper_parts.stored import Stored


def main(arguments: Sequence[str] | None = None) -> dict[str, object]:
    """Run it."""
    return run("one_domain", experiment, arguments)


def experiment(stored: Stored, options: Options) -> Found:
    """Choose among both specialists and no draft, in each specialist's domain alone."""
    specialists = stored.target.specialists
    asked = {domain: Asked(stored.target.small, (domain,)) for domain in specialists}
    found = compared(stored, asked, options.seeds)
    answer = ". ".join(
        f"On {domain}, {gain(choices)}, and picks {specialists[domain]} for "
        f"{choices.picks['REINFORCE'][choices.arms.index(specialists[domain])]:.0%} of the queries"
        for domain, choices in found.items()
    )
    shown = (RANDOM, FIXED, DOMAIN, "REINFORCE", "KNN", ORACLE)
    return Found(table(found, "domain"), f"{answer}.", bars(found, shown, "One domain, two specialists"))


if __name__ == "__main__":
    main()
