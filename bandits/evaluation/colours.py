"""One colour for each arm and policy, the same in every picture."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

TEXT = "#7f7f7f"  # legible on white and on the dark pages alike
GRID = "#7f7f7f40"

PALETTE = (
    "#4c8fdd",  # blue
    "#e07b39",  # orange
    "#3aa66f",  # green
    "#c65b9c",  # magenta
    "#8f76d6",  # violet
    "#b9982a",  # ochre
    "#2aa5b5",  # teal
    "#d95757",  # red
    "#7d9c3c",  # olive
    "#6b7fb8",  # slate blue
    "#c98a6a",  # tan
    "#5d9e92",  # sage
    "#a1648f",  # plum
    "#d9a441",  # amber
    "#5aa9e6",  # sky
    "#b5654d",  # brick
)

_KNOWN = {
    "no_draft": "#8a8f98",
    "uniform": "#a7a9ac",
    "oracle": "#6d6d6d",
    "fastest": "#6d6d6d",
    "best fixed arm": "#9a8c7c",
    "best_fixed": "#9a8c7c",
    "best_fixed_arm": "#9a8c7c",
    "bestfixedarm": "#9a8c7c",
    "suffix_3": PALETTE[0],
    "suffix_15": PALETTE[6],
    "draft_maths_4": PALETTE[1],
    "draft_code_4": PALETTE[2],
    "suffix_by_match": PALETTE[9],
    "suffix_or_maths": PALETTE[10],
    "suffix_or_code": PALETTE[11],
    "linucb": PALETTE[4],
    "lin_ucb": PALETTE[4],
    "lints": PALETTE[3],
    "lin_ts": PALETTE[3],
    "knn": PALETTE[7],
    "reinforce": PALETTE[5],
    "squarecb": PALETTE[8],
    "square_cb": PALETTE[8],
    "hybridlinucb": PALETTE[9],
    "hybrid_lin_ucb": PALETTE[9],
    "ucb1": PALETTE[10],
    "epsilon_greedy": PALETTE[11],
    "softmax": PALETTE[12],
}


def colour_of(name: str) -> str:
    """Return the colour of an arm or policy, which depends on its name only."""
    known = _KNOWN.get(name.lower())
    return known if known is not None else PALETTE[sha256(name.encode("utf-8")).digest()[0] % len(PALETTE)]


def colours_of(names: Sequence[str]) -> dict[str, str]:
    """Return each name's colour; of two names that would share one in a picture, the later takes the next free one."""
    chosen: dict[str, str] = {}
    for name in names:
        colour = colour_of(name)
        if colour in chosen.values() and colour in PALETTE:
            start = PALETTE.index(colour)
            turned = (*PALETTE[start:], *PALETTE[:start])
            colour = next((other for other in turned if other not in chosen.values()), colour)
        chosen[name] = colour
    return chosen
