"""Every number that a person sets is checked where it is given: text, True or NaN in its place is one clear error."""

import importlib
import inspect
import math
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import is_typeddict

import numpy as np
import pytest
from pydantic import ValidationError

import arms
import bandits
import speculative
from bandits import data, evaluation, off_policy, online, policies
from bandits.off_policy.estimators import ESTIMATORS
from bandits.policies import POLICIES
from bandits.simulation import environments
from bandits.testing import example_data, example_log
from rewards import REWARDS
from speculative import rounds, selectors, serving
from speculative.collection.arm_plan import ArmPlan
from speculative.collection.settings import CollectSettings
from speculative.distillation import prompts
from speculative.distillation.head_training import HeadSettings
from speculative.distillation.training import DistillSettings
from speculative.drafts import DRAFTS
from speculative.engine.settings import EngineSettings
from speculative.pools.arm_specs import ArmSpec, ClauseSpec
from speculative.pools.spec import POOL_ENCODERS, PoolSpec
from speculative.protocols.request import Request
from speculative.selectors import FixedSelector, PriorityRule
from tests.support.public_names import public_names
from tests.support.tiny_pool import plain_costs, save_pool

NO_NUMBERS = ("1", b"1", True, math.nan, [1], 1j)
NO_INTEGERS = (*NO_NUMBERS, 1.5, 1.0)
RNG = np.random.default_rng(0)


def of_rounds() -> dict[str, Callable[..., object]]:
    plans = {"plain": ArmPlan.fixed("no_draft", 0), "look_up": ArmPlan.fixed("look_up", 2)}
    model = rounds.AcceptanceModel(rounds.RecordLayout(plans))
    costs, contexts = plain_costs("look_up"), np.ones((2, 3), np.float32)
    speed = rounds.SpeedSelector(model, costs, rate=1.0)
    return {
        "AcceptanceModel": partial(rounds.AcceptanceModel, model.layout),
        "HybridVerified": partial(rounds.HybridVerified, model, cache=1, other=0, threshold=1.0),
        "PromptFeatures.fit": partial(rounds.PromptFeatures.fit, contexts, n_features=1),
        "QueryGate.fit": partial(rounds.QueryGate.fit, contexts, np.ones((2, 1)), n_neighbors=1),
        "SpeedSelector": partial(rounds.SpeedSelector, model, costs, rate=1.0),
        "SpeedSelector.with_changes": partial(speed.with_changes, costs),
        "TrainingSettings": rounds.TrainingSettings,
        "evaluate_rounds": partial(rounds.evaluate_rounds, (), plans, costs),
        "round_data": partial(rounds.round_data, (), plans, costs, rate=1.0),
    }


def of_data() -> dict[str, Callable[..., object]]:
    table, log, policy = example_data(12), example_log(), bandits.LinUCB()
    return {
        "arm_changes": partial(evaluation.arm_changes, replace(log, times=range(len(log)))),
        "cross_validated": partial(bandits.cross_validated, policy, table),
        "estimate": partial(bandits.estimate, policy.fit(log), log),
        "estimate_propensities": partial(data.estimate_propensities, log),
        "feature_importance": partial(evaluation.feature_importance, policy, table, {"all": [0]}),
        "held_out_importance": partial(evaluation.held_out_importance, policy, table, {"all": [0]}),
        "folds_by_query": lambda n_folds: list(data.folds_by_query(table, n_folds, RNG)),
        "split_by_query": partial(data.split_by_query, table, test_share=0.5, rng=RNG),
        "split_by_time": partial(data.split_by_time, table, test_share=0.5),
        "estimate_by_segment": partial(off_policy.estimate_by_segment, policy.fit(log), log),
        "estimate_problem": partial(off_policy.estimate_problem, off_policy.OffPolicyProblem.of(policy, log)),
        "Bounds": off_policy.Bounds,
        "OffPolicyProblem.of": partial(off_policy.OffPolicyProblem.of, policy, log),
        "arm_frequencies": partial(data.arm_frequencies, log.actions, n_arms=log.n_arms),
        "replay_log": partial(evaluation.replay_log, policy, log),
        "simulate": partial(bandits.simulate, policy, environments.LinearEnvironment(), n_decisions=1),
    }


ENTRIES = {
    **of_rounds(),
    **of_data(),
    "AdamWSettings": policies.AdamWSettings,
    "AcceptanceGate": partial(selectors.AcceptanceGate, arm=1, plain=0, window_size=1, threshold=0.5),
    "ArmPlan.fixed": partial(ArmPlan.fixed, "look_up", draft_length=1),
    "BootstrapInterval": off_policy.BootstrapInterval,
    "Bootstrap": bandits.Bootstrap,
    "CallableArm": partial(arms.CallableArm, "arm", lambda query, seed: "text"),
    "CollectSettings": CollectSettings,
    "ComparisonSettings": bandits.ComparisonSettings,
    "CrossFittedRegression": off_policy.CrossFittedRegression,
    "CrossFittedRidge": off_policy.CrossFittedRidge,
    "Conservative": partial(selectors.Conservative, FixedSelector(1), 1.0, plain=0),
    "DistillSettings": DistillSettings,
    "DriftingEnvironment": environments.DriftingEnvironment,
    "EXP3Spec": partial(selectors.EXP3Spec, max_draft_length=1),
    "EngineSettings": EngineSettings,
    "FixedSelector": partial(FixedSelector, action=0),
    "HashingEncoder": bandits.HashingEncoder,
    "HeadSettings": HeadSettings,
    "HedgeSpec": partial(selectors.HedgeSpec, [0, 1]),
    "LinearEnvironment": environments.LinearEnvironment,
    "LowerConfidenceSequence": partial(off_policy.LowerConfidenceSequence, lowest=0.0, highest_mean=1.0),
    "NoisePrior": policies.NoisePrior,
    "ObjectiveSettings": policies.ObjectiveSettings,
    "RayExecutor": arms.RayExecutor,
    "Reference": partial(arms.Reference, "text", seconds=1.0, n_tokens=1),
    "executor_of": partial(arms.executors.executor_of, "processes"),
    "lower_confidence_sequence": partial(off_policy.lower_confidence_sequence, [0.5], lowest=0.0, highest_mean=1.0),
    "pull_seed": partial(arms.pull_seed, seed=0, arm="arm", query_id="query"),
    "split": partial(prompts.split, {"domain": "maths", "group": "sums"}, held_out_share=0.5),
    "MetaSD": partial(selectors.MetaSD, max_draft_length=1),
    "NonLinearEnvironment": environments.NonLinearEnvironment,
    "Observation": partial(arms.Observation, "arm", "query", "text", n_tokens=1, seconds=1.0),
    "PriorityRule": partial(PriorityRule, {}, fallback=0),
    "ProcessExecutor": arms.ProcessExecutor,
    "PromptLookup": speculative.PromptLookup,
    "PullSettings": arms.PullSettings,
    "Request": partial(Request, "id", (1,), max_new_tokens=1),
    "RollingSettings": evaluation.RollingSettings,
    "Rollout": partial(online.Rollout, bandits.Uniform(("a", "b")), "a"),
    "SamplingParams": speculative.SamplingParams,
    "SeedTree": partial(bandits.SeedTree, seed=0),
    "SentenceEncoder": bandits.SentenceEncoder,
    "ServerSettings": partial(serving.ServerSettings, folder=Path("state")),
    "ServiceSettings": partial(serving.ServiceSettings, "arm"),
    "SuffixDraft": speculative.SuffixDraft,
    "TapOut": partial(selectors.TapOut, max_draft_length=1),
    "ThreadExecutor": arms.ThreadExecutor,
    "TimeBudget": partial(online.TimeBudget, budget_s=1.0),
    "Trial": partial(online.Trial, "a", (0.0, 1.0), most_weight=10.0),
    "UCBSpec": partial(selectors.UCBSpec, max_draft_length=1),
    "code_prompts": partial(prompts.code_prompts, n=1, seed=0),
    "maths_word_problems": partial(prompts.maths_word_problems, n=1, seed=0),
    "prose_prompts": partial(prompts.prose_prompts, n=1, seed=0),
}


SPECS = [
    *(plugin.Spec for table in (DRAFTS, selectors.SELECTORS, POOL_ENCODERS) for plugin in table.values()),
    *(ArmSpec, ClauseSpec, PoolSpec, serving.UpstreamSpec),
]
FILLED_BY_THE_LIBRARY = [
    "ArmChange",
    "Comparison",
    "ComparisonRow",
    "Conclusion",
    "CostProfile",
    "CurvePoint",
    "DataStream",
    "Decision",
    "Diagnostics",
    "DraftAsk",
    "DriftReset",
    "Estimate",
    "Evaluation",
    "EvaluationRow",
    "Failed",
    "FeatureImportance",
    "HeldOutScore",
    "Interval",
    "LabelSeconds",
    "LogReplay",
    "LoggedDecision",
    "OffPolicyEstimate",
    "OffPolicyEstimates",
    "PolicyState",
    "ReplayedRow",
    "RollingEvaluation",
    "RollingPoint",
    "RollingRow",
    "RollingWindow",
    "RoundContext",
    "RoundEvaluation",
    "RoundReport",
    "RoutingNumbers",
    "SegmentRow",
    "ServedDomain",
    "SegmentEstimates",
    "Simulation",
    "SimulationRow",
    "Terms",
    "TradeOff",
    "TradeOffPoint",
    "Visit",
    "acceptance_length",
    "acceptance_rate",
    "load_policy",
    "part_indices",
    "UnreadProposal",
]
ELSEWHERE = {
    *(kind.__name__ for table in (POLICIES, ESTIMATORS, REWARDS) for kind in table.values()),  # by their contracts
    *("ConstantReward", "EpsilonGreedy", "LinearPolicy", "LogisticPolicy", "OnFailure", "Softmax"),
    *("TextAgreement", "WeightedAverage"),  # beside the class
    *("DraftModel", "EarlyExit", "SpeculativeArm"),  # by the last test of this file
    *(
        "Agent",
        "DecisionLog",
        "FeatureHead",
        "Learner",
        "PooledLearner",
        "Proposal",
        "TransformersArm",
        "serve_replicas",
    ),  # beside the class
}


def kinds_of(annotation: object) -> set[str]:
    return set(re.findall(r"\w+", str(getattr(annotation, "__name__", annotation))))


def settings_of(entry: Callable[..., object]) -> dict[str, tuple[object, ...]]:
    """Return what is no value of each parameter that is a number."""
    kinds = {name: kinds_of(given.annotation) for name, given in inspect.signature(entry).parameters.items()}
    found = {name: NO_NUMBERS if "float" in kind else NO_INTEGERS for name, kind in kinds.items()}
    return {name: values for name, values in found.items() if kinds[name] <= {"int", "float", "None"}}


SETTINGS = [(name, setting) for name, entry in ENTRIES.items() for setting in settings_of(entry)]


def check_refused(entry: Callable[..., object], setting: str) -> None:
    wrong = []
    for value in settings_of(entry)[setting]:
        try:
            entry(**{setting: value})
        except (TypeError, ValueError) as error:
            if setting not in str(error) or "must" not in str(error):
                wrong.append((value, repr(error)))
        else:
            wrong.append((value, "taken"))
    assert not wrong


@pytest.mark.parametrize(("name", "setting"), SETTINGS, ids=map(".".join, SETTINGS))
def test_what_is_no_number_is_refused_by_name(name, setting):
    check_refused(ENTRIES[name], setting)


@pytest.mark.parametrize("value", ["1", True])
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.__qualname__)
def test_what_is_no_number_is_refused_by_name_in_a_file(spec, value):
    numbers = {name for name, field in spec.model_fields.items() if {"int", "float"} & kinds_of(field.annotation)}
    with pytest.raises(ValidationError) as refused:
        spec.model_validate(dict.fromkeys(numbers or ("unknown",), value))
    assert numbers <= {fault["loc"][0] for fault in refused.value.errors()}


def test_what_is_no_number_is_refused_by_name_where_a_model_is_loaded(tmp_path):
    pool = speculative.Pool.load(save_pool(tmp_path), tmp_path / "cache")
    target, decoder = pool.target, pool.target.model
    text = partial(
        target.generate, "count", draft="prompt_lookup", sampling=speculative.SamplingParams(max_new_tokens=2)
    )
    stream = partial(target.stream, "count", draft="prompt_lookup")
    entries = {
        "DraftModel": partial(speculative.DraftModel, decoder, name="draft", n_target_vocab=decoder.n_vocab),
        "EarlyExit": partial(speculative.EarlyExit, decoder, n_layers=1),
        "Pool.generate": partial(pool.generate, "count", policy=bandits.Uniform(pool.arms.names)),
        "Pool.stream": partial(pool.stream, "count", policy=bandits.Uniform(pool.arms.names)),
        "Pool.learn": partial(pool.learn, ["one", "two"]),
        "SpeculativeArm": partial(speculative.SpeculativeArm, target, speculative.PromptLookup()),
        "Target": partial(speculative.Target, "name", None, decoder, target.tokenizer),
        "Target.load": partial(speculative.Target.load, str(target.folder)),
        "Target.engine": partial(target.engine, [pool.arms[0]]),
        "Target.generate": text,
        "Target.stream": stream,
    }
    for entry in entries.values():
        for setting in settings_of(entry):
            check_refused(entry, setting)


def test_every_public_setting_that_is_a_number_is_gone_over():
    homes = [path.rpartition(".") for path in public_names() if ".testing." not in path]
    found = {name: getattr(importlib.import_module(home), name) for home, _, name in homes}
    is_error = {name for name, value in found.items() if inspect.isclass(value) and issubclass(value, BaseException)}
    made = {name for name, value in found.items() if inspect.isfunction(value) or inspect.isclass(value)}
    settable = {name for name in made - is_error if not is_typeddict(found[name]) and settings_of(found[name])}
    gone_over = {name.partition(".")[0] for name in ENTRIES} | {"Target"}
    left = settable - gone_over - {*FILLED_BY_THE_LIBRARY} - ELSEWHERE
    assert not left, (
        f"add to ENTRIES, with arguments that it takes, or to one of the two lists below it: {sorted(left)}"
    )
