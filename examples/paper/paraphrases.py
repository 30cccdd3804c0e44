"""The same requests in other words and another template: how much of each policy's gain survives?"""

from collections.abc import Sequence

import numpy as np
from paper_parts.choosing import FIXED, LEARNED, ORACLE, choose, learners, times_as_fast
from paper_parts.round_choice import GATED, PRIOR, SPEED, learned_selectors, played_s
from paper_parts.running import Found, Options, run
from paper_parts.stored import Stored

from bandits import Estimate, FullInformationData
from bandits.evaluation.canvas import interval_bars
from bandits.policies.shrunk import shrunk

SIDES = {"test": "as asked", "otherwise": "paraphrased"}


def main(arguments: Sequence[str] | None = None) -> dict[str, object]:
    """Run it."""
    return run("paraphrases", experiment, arguments)


def experiment(stored: Stored, options: Options) -> Found:
    """Learn from the training queries, and choose for the test queries as asked and paraphrased."""
    if "otherwise" not in stored.sides:
        raise ValueError("paraphrases needs the test queries asked otherwise: make_traces.py traces them")
    train = stored.data("train", stored.target.full)
    sides = {side: stored.data(side, stored.target.full) for side in SIDES}
    chosen = {side: choose(train, data, stored.encode_s(side), options.seeds) for side, data in sides.items()}
    selectors = learned_selectors(stored)
    gains: dict[str, dict[str, Estimate]] = {}
    for name in (*LEARNED, ORACLE):
        gains[name] = {side: chosen[side].over(name, FIXED) for side in SIDES}
    for name, selector in selectors.items():
        gains[name] = {
            side: times_as_fast(played_s(stored, name, selector, side)[None], chosen[side].seconds[FIXED])
            for side in SIDES
        }
    moved = {name: _moved(train, sides, name) for name in LEARNED}
    rows: list[dict[str, object]] = [
        {
            "name": name,
            **{f"{told}, times {FIXED}": own[side] for side, told in SIDES.items()},
            "share of the gain that survives": _survives(own),
            "queries whose arm changes": moved.get(name),
        }
        for name, own in gains.items()
    ]
    told = [
        f"{name} {own['test']:.3f} as asked and {own['otherwise']:.3f} paraphrased"
        for name, own in gains.items()
        if name in ("REINFORCE", "KNN", SPEED, PRIOR, GATED)
    ]
    answer = (
        f"Times the best fixed arm: {'; '.join(told)}. In another template REINFORCE takes another arm for "
        f"{moved['REINFORCE']:.0%} of the queries, KNN for {moved['KNN']:.0%}."
    )
    shown = {f"{name}, {said}": own[side] for name, own in gains.items() for side, said in SIDES.items()}
    title = "The same requests in other words and another template"
    return Found(
        rows, answer, lambda path: interval_bars(path, shown, title=title, x_label="times the best fixed arm", line=1.0)
    )


def _survives(gain: dict[str, Estimate]) -> float | None:
    """Return which share of the gain is left; None where there was none beyond noise."""
    return (gain["otherwise"].value - 1) / (gain["test"].value - 1) if gain["test"].low > 1 else None


def _moved(train: FullInformationData, sides: dict[str, FullInformationData], name: str) -> float:
    """Return the share of queries for which a policy takes another arm when they are asked otherwise."""
    policy = shrunk(learners(0)[name], train).fit(train)
    picks = [data.probabilities_of(policy).argmax(axis=1) for data in sides.values()]
    return float(np.mean(picks[0] != picks[1]))


if __name__ == "__main__":
    main()
