"""Contextual bandits on logged and full-information data: encoders, policies, data, evaluation.

These are the names that most programs need; the rest is in the rooms: `bandits.data` and `bandits.data.io`,
`bandits.policies`, `bandits.off_policy` and its `estimators`, `bandits.evaluation`, `bandits.simulation` and its
`environments`, `bandits.statistics`, `bandits.online`, `bandits.testing`. Names are imported when first
asked for; nothing here needs torch until `Reinforce` is fitted or `SentenceEncoder` encodes.
"""

from typing import TYPE_CHECKING

from arms.front_door import front_door as _front_door

if TYPE_CHECKING:
    from bandits.data.decision import Decision
    from bandits.data.full_information_data import FullInformationData
    from bandits.data.io.long_table import from_long_table
    from bandits.data.io.pandas import from_pandas
    from bandits.data.logged_data import LoggedData
    from bandits.data.splits import split_by_query
    from bandits.encoders.encoder import ContextEncoder
    from bandits.encoders.hashing import HashingEncoder
    from bandits.encoders.sentence import SentenceEncoder
    from bandits.evaluation.compare import compare
    from bandits.evaluation.cross_validation import cross_validated
    from bandits.evaluation.evaluate import evaluate
    from bandits.evaluation.settings import ComparisonSettings
    from bandits.off_policy.estimate import estimate
    from bandits.off_policy.estimators import IPS, SNIPS, DirectMethod, DoublyRobust, SelfNormalisedDR
    from bandits.online import Agent, DecisionLog, Learner
    from bandits.policies import (
        KNN,
        UCB1,
        BestFixedArm,
        EpsilonGreedy,
        HybridLinUCB,
        LinTS,
        LinUCB,
        Policy,
        Regression,
        Reinforce,
        Softmax,
        SquareCB,
        Uniform,
        load_policy,
    )
    from bandits.seeds import SeedTree
    from bandits.simulation.simulate import simulate
    from bandits.statistics.bootstrap import Bootstrap
    from bandits.statistics.estimate import Estimate

_HOMES = {
    "Agent": "online",
    "BestFixedArm": "policies",
    "Bootstrap": "statistics.bootstrap",
    "ComparisonSettings": "evaluation.settings",
    "ContextEncoder": "encoders.encoder",
    "Decision": "data.decision",
    "DecisionLog": "online",
    "DirectMethod": "off_policy.estimators",
    "DoublyRobust": "off_policy.estimators",
    "EpsilonGreedy": "policies",
    "Estimate": "statistics.estimate",
    "FullInformationData": "data.full_information_data",
    "HashingEncoder": "encoders.hashing",
    "HybridLinUCB": "policies",
    "IPS": "off_policy.estimators",
    "KNN": "policies",
    "Learner": "online",
    "LinTS": "policies",
    "LinUCB": "policies",
    "LoggedData": "data.logged_data",
    "Policy": "policies",
    "Regression": "policies",
    "Reinforce": "policies",
    "SNIPS": "off_policy.estimators",
    "SeedTree": "seeds",
    "SelfNormalisedDR": "off_policy.estimators",
    "SentenceEncoder": "encoders.sentence",
    "Softmax": "policies",
    "SquareCB": "policies",
    "UCB1": "policies",
    "Uniform": "policies",
    "compare": "evaluation.compare",
    "cross_validated": "evaluation.cross_validation",
    "estimate": "off_policy.estimate",
    "evaluate": "evaluation.evaluate",
    "from_long_table": "data.io.long_table",
    "from_pandas": "data.io.pandas",
    "load_policy": "policies",
    "simulate": "simulation.simulate",
    "split_by_query": "data.splits",
}

__all__ = [
    "IPS",
    "KNN",
    "SNIPS",
    "UCB1",
    "Agent",
    "BestFixedArm",
    "Bootstrap",
    "ComparisonSettings",
    "ContextEncoder",
    "Decision",
    "DecisionLog",
    "DirectMethod",
    "DoublyRobust",
    "EpsilonGreedy",
    "Estimate",
    "FullInformationData",
    "HashingEncoder",
    "HybridLinUCB",
    "Learner",
    "LinTS",
    "LinUCB",
    "LoggedData",
    "Policy",
    "Regression",
    "Reinforce",
    "SeedTree",
    "SelfNormalisedDR",
    "SentenceEncoder",
    "Softmax",
    "SquareCB",
    "Uniform",
    "compare",
    "cross_validated",
    "estimate",
    "evaluate",
    "from_long_table",
    "from_pandas",
    "load_policy",
    "simulate",
    "split_by_query",
]

__getattr__ = _front_door("bandits", _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
