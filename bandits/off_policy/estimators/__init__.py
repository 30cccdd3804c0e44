"""Off-policy estimators, one a file; each returns row terms, from which intervals and diagnostics follow."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

from arms.plugin import find_plugin
from bandits.off_policy.estimators.additive_slate import AdditiveSlate
from bandits.off_policy.estimators.balanced_ips import BalancedIPS
from bandits.off_policy.estimators.clipped_ips import ClippedIPS
from bandits.off_policy.estimators.direct_method import DirectMethod
from bandits.off_policy.estimators.doubly_robust import DoublyRobust
from bandits.off_policy.estimators.estimator import OffPolicyEstimator
from bandits.off_policy.estimators.ips import IPS
from bandits.off_policy.estimators.marginalised_ips import MarginalisedIPS
from bandits.off_policy.estimators.more_robust_dr import MoreRobustDR
from bandits.off_policy.estimators.multi_logger import MultiLogger
from bandits.off_policy.estimators.rejection_replay import RejectionReplay
from bandits.off_policy.estimators.self_normalised_dr import SelfNormalisedDR
from bandits.off_policy.estimators.shrunk_dr import ShrunkDR
from bandits.off_policy.estimators.slope import Slope
from bandits.off_policy.estimators.snips import SNIPS
from bandits.off_policy.estimators.sub_gaussian_dr import SubGaussianDR
from bandits.off_policy.estimators.sub_gaussian_ips import SubGaussianIPS
from bandits.off_policy.estimators.switch_dr import SwitchDR

ESTIMATORS: dict[str, type[OffPolicyEstimator]] = {
    "ips": IPS,
    "clipped_ips": ClippedIPS,
    "snips": SNIPS,
    "direct_method": DirectMethod,
    "doubly_robust": DoublyRobust,
    "self_normalised_dr": SelfNormalisedDR,
    "rejection_replay": RejectionReplay,
    "switch_dr": SwitchDR,
    "shrunk_dr": ShrunkDR,
    "sub_gaussian_ips": SubGaussianIPS,
    "sub_gaussian_dr": SubGaussianDR,
    "slope": Slope,
    "more_robust_dr": MoreRobustDR,
    "balanced_ips": BalancedIPS,
    "marginalised_ips": MarginalisedIPS,
    "multi_logger": MultiLogger,
    "additive_slate": AdditiveSlate,
}
"""Estimators by name."""


def make_estimator(name: str, settings: Mapping[str, object] | None = None) -> OffPolicyEstimator:
    """Return an estimator by its name, or one of your own by `package.module:Class`.

    Args:
        name: a key of `ESTIMATORS`, or a path, which imports that module only.
        settings: the constructor's arguments.

    Raises:
        ValueError: if the name is unknown, the path does not lead to an estimator, or a setting is none of its own or
            missing.
    """
    estimator_class = find_plugin(name, ESTIMATORS, OffPolicyEstimator, "estimator")
    known = inspect.signature(estimator_class).parameters
    for setting in settings or {}:
        if setting not in known:
            shown = ", ".join(known) or "none"
            raise ValueError(f"estimator {name!r} has no setting {setting!r}; it has {shown}")
    missing = [key for key, parameter in known.items() if _is_needed(parameter) and key not in (settings or {})]
    if missing:
        how = f"make_estimator({name!r}, {{{missing[0]!r}: ...}})"
        raise ValueError(f"estimator {name!r} needs the setting {', '.join(missing)}: {how}")
    return estimator_class(**(settings or {}))


def _is_needed(parameter: inspect.Parameter) -> bool:
    is_one = parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    return is_one and parameter.default is parameter.empty


__all__ = [
    "ESTIMATORS",
    "IPS",
    "SNIPS",
    "AdditiveSlate",
    "BalancedIPS",
    "ClippedIPS",
    "DirectMethod",
    "DoublyRobust",
    "MarginalisedIPS",
    "MoreRobustDR",
    "MultiLogger",
    "OffPolicyEstimator",
    "RejectionReplay",
    "SelfNormalisedDR",
    "ShrunkDR",
    "Slope",
    "SubGaussianDR",
    "SubGaussianIPS",
    "SwitchDR",
    "make_estimator",
]
