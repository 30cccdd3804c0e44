"""What a card is meant to reach, and whether it did."""

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
SMALL, MIDDLE, LARGE = "SmolLM2-135M", "Llama-3.2-1B", "Llama-3.1-8B"
_HELD = (64, 504, 511, 2048, 4096)


def bars(stages: Mapping[str, Sequence[Row]]) -> list[dict[str, Any]]:
    """Return the bars whose figures were measured."""
    found: list[dict[str, Any]] = []

    def add(name: str, value: float | None, bar: float, at_most: bool = True) -> None:
        if value is not None:
            holds = value <= bar if at_most else value >= bar
            found.append({"name": name, "value": round(value, 3), "bar": bar, "at_most": at_most, "holds": holds})

    waits = [row["waits"] for row in stages.get("waits", []) if "waits" in row]
    add("most waits of a round", max(waits, default=None), 1)
    bandwidth = _figure(stages, "card", "tb_s", figure="copy")
    for model, bar in ((LARGE, 1.35), (MIDDLE, 2.0)):
        one = {"model": model, "batch": 1, "width": 1, "held": 511}
        took, bytes_read = (_figure(stages, "passes", name, **one) for name in ("graph_ms", "gigabytes"))
        if took is not None and bytes_read is not None and bandwidth is not None:
            add(f"{model}: a graph's pass over one token, times its memory floor", took * bandwidth / bytes_read, bar)
        ratios = [_ratio(stages, model, held) for held in _HELD]
        whole = [ratio for ratio in ratios if ratio is not None]
        add(f"{model}: a graph's pass over 5 tokens, times one over 1, at most held", max(whole, default=None), 1.15)
    rounds = {"model": MIDDLE, "sampling": "greedy", "batch": 1, "passes": "graphs"}
    plain, drafted = (
        _figure(stages, "speeds", "tokens_s_at_0.6", draft=draft, **rounds) for draft in ("no draft", SMALL)
    )
    if plain is not None and drafted is not None:
        add("1B with a 135M draft at acceptance 0.6, times no draft", drafted / plain, 1.0, at_most=False)
    ours, theirs = (
        _figure(stages, "peers", "tokens_s", mode=mode)
        for mode in ("draftpick, 2 layers", "transformers, 2 layers as assistant")
    )
    if ours is not None and theirs is not None:
        add("135M with a draft model, times transformers' assisted generation", ours / theirs, 8.0, at_most=False)
    return found


def _ratio(stages: Mapping[str, Sequence[Row]], model: str, held: int) -> float | None:
    five, one = (
        _figure(stages, "passes", "graph_ms", model=model, batch=1, width=width, held=held) for width in (5, 1)
    )
    return None if five is None or one is None else five / one


def _figure(stages: Mapping[str, Sequence[Row]], stage: str, name: str, **what: object) -> float | None:
    """Return one figure of the cell that is named; None where it was not measured."""
    rows = [row for row in stages.get(stage, []) if all(row.get(key) == value for key, value in what.items())]
    return next((float(row[name]) for row in rows if row.get(name) is not None), None)
