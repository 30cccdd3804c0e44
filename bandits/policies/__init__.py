"""The policies, one class a file, on one base class."""

from bandits.policies.additive_policy import AdditivePolicy
from bandits.policies.best_fixed_arm import BestFixedArm
from bandits.policies.epsilon_greedy import EpsilonGreedy
from bandits.policies.knn import KNN
from bandits.policies.linear.hybrid_lin_ucb import HybridLinUCB
from bandits.policies.linear.lin_ts import LinTS
from bandits.policies.linear.lin_ucb import LinUCB
from bandits.policies.linear.square_cb import SquareCB
from bandits.policies.reinforce.policy import AdamWSettings, Reinforce
from bandits.policies.softmax import PredictsRewards, Softmax
from bandits.policies.ucb1 import UCB1
from bandits.policies.uniform import Uniform
from bandits.policies.wrapped_policy import WrappedPolicy

__all__ = [
    "KNN",
    "UCB1",
    "AdamWSettings",
    "AdditivePolicy",
    "BestFixedArm",
    "EpsilonGreedy",
    "HybridLinUCB",
    "LinTS",
    "LinUCB",
    "PredictsRewards",
    "Reinforce",
    "Softmax",
    "SquareCB",
    "Uniform",
    "WrappedPolicy",
]
