"""Policies by name: settings are checked, and what a policy prints is how it is made."""

import sys

import pytest

from bandits import KNN, UCB1, EpsilonGreedy, LinTS, LinUCB, Reinforce, Softmax, load_policy
from bandits.policies import POLICIES, make_policy
from bandits.testing import example_data


@pytest.mark.parametrize("name", POLICIES)
def test_every_name_makes_its_class_from_defaults(name):
    policy = make_policy(name)
    assert type(policy) is POLICIES[name]
    assert policy.state is None


def test_settings_reach_the_constructor_and_the_policy_inside():
    assert make_policy("lin_ucb", {"ucb_width": 0.5, "prior_precision": None}).get_params()["prior_precision"] is None
    nested = make_policy("epsilon_greedy", {"epsilon": 0.2, "policy": "softmax", "policy__policy": "knn"})
    assert repr(nested) == "EpsilonGreedy(Softmax(KNN()), epsilon=0.2)"
    assert make_policy("epsilon_greedy", {"policy__ucb_width": 0.7}).policy.ucb_width == 0.7
    written = make_policy("epsilon_greedy(epsilon=0.2, policy=softmax(policy=knn(n_neighbors=3)))")
    assert repr(written) == "EpsilonGreedy(Softmax(KNN(n_neighbors=3)), epsilon=0.2)"
    assert repr(make_policy("epsilon_greedy(policy=knn)", {"epsilon": 0.3})) == "EpsilonGreedy(KNN(), epsilon=0.3)"
    assert make_policy("reinforce", {"training": {"max_epochs": 3}}).training.max_epochs == 3


@pytest.mark.parametrize(
    ("name", "settings", "error", "message"),
    [
        ("linucb", {}, ValueError, "unknown policy 'linucb'; there are uniform, best_fixed_arm"),
        ("lin_ucb", {"width": 1}, ValueError, "lin_ucb has no setting 'width'; it has ucb_width"),
        ("lin_ucb", {"arm_names": ["a"]}, ValueError, "no setting 'arm_names'"),
        ("lin_ucb", {"ucb_width": "wide"}, TypeError, "lin_ucb: ucb_width must be float, got 'wide'"),
        ("lin_ucb", {"ucb_width": True}, TypeError, "lin_ucb: ucb_width must be float, got True"),
        ("lin_ucb", {"ucb_width": -1}, ValueError, "ucb_width must be a finite number >= 0, got -1"),
        ("knn", {"n_neighbors": 2.5}, TypeError, "knn: n_neighbors must be int, got 2.5"),
        ("lin_ucb(ucb_width=1)", {"ucb_width": 2}, ValueError, "lin_ucb: ucb_width is set twice"),
        ("lin_ucb(ucb_width=wide)", {}, TypeError, "lin_ucb: ucb_width must be float, got 'wide'"),
        ("lin_ucb(", {}, ValueError, "write NAME or NAME"),
        ("uniform", {"x": 1}, ValueError, "uniform has no setting 'x'; it has none"),
        ("epsilon_greedy", {"policy": "nobody"}, ValueError, "unknown policy 'nobody'"),
        ("epsilon_greedy", {"policy__speed": 1}, ValueError, "LinUCB has no argument 'speed'"),
        ("pathlib:Path", {}, TypeError, "must be a subclass of"),
        ("bandits:Policy", {}, TypeError, "must not be abstract"),
    ],
)
def test_what_does_not_fit_is_named(name, settings, error, message):
    with pytest.raises(error, match=message):
        make_policy(name, settings)


OWN = """
from bandits import LinUCB

class Mine(LinUCB):
    def __init__(self, speed: float, *, arm_names=None):
        super().__init__(arm_names=arm_names)
        self.speed = speed
"""


def test_a_class_of_ones_own_is_made_by_path_and_never_imported_by_a_file(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_policy_module.py").write_text(OWN)
    with pytest.raises(ValueError, match="needs the setting speed"):
        make_policy("own_policy_module:Mine")
    policy = make_policy("own_policy_module:Mine", {"speed": 2.0})
    file = policy.fit(example_data()).save(tmp_path)
    mine = type(policy)
    assert mine.load(file).speed == load_policy(file, classes=[mine]).speed == 2.0
    monkeypatch.delitem(sys.modules, "own_policy_module")
    with pytest.raises(ValueError, match=r"own_policy_module:Mine\) is not built in.*classes=\[YourClass\]"):
        load_policy(file)
    assert "own_policy_module" not in sys.modules


def test_two_classes_of_one_name_are_told_apart_by_path_or_refused(tmp_path):
    def another(module):
        return type("Twin", (KNN,), {"__module__": module})

    first, second = another("first"), another("second")
    file = second(3).fit(example_data()).save(tmp_path)
    assert type(load_policy(file, classes=[first, second])) is second
    with pytest.raises(ValueError, match="two policy classes are named 'Twin', third:Twin and fourth:Twin: rename one"):
        load_policy(file, classes=[another("third"), another("fourth")])


@pytest.mark.parametrize(
    "policy",
    [
        LinUCB(ucb_width=0.5),
        LinUCB(prior_precision=None, arm_names=("a", "b")),
        LinTS(),
        UCB1(2.0),
        EpsilonGreedy(Softmax(KNN(3), temperature=0.2), epsilon=0.3),
    ],
    ids=repr,
)
def test_what_a_policy_prints_makes_it_again(policy):
    again = eval(repr(policy))
    assert repr(again) == repr(policy)
    assert {**again.get_params(deep=True), "policy": None, "policy__policy": None} == {
        **policy.get_params(deep=True),
        "policy": None,
        "policy__policy": None,
    }


def test_only_what_differs_from_the_defaults_is_printed():
    assert [repr(policy) for policy in (LinUCB(), LinUCB(ucb_width=0.5), Reinforce())] == [
        "LinUCB()",
        "LinUCB(ucb_width=0.5)",
        "Reinforce()",
    ]


def test_settings_after_the_first_are_given_by_name():
    with pytest.raises(TypeError, match="positional"):
        LinUCB(0.5, 1.0)
