"""The hand-written rule of serving engines: a look-up where its match is long enough, else the next in line."""

from collections.abc import Mapping, Sequence
from typing import Literal

from arms.checks import at_least
from speculative.protocols.drafting_rule import EngineArm
from speculative.protocols.selector import RoundContext, Selector
from speculative.selectors.spec import SelectorSpec, index_of


class PriorityRule(Selector):
    """The first arm of a list whose stored match is long enough; the fallback where none is.

    action = first a of the list with available(a) and match_length(a) >= min_match_lengths[a], else the fallback.

    A function of the round alone: nothing is learned and nothing kept. `PriorityRule({2: 1, 1: 0}, fallback=0)`
    takes the look-up 2 whenever it has anything to say, else the draft 1; `PriorityRule({2: 4}, fallback=1)`
    wants at least four matching tokens of the look-up.

    Args:
        min_match_lengths: action to the tokens of context that its best match must cover, >= 0, in the order in
            which the arms are asked. 0 takes the arm whenever its draft can work: the value for a draft that
            looks nothing up, such as a model, whose match length is None and reaches no other.
        fallback: action where no arm of the list is ready; if its draft cannot work either, the first arm that
            can takes the round.

    Raises:
        ValueError: if an action or a length is negative, or the fallback is in the list.

    Source: llama.cpp's common/speculative.cpp (several drafts in a fixed order, the first that proposes anything
    wins) and TensorRT-LLM's suffix-automaton enhancement (`sa_spec_threshold`, 4 by default: the look-up from
    that match length on, else the neural draft). ArcticInference compares a score of the suffix with the length
    of the neural draft instead of a match length with a constant, and drafts both; here only the arm chosen drafts.
    """

    class Spec(SelectorSpec):
        """The settings: as the constructor's, with arms by name."""

        kind: Literal["priority_rule"] = "priority_rule"
        min_match_lengths: dict[str, int]
        fallback: str

        def build(self, arms: Sequence[EngineArm]) -> Selector:
            """Make the selector."""
            lengths = {index_of(name, arms): length for name, length in self.min_match_lengths.items()}
            return PriorityRule(lengths, fallback=index_of(self.fallback, arms))

    def __init__(self, min_match_lengths: Mapping[int, int], *, fallback: int) -> None:
        for action, length in min_match_lengths.items():
            at_least(action, 0, "min_match_lengths: an action")
            at_least(length, 0, f"min_match_lengths: the length of arm {action}")
        at_least(fallback, 0, "fallback")
        if fallback in min_match_lengths:
            raise ValueError(f"fallback must not be in min_match_lengths as well, got {fallback}")
        self._min_match_lengths, self._fallback = dict(min_match_lengths), fallback

    def select(self, rounds: Sequence[RoundContext]) -> Sequence[int]:
        """Go down the list for each request.

        Raises:
            ValueError: if the engine has no such arm.
        """
        return [self._first_ready(round_) for round_ in rounds]

    def _first_ready(self, round_: RoundContext) -> int:
        available = round_.available
        for action in (*self._min_match_lengths, self._fallback):
            if action >= len(available):
                raise ValueError(f"the rule names arm {action}, but the engine has {len(available)} arms")
        for action, min_match_length in self._min_match_lengths.items():
            if available[action] and _is_ready(round_, action, min_match_length):
                return action
        if available[self._fallback] or not any(available):
            return self._fallback
        return available.index(True)


def _is_ready(round_: RoundContext, action: int, min_match_length: int) -> bool:
    if min_match_length == 0:
        return True
    match_length = round_.match_length(action)
    return match_length is not None and match_length >= min_match_length
