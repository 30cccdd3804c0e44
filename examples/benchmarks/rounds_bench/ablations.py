"""What each part of a learned choice per round is worth: fitted without it, played on the same held-out texts."""

from dataclasses import replace

import numpy as np

from bandits import Bootstrap
from rounds_bench.setting import Setting
from speculative.rounds import SpeedSelector, TrainingSettings, fit_speed_selector

HIDDEN = {
    "match lengths": ("log_match", "match_is_0", "match_at_least_2", "match_at_least_4", "match_at_least_8"),
    "what look-ups foretold": ("foretold_2", "foretold_8"),
    "recent acceptance": ("accepted_2", "accepted_8"),
    "tokens of the last rounds": ("last_tokens", "recent_tokens_2", "recent_tokens_8"),
    "position and prompt length": ("log_position", "log_prompt_length"),
    "tokens not read": ("log_idle",),
}
WITHIN_QUERY = (*HIDDEN["what look-ups foretold"], *HIDDEN["recent acceptance"], *HIDDEN["tokens of the last rounds"])


def ablations(setting: Setting, whole: SpeedSelector, settings: TrainingSettings) -> dict[str, dict[str, float]]:
    """Return, for each part, how many times as fast the whole is as one without it, with intervals over prompts."""
    seconds, bootstrap = setting.seconds(whole), Bootstrap(seed=settings.seed)
    without = {
        "the prompt": replace(settings, n_prompt_features=0),
        **{name: replace(settings, without=names) for name, names in HIDDEN.items()},
        "all updates within a query": replace(settings, without=WITHIN_QUERY, inertias=(float("inf"),)),
        "a share of reading": replace(settings, idle_shares=(1.0,)),
        "a second pass of fitting": replace(settings, n_passes=1),
    }
    found = {}
    for name, changed in without.items():
        other = setting.seconds(fit_speed_selector(setting.train, setting.arms, setting.costs, changed))
        ratio = bootstrap.ratio_of_sums(np.asarray(other), seconds)
        found[name] = {"value": ratio.value, "low": ratio.low, "high": ratio.high}
    return found
