"""The same sizes in other libraries, each with rows that are in memory already."""

from collections.abc import Callable
from importlib.metadata import version

import numpy as np

from bandits import LinUCB, LoggedData
from scale_bench.drawn import drawn_log

Run = Callable[[], None]


def mabwiser_fit(log: LoggedData) -> Run:
    """Return MABWiser's LinUCB over all rows, one job, its defaults."""
    from mabwiser.mab import MAB, LearningPolicy

    mab = MAB(list(range(log.n_arms)), LearningPolicy.LinUCB())
    return lambda: mab.fit(log.actions, log.rewards, log.contexts)


def contextualbandits_fit(log: LoggedData) -> Run:
    """Return contextualbandits' LinUCB over all rows; it takes rewards of 0 and 1."""
    from contextualbandits.online import LinUCB as TheirLinUCB

    theirs = TheirLinUCB(nchoices=log.n_arms, njobs=1)
    return lambda: theirs.fit(log.contexts.astype(np.float64), log.actions, (log.rewards > 0).astype(np.float64))


def obp_estimate(log: LoggedData) -> Run:
    """Return Open Bandit Pipeline's SNIPS and doubly robust estimate, ridge regressions in five folds, no interval."""
    from obp.ope import DoublyRobust, OffPolicyEvaluation, RegressionModel, SelfNormalizedInverseProbabilityWeighting
    from sklearn.linear_model import Ridge

    probabilities = LinUCB().fit(drawn_log(2_000 * log.n_arms, log.n_features, log.n_arms)).probabilities(log.contexts)
    feedback = {
        "n_rounds": len(log),
        "n_actions": log.n_arms,
        "action": log.actions,
        "position": None,
        "reward": log.rewards,
        "pscore": log.propensities,
        "context": log.contexts,
    }

    def run() -> None:
        model = RegressionModel(n_actions=log.n_arms, base_model=Ridge())
        predicted = model.fit_predict(log.contexts, log.actions, log.rewards, n_folds=5, random_state=0)
        estimators = [SelfNormalizedInverseProbabilityWeighting(), DoublyRobust()]
        evaluation = OffPolicyEvaluation(bandit_feedback=feedback, ope_estimators=estimators)
        print(evaluation.estimate_policy_values(probabilities[:, :, None], predicted))

    return run


def our_fit(log: LoggedData) -> Run:
    """Return our LinUCB over all rows."""
    return lambda: [LinUCB().fit(log)].clear()


def our_estimate(log: LoggedData) -> Run:
    """Return our SNIPS and doubly robust estimate, ridge regressions in five folds, with intervals."""
    from bandits import estimate

    policy = LinUCB().fit(drawn_log(2_000 * log.n_arms, log.n_features, log.n_arms))
    return lambda: print(estimate(policy, log, estimators=("snips", "doubly_robust")))


PEERS: dict[str, tuple[str, str, Callable[[LoggedData], Run]]] = {
    "our-fit": ("draftpick", "LinUCB, fit", our_fit),
    "mabwiser": ("mabwiser", "LinUCB, fit", mabwiser_fit),
    "contextualbandits": ("contextualbandits", "LinUCB, fit, rewards of 0 and 1", contextualbandits_fit),
    "our-estimate": ("draftpick", "SNIPS and doubly robust, with intervals", our_estimate),
    "obp": ("obp", "SNIPS and doubly robust, without intervals", obp_estimate),
}


def library(name: str) -> str:
    """Return a library with its version."""
    return f"{name} {version(name)}"
