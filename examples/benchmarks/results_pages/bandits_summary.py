"""What a reader of the page on other libraries asks first: is it fast, and are its choices as good."""

from collections.abc import Mapping, Sequence

from results_pages.parts import Record, table, two_digits

_ASKED = {
    "fit": "learn from a log",
    "batch": "choose for a batch",
    "decision": "choose once",
    "online": "choose once and learn",
}


def bandits_summary(parts: Mapping[str, Record]) -> list[str]:
    """Return the answers in sentences, and our LinUCB beside the fastest peer."""
    lines = []
    if "quality" in parts:
        for way, text in (("logged", "Learning from a log"), ("online", "Learning as it goes")):
            rows = [row for row in parts["quality"]["rows"] if row["way"] == way and "best_peer" in row]
            lines += [_quality(text, algorithm, rows) for algorithm in dict.fromkeys(row["algorithm"] for row in rows)]
    if "speed" in parts:
        lines += ["", "Time of one row, ours beside the fastest library's that computes the same:", ""]
        lines += _speed(parts["speed"]["rows"])
    return [*lines, ""]


def _quality(text: str, algorithm: str, rows: Sequence[Record]) -> str:
    """Return one sentence: on how many data sets ours brings more, as much, or less than the best peer."""
    own = [row["best_peer"] for row in rows if row["algorithm"] == algorithm]
    more, less = sum(cell["low"] > 0 for cell in own), sum(cell["high"] < 0 for cell in own)
    return (
        f"- **{text}, {algorithm}**: against the best library on each of {len(own)} data sets, more reward on {more}, "
        f"less on {less}, no difference that the interval allows to name on {len(own) - more - less}."
    )


def _speed(rows: Sequence[Record]) -> list[str]:
    cells = []
    for n_features in dict.fromkeys(row["d"] for row in rows):
        for operation, text in _ASKED.items():
            same = [r for r in rows if (r["d"], r["operation"]) == (n_features, operation) and r["same_rule"]]
            if same:
                peer = min(same, key=lambda row: float(row["peer_us"]))
                ratio = two_digits({**peer, "value": peer["ratio"]})
                cells.append([f"{text}, {n_features} features", f"{peer['ours_us']:,.1f} µs", peer["peer"], ratio])
    return table(["", "ours", "fastest peer", "ours over the peer's"], cells)
