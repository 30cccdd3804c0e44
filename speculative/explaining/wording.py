"""What is said of a round, in the same words everywhere."""

from collections.abc import Mapping, Sequence

from speculative.explaining.answer import ExplainedAnswer, ExplainedRound
from speculative.protocols.round_report import RoundReport

NEW_LINE = "\u21b5"


def picked(report: RoundReport) -> str:
    """Say which arm was picked, and which one a rule took."""
    return report.arm if report.arm == report.drafted_by else f"{report.arm} > {report.drafted_by}"


def known(one: ExplainedRound) -> str:
    """Say what was known before a round."""
    parts = []
    if one.report.match_lengths:
        parts.append("match " + _listed({name: str(n) for name, n in one.report.match_lengths.items()}))
    if one.recent:
        counts = {name: f"{accepted} of {proposed}" for name, (accepted, proposed) in one.recent.items()}
        parts.append("lately accepted " + _listed(counts))
    return "; ".join(parts) or "nothing yet"


def milliseconds(report: RoundReport) -> str:
    """Say where a round's time went."""
    parts = {
        "choosing": report.select_s,
        "drafting": report.draft_s,
        "verifying": report.verify_s,
        "bookkeeping": report.host_s,
    }
    return f"{report.seconds * 1000:.1f} ms: " + _listed({name: f"{s * 1000:.1f}" for name, s in parts.items()})


def outline(answer: ExplainedAnswer) -> Sequence[str]:
    """Say what the whole answer came to, a fact a line."""
    stats = answer.stats
    lines = [
        f"{stats.n_new} tokens in {stats.n_rounds} rounds after the prompt's pass, {stats.seconds:.2f} s",
        f"{stats.n_accepted} of the tokens are draft tokens; {stats.n_proposed} were proposed",
    ]
    lines += [f"draft {fault.draft} was disabled in round {fault.round + 1}: {fault.reason}" for fault in stats.faults]
    return lines


def _listed(values: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
