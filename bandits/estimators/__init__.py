"""Off-policy estimators, one a file; each gives row terms, from which `bandits.intervals` computes the rest."""

from bandits.estimators.clipped_ips import ClippedIPS
from bandits.estimators.direct_method import DirectMethod
from bandits.estimators.doubly_robust import DoublyRobust
from bandits.estimators.estimator import OffPolicyEstimator
from bandits.estimators.ips import IPS
from bandits.estimators.rejection_replay import RejectionReplay
from bandits.estimators.self_normalised_dr import SelfNormalisedDR
from bandits.estimators.snips import SNIPS

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
