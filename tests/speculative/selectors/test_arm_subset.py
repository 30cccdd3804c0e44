import pytest

from speculative.selectors import PriorityRule
from speculative.selectors.arm_subset import ArmSubset
from speculative.testing import check_selector
from tests.support.rounds import context, observation, query


class Watched(PriorityRule):
    def observe(self, observations):
        self.seen = [one.action for one in observations]


def test_the_selector_sees_its_own_arms_and_its_choice_is_the_engines():
    inner = Watched({0: 3}, fallback=1)
    subset = ArmSubset(inner, [4, 2])
    subset.start(query())
    rounds = [context([True] * 5, {4: 5}), context([True] * 5, {4: 1}), context([True, True, True, True, False], {})]
    assert subset.select(rounds) == [4, 2, 2]
    subset.observe([observation(4, 1), observation(2, 0)])
    assert inner.seen == [0, 1]


def test_it_keeps_the_contract_of_selectors():
    check_selector(ArmSubset(PriorityRule({1: 2}, fallback=0), [3, 1]), 4)


@pytest.mark.parametrize("actions", [[], [1, 1]])
def test_no_arm_or_one_twice_is_refused(actions):
    with pytest.raises(ValueError, match="at least one arm and none twice"):
        ArmSubset(PriorityRule({}, fallback=0), actions)
