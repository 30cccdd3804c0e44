from speculative.protocols.selector import RoundContext
from speculative.selectors.fixed import FixedSelector


def test_a_fixed_selector_gives_every_request_the_same_arm():
    rounds = [RoundContext(str(i), 3, i, (True, False, True)) for i in range(4)]
    assert FixedSelector(2).select(rounds) == [2] * 4
