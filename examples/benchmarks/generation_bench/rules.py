"""The rules that others ship, over the arms of whatever pool is measured."""

from collections.abc import Mapping

from speculative.drafts import DRAFTS
from speculative.measuring.cost_profile import CostProfile
from speculative.measuring.wall_clock import Mode, selector_mode
from speculative.pools.pool import Pool
from speculative.protocols.draft import Draft
from speculative.selectors import MetaSD, PriorityRule, UCBSpec

LOOKUPS = ("prompt_lookup", "suffix")
LONG_MATCH, SHORT_MATCH = 4, 2


def threshold_modes(pool: Pool) -> dict[str, Mode]:
    """Look-ups by the length of their match.

    Of each look-up the long arm from a match of 4 tokens on, else the short one; and each short one from a match of
    2 tokens on, else the pool's first draft model.
    """
    arms = _arms_by_kind(pool)
    rules: dict[str, tuple[Mapping[str, int], str]] = {}
    for kind in LOOKUPS:
        of_kind = sorted(arms.get(kind, []), key=lambda name: pool.arms[name].draft_length)
        if len(of_kind) > 1:
            short, long = of_kind[0], of_kind[-1]
            rules[f"{long} from {LONG_MATCH} matching, else {short}"] = ({long: LONG_MATCH}, short)
        if of_kind and "draft_model" in arms:
            model = arms["draft_model"][0]
            rules[f"{of_kind[0]} from {SHORT_MATCH} matching, else {model}"] = ({of_kind[0]: SHORT_MATCH}, model)
    return {name: _rule_mode(pool, name, lengths, fallback) for name, (lengths, fallback) in rules.items()}


def ucb_modes(pool: Pool, costs: CostProfile) -> dict[str, Mode]:
    """Return the bandit rules, among the first arm of each look-up and of each draft model."""
    names = ucb_arms(pool)
    if len(names) < 2:
        return {}
    longest = max(pool.arms[name].draft_length for name in names)
    arms = [pool.arms[name] for name in names]
    plain_s = costs.verify_s(1, 256)
    makers = {
        "MetaSD": lambda: MetaSD(longest),
        "UCBSpec": lambda: UCBSpec(longest),
        "UCBSpec by seconds": lambda: UCBSpec(longest, plain_round_s=plain_s),
    }
    return {name: selector_mode(arms, make, name=name) for name, make in makers.items()}


def ucb_arms(pool: Pool) -> list[str]:
    """Return what the bandit rules choose from."""
    first: dict[str, str] = {}
    for arm in pool.fixed_arms:
        kind = kind_of(arm.draft)
        if kind in (*LOOKUPS, "draft_model"):
            first.setdefault(kind if kind in LOOKUPS else arm.draft.name, arm.name)
    return list(first.values())


def kind_of(draft: Draft) -> str:
    """Return the name of a draft's class in the registry."""
    return next(kind for kind, cls in DRAFTS.items() if type(draft) is cls)


def _arms_by_kind(pool: Pool) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for arm in pool.fixed_arms:
        found.setdefault(kind_of(arm.draft), []).append(arm.name)
    return found


def _rule_mode(pool: Pool, name: str, min_match_lengths: Mapping[str, int], fallback: str) -> Mode:
    lengths = {pool.arms.index(arm): length for arm, length in min_match_lengths.items()}
    return selector_mode(pool.arms, lambda: PriorityRule(lengths, fallback=pool.arms.index(fallback)), name=name)
