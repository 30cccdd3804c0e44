"""The loop: an agent that chooses, pulls, rewards and logs, and a learner that reads the log."""

from bandits.online.agent import Agent
from bandits.online.decision_log import DecisionLog, TornRecordWarning
from bandits.online.domains import ServedDomain, served_domains
from bandits.online.hindsight import Hindsight
from bandits.online.learner import Learner
from bandits.online.pooled_learner import PooledLearner
from bandits.online.records import LoggedDecision, PolicyVersion
from bandits.online.rollout import Rollout
from bandits.online.time_budget import TimeBudget
from bandits.online.trial import Trial

__all__ = [
    "Agent",
    "DecisionLog",
    "Hindsight",
    "Learner",
    "LoggedDecision",
    "PolicyVersion",
    "PooledLearner",
    "Rollout",
    "ServedDomain",
    "TimeBudget",
    "TornRecordWarning",
    "Trial",
    "served_domains",
]
