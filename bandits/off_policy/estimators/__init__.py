"""Off-policy estimators, one a file; each returns row terms, from which intervals and diagnostics follow."""

from __future__ import annotations

from collections.abc import Mapping

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
from bandits.off_policy.estimators.settings import estimator_of_settings
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

        make_estimator("clipped_ips", {"max_weight": 20})
        make_estimator("doubly_robust(reward_model=cross_fitted_ridge(n_folds=3))")

    Args:
        name: a key of `ESTIMATORS`, or a path, which imports that module only. Settings may stand in parentheses, see
            `arms.named_call.read_call`.
        settings: the constructor's arguments; a reward model or an estimator among them may be given by its name.

    Raises:
        ValueError: if the name is unknown, the path does not lead to an estimator, or a setting is none of its own or
            missing.
    """
    return estimator_of_settings(name, settings, ESTIMATORS)


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
