"""Selectors: one arm always, a policy's choice for a query, and the rules that others ship, to compare with."""

from collections.abc import Mapping

from arms.plugin import read_spec
from speculative.protocols.selector import QueryState, RoundContext, Selector
from speculative.selectors.acceptance_gate import AcceptanceGate
from speculative.selectors.conservative import Conservative
from speculative.selectors.exp3_spec import EXP3Spec
from speculative.selectors.fixed import FixedSelector
from speculative.selectors.hedge_spec import HedgeSpec
from speculative.selectors.meta_sd import MetaSD
from speculative.selectors.priority_rule import PriorityRule
from speculative.selectors.spec import SelectorSpec
from speculative.selectors.tap_out import TapOut
from speculative.selectors.ucb_spec import UCBSpec

SELECTORS: dict[str, type[Selector]] = {
    "fixed": FixedSelector,
    "priority_rule": PriorityRule,
    "meta_sd": MetaSD,
    "ucb_spec": UCBSpec,
    "exp3_spec": EXP3Spec,
    "hedge_spec": HedgeSpec,
    "tap_out": TapOut,
    "acceptance_gate": AcceptanceGate,
}
"""The kinds of selectors by the name that files and options use."""


def read_selector_spec(settings: SelectorSpec | Mapping[str, object] | str) -> SelectorSpec:
    """Return the checked settings of a selector: `arms.plugin.read_spec` for `SELECTORS`."""
    return read_spec(settings, SELECTORS, Selector, SelectorSpec, "selector")


__all__ = [
    "SELECTORS",
    "AcceptanceGate",
    "Conservative",
    "EXP3Spec",
    "FixedSelector",
    "HedgeSpec",
    "MetaSD",
    "PriorityRule",
    "QueryState",
    "RoundContext",
    "Selector",
    "SelectorSpec",
    "TapOut",
    "UCBSpec",
    "read_selector_spec",
]
