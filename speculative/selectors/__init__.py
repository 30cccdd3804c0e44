"""The rules that others ship for choosing an arm at every round, as selectors to compare with."""

from speculative.selectors.meta_sd import MetaSD
from speculative.selectors.priority_rule import PriorityRule
from speculative.selectors.ucb_spec import UCBSpec

__all__ = ["MetaSD", "PriorityRule", "UCBSpec"]
