"""Off-policy estimators, one a file; each returns row terms, from which intervals and diagnostics follow."""

from bandits.off_policy.estimators.clipped_ips import ClippedIPS
from bandits.off_policy.estimators.direct_method import DirectMethod
from bandits.off_policy.estimators.doubly_robust import DoublyRobust
from bandits.off_policy.estimators.estimator import OffPolicyEstimator
from bandits.off_policy.estimators.ips import IPS
from bandits.off_policy.estimators.rejection_replay import RejectionReplay
from bandits.off_policy.estimators.self_normalised_dr import SelfNormalisedDR
from bandits.off_policy.estimators.snips import SNIPS

__all__ = [
    "IPS",
    "SNIPS",
    "ClippedIPS",
    "DirectMethod",
    "DoublyRobust",
    "OffPolicyEstimator",
    "RejectionReplay",
    "SelfNormalisedDR",
]
