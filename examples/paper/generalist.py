"""A generalist draft against specialists and the best choice among them, which such papers leave out."""

from collections.abc import Sequence

from paper_parts.choosing import DOMAIN, FIXED, LEARNED, ORACLE, Asked, times_as_fast
from paper_parts.comparison import bars, compared, table
from paper_parts.running import Found, Options, run
from paper_parts.stored import Stored
from paper_parts.targets import NO_DRAFT


def main(arguments: Sequence[str] | None = None) -> dict[str, object]:
    """Run it."""
    return run("generalist", experiment, arguments)


def experiment(stored: Stored, options: Options) -> Found:
    """Choose among no draft and the specialists, without the generalist and with it, and hold both against it alone."""
    generalist, small = stored.target.generalist, stored.target.small
    if generalist is None:
        raise ValueError(f"generalist needs a draft that learned from all domains, which {stored.target.title} lacks")
    settings = {"specialists": Asked(small), "with the generalist": Asked((*small, generalist))}
    found = compared(stored, settings, options.seeds)
    few, all_ = found.values()
    alone = all_.seconds[generalist]

    def against(name: str) -> str:
        return f"{times_as_fast(few.seconds[name], alone):.2f}"

    chosen = ", ".join(
        f"{name} is {against(name)} times the generalist" for name in ("REINFORCE", "KNN", DOMAIN, ORACLE)
    )
    beside = " and ".join(f"{name} {all_.over(name, generalist):.2f}" for name in ("REINFORCE", "KNN"))
    answer = (
        f"The generalist alone is {all_.over(generalist, NO_DRAFT):.2f} times as fast as no draft. Among the "
        f"specialists and no draft {chosen}; with the generalist among the arms {beside} times the generalist alone."
    )
    shown = {"with the generalist": all_}
    names = (*small[1:], generalist, FIXED, *LEARNED, DOMAIN, ORACLE)
    return Found(table(found), answer, bars(shown, names, "A generalist, specialists, and a choice among them"))


if __name__ == "__main__":
    main()
