"""Held-out value of policies: evaluate, compare, their tables and plots."""

from bandits.evaluation.arm_change import ArmChange, arm_changes
from bandits.evaluation.comparison import Comparison, ComparisonRow, CurvePoint, RefusedRow
from bandits.evaluation.conclusion import Conclusion
from bandits.evaluation.cross_validation import HeldOutScore
from bandits.evaluation.evaluation import Evaluation, EvaluationRow
from bandits.evaluation.importance import FeatureImportance, feature_importance, held_out_importance
from bandits.evaluation.log_replay import LogReplay, ReplayedRow, replay_log
from bandits.evaluation.objective import best_fixed_arm, objective_of
from bandits.evaluation.report import write_report
from bandits.evaluation.rolling import RollingSettings, evaluate_rolling
from bandits.evaluation.rolling_result import RollingEvaluation, RollingPoint, RollingRow, RollingWindow
from bandits.evaluation.segments import SegmentRow
from bandits.evaluation.trade_off_result import RoutingNumbers, TradeOff, TradeOffPoint
from bandits.evaluation.weight_sweep import trade_off

__all__ = [
    "ArmChange",
    "Comparison",
    "ComparisonRow",
    "Conclusion",
    "CurvePoint",
    "Evaluation",
    "EvaluationRow",
    "FeatureImportance",
    "HeldOutScore",
    "LogReplay",
    "RefusedRow",
    "ReplayedRow",
    "RollingEvaluation",
    "RollingPoint",
    "RollingRow",
    "RollingSettings",
    "RollingWindow",
    "RoutingNumbers",
    "SegmentRow",
    "TradeOff",
    "TradeOffPoint",
    "arm_changes",
    "best_fixed_arm",
    "evaluate_rolling",
    "feature_importance",
    "held_out_importance",
    "objective_of",
    "replay_log",
    "trade_off",
    "write_report",
]
