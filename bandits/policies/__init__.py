"""The policies, one class a file."""

from bandits.policies.best_fixed_arm import BestFixedArm
from bandits.policies.epsilon_greedy import EpsilonGreedy
from bandits.policies.lin_ts import LinTS
from bandits.policies.lin_ucb import LinUCB
from bandits.policies.reinforce import AdamWSettings, Reinforce
from bandits.policies.uniform import Uniform

__all__ = ["AdamWSettings", "BestFixedArm", "EpsilonGreedy", "LinTS", "LinUCB", "Reinforce", "Uniform"]
