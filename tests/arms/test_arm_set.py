import re

import numpy as np
import pytest

from arms import Arm, ArmSet, CallableArm


def arm(name: str) -> CallableArm:
    return CallableArm(name, lambda query, seed: "text")


def test_arms_are_reached_by_index_and_name_in_order_of_addition():
    first, second = arm("z"), arm("a")
    arms = ArmSet([first, second])
    assert len(arms) == 2
    assert list(arms) == [first, second]
    assert arms.names == ("z", "a")
    assert arms[0] is arms["z"] is arms[-2] is arms[np.int64(0)] is first
    assert arms[1] is arms["a"] is second
    assert (arms.index("z"), arms.index("a")) == (0, 1)
    assert "a" in arms
    assert "b" not in arms
    assert repr(arms) == "ArmSet(['z', 'a'])"


def test_adding_appends_and_removing_closes_the_gap():
    arms = ArmSet([arm("a"), arm("b")])
    arms.add(arm("c"))
    assert arms.names == ("a", "b", "c")
    arms.remove("b")
    assert arms.names == ("a", "c")
    assert arms[1] is arms["c"]
    arms.add(arm("b"))
    assert arms.index("b") == 2


def test_a_set_of_arms_has_no_order_and_is_refused():
    with pytest.raises(TypeError, match="arms must have an order, got a set"):
        ArmSet({CallableArm("a", str), CallableArm("b", str)})


def test_duplicates_are_refused_and_change_nothing():
    kept = arm("a")
    arms = ArmSet([kept])
    with pytest.raises(ValueError, match="arm names must be unique, got a second 'a'; remove the first or rename one"):
        arms.add(arm("a"))
    assert list(arms) == [kept]


@pytest.mark.parametrize("use", [ArmSet.remove, ArmSet.index, ArmSet.__getitem__])
def test_unknown_names_are_refused_with_the_known_ones(use):
    with pytest.raises(ValueError, match=re.escape("no arm is named 'c'; the set has ['a', 'b']")):
        use(ArmSet([arm("a"), arm("b")]), "c")


@pytest.mark.parametrize("index", [2, -3])
def test_index_out_of_range_is_refused(index):
    with pytest.raises(IndexError, match=re.escape(f"arm index must be in [0, 2), got {index}")):
        ArmSet([arm("a"), arm("b")])[index]


def test_only_named_arms_are_taken():
    with pytest.raises(TypeError, match="an ArmSet holds instances of Arm, got 'a'"):
        ArmSet(["a"])
    with pytest.raises(
        ValueError, match="CallableArm must set a name, in the class or in __init__: a string, not blank; got ''"
    ):
        ArmSet([arm("")])


class Unnamed(Arm):
    def pull(self, query, seed):
        raise NotImplementedError


def test_an_arm_writes_pull_and_sets_its_name_in_the_class_or_in_init():
    assert Arm.__abstractmethods__ == {"pull"}
    with pytest.raises(ValueError, match="Unnamed must set a name, in the class or in __init__"):
        ArmSet([Unnamed()])
    given = Unnamed()
    given.name = "given"
    assert ArmSet([given]).names == ("given",)
