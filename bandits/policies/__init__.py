"""The policies, one class a file, on one base class; `POLICIES` is the table of their names."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from bandits.policies.additive_policy import AdditivePolicy
from bandits.policies.best_fixed_arm import BestFixedArm
from bandits.policies.beta_ts import BetaTS
from bandits.policies.bootstrapped_ts import BootstrappedTS
from bandits.policies.budgeted import Budgeted
from bandits.policies.cost_weighted import CostWeighted
from bandits.policies.discounted import Discounted
from bandits.policies.distributions import greedy, uniform_over
from bandits.policies.epsilon_greedy import EpsilonGreedy
from bandits.policies.exp3 import Exp3
from bandits.policies.hedge import Hedge
from bandits.policies.kept_rows import KeptRows
from bandits.policies.knn import KNN
from bandits.policies.least_cost import LeastCost
from bandits.policies.linear.diagonal_lin_ucb import DiagonalLinUCB
from bandits.policies.linear.hybrid_lin_ucb import HybridLinUCB
from bandits.policies.linear.lin_ts import LinTS, NoisePrior
from bandits.policies.linear.lin_ucb import LinUCB
from bandits.policies.linear.linear_policy import LinearPolicy
from bandits.policies.linear.square_cb import SquareCB
from bandits.policies.logistic.logistic_policy import LogisticPolicy
from bandits.policies.logistic.logistic_ts import LogisticTS
from bandits.policies.logistic.logistic_ucb import LogisticUCB
from bandits.policies.merging import merge
from bandits.policies.neural_linear.policy import NeuralLinearTS
from bandits.policies.policy import Policy
from bandits.policies.predicts_rewards import PredictsRewards
from bandits.policies.priced import Priced
from bandits.policies.regression import Regression
from bandits.policies.reinforce.policy import Reinforce
from bandits.policies.reinforce.settings import AdamWSettings, ObjectiveSettings
from bandits.policies.reset_on_drift import DriftReset, ResetOnDrift, resets_since
from bandits.policies.saved_policy import read_policy
from bandits.policies.selected import Selected
from bandits.policies.settings import policy_of_settings
from bandits.policies.sliding_window import SlidingWindow
from bandits.policies.softmax import Softmax
from bandits.policies.state import PolicyState
from bandits.policies.ucb1 import UCB1
from bandits.policies.uniform import Uniform
from bandits.policies.wrapped_policy import WrappedPolicy

POLICIES: dict[str, type[Policy]] = {
    "uniform": Uniform,
    "best_fixed_arm": BestFixedArm,
    "ucb1": UCB1,
    "beta_ts": BetaTS,
    "hedge": Hedge,
    "exp3": Exp3,
    "lin_ucb": LinUCB,
    "hybrid_lin_ucb": HybridLinUCB,
    "diagonal_lin_ucb": DiagonalLinUCB,
    "lin_ts": LinTS,
    "square_cb": SquareCB,
    "logistic_ucb": LogisticUCB,
    "logistic_ts": LogisticTS,
    "knn": KNN,
    "regression": Regression,
    "bootstrapped_ts": BootstrappedTS,
    "neural_linear_ts": NeuralLinearTS,
    "reinforce": Reinforce,
    "selected": Selected,
    "epsilon_greedy": EpsilonGreedy,
    "softmax": Softmax,
    "cost_weighted": CostWeighted,
    "budgeted": Budgeted,
    "least_cost": LeastCost,
    "discounted": Discounted,
    "sliding_window": SlidingWindow,
    "reset_on_drift": ResetOnDrift,
}


def make_policy(name: str, settings: Mapping[str, object] | None = None) -> Policy:
    """Build an unfitted policy from a name and settings.

        make_policy("epsilon_greedy", {"epsilon": 0.2, "policy": "lin_ucb", "policy__ucb_width": 0.0})
        make_policy("epsilon_greedy(epsilon=0.2, policy=lin_ucb(ucb_width=0.0))")  # the same

    Args:
        name: a name in `POLICIES`, or "package.module:Class" of your own; only that module is imported. Settings may
            stand in parentheses, see `arms.named_call.read_call`.
        settings: the constructor's arguments by name; an argument that is a policy may be given by its name, and its
            own settings as `policy__NAME`.

    Raises:
        ValueError: if the name or a setting is unknown, or a value breaks the policy's rule.
        TypeError: if the class is no policy, or a value is of the wrong type.
    """
    return policy_of_settings(name, settings or {}, POLICIES)


def load_policy(
    path: str | Path,
    *,
    classes: Sequence[type[Policy]] = (),
    arm_names: Sequence[str] | None = None,
    n_features: int | None = None,
) -> Policy:
    """Read a saved policy of a class in `POLICIES`, or of one of `classes`; a class the file names is never imported.

    Args:
        path: the file, or the folder that holds it.
        classes: policy classes of your own that the file may hold.
        arm_names: if given, the arms it must have been saved for (in any order).
        n_features: if given, the context size it must have been saved for.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged, from a newer version, of an unknown class, or for other arms or
            contexts.
    """
    policy = read_policy(path, [*POLICIES.values(), *classes])
    if arm_names is not None and set(arm_names) != set(policy.arm_names):
        raise ValueError(
            f"{path} was saved for the arms {', '.join(policy.arm_names)}, not for {', '.join(arm_names)}: "
            "train it again"
        )
    if n_features is not None and policy.state is not None and policy.state.n_features != n_features:
        raise ValueError(f"{path} was saved for contexts of size {policy.state.n_features}, not {n_features}")
    return policy


__all__ = [
    "KNN",
    "POLICIES",
    "UCB1",
    "AdamWSettings",
    "AdditivePolicy",
    "BestFixedArm",
    "BetaTS",
    "BootstrappedTS",
    "Budgeted",
    "CostWeighted",
    "DiagonalLinUCB",
    "Discounted",
    "DriftReset",
    "EpsilonGreedy",
    "Exp3",
    "Hedge",
    "HybridLinUCB",
    "KeptRows",
    "LeastCost",
    "LinTS",
    "LinUCB",
    "LinearPolicy",
    "LogisticPolicy",
    "LogisticTS",
    "LogisticUCB",
    "NeuralLinearTS",
    "NoisePrior",
    "ObjectiveSettings",
    "Policy",
    "PolicyState",
    "PredictsRewards",
    "Priced",
    "Regression",
    "Reinforce",
    "ResetOnDrift",
    "Selected",
    "SlidingWindow",
    "Softmax",
    "SquareCB",
    "Uniform",
    "WrappedPolicy",
    "greedy",
    "load_policy",
    "make_policy",
    "merge",
    "resets_since",
    "uniform_over",
]
