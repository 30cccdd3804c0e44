"""The front door of bandits: its names, and that no function hides a module."""

import importlib
import importlib.util
import inspect

import pytest

import bandits
from tests.support.public_names import package_folders

NAMES = [
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


def test_the_front_door_has_these_names():
    assert sorted(bandits.__all__) == sorted(NAMES)
    assert all(hasattr(bandits, name) for name in NAMES)


@pytest.mark.parametrize("verb", ["compare", "estimate", "evaluate", "simulate"])
def test_verbs_are_functions_and_no_modules(verb):
    assert inspect.isfunction(getattr(bandits, verb))
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(f"bandits.{verb}")


@pytest.mark.parametrize("package", [name for name in package_folders() if name.split(".")[0] == "bandits"])
def test_no_exported_name_is_that_of_a_module_beside_it(package):
    exported = getattr(importlib.import_module(package), "__all__", ())
    assert [name for name in exported if importlib.util.find_spec(f"{package}.{name}") is not None] == []
