"""Drafts that know their own probabilities, and stop once their best continuation has become too unlikely."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal, Self, TypeVar

import torch
from pydantic import Field

from arms.checks import within
from speculative.drafts.spec import DraftSpec
from speculative.protocols.draft import Draft
from speculative.protocols.draft_trace import BestTokens, DraftTrace

AUTO = "auto"
_AnyDraft = TypeVar("_AnyDraft", bound="StoppingDraft")


class StoppingDraft(Draft):
    """A draft that stops before the length asked for where it is not sure enough of what comes next.

        before draft token i:  stop if  prod over s <= i of max(q_s)  <  min_confidence

    with q_s the draft's own distribution at token s, as its logits give it. What is left out was not drawn yet, and the
    tokens drawn before are all proposed, so that verification stays exact, under rejection sampling too.

    Attributes:
        min_confidence: in [0, 1]; 0 never stops.
    """

    min_confidence: float = 0.0

    def stopping_below(self, min_confidence: float, *, name: str | None = None) -> Self:
        """Return the same draft with another threshold, and with another name where one is given.

        Raises:
            ValueError: if the threshold is not in [0, 1].
        """
        draft = copy.copy(self)
        draft.min_confidence = within(min_confidence, 0.0, 1.0, "min_confidence")
        draft.name = name or self.name
        return draft

    def unstopped(self) -> Self:
        """Return the same draft, which never stops early."""
        return self.stopping_below(0.0)

    def stopped(self, found: DraftTrace, prompt: Sequence[int], new: Sequence[int]) -> DraftTrace:
        """Return a trace with what is left out where the draft stops, from one in which it never does.

        How sure the draft is of its tokens is known from the trace as far as the target's text confirms them, and else
        found by drafting.

        Args:
            found: from a pass over the text, in which each token's probability does not depend on where drafting began.
            prompt: as in `trace`.
            new: as in `trace`.
        """
        if self.min_confidence == 0.0:
            return found
        assert found.confidences is not None
        text, session, confidences = [*prompt, *new], self.open(prompt), found.confidences.tolist()
        proposed, accepted = found.proposed.copy(), found.accepted.copy()
        for j in range(1, len(new)):
            asked = int(proposed[j])
            sure = confidences[j : j + min(asked, int(accepted[j]) + 1)]
            stop = _first_below(sure, self.min_confidence)
            if stop is None and len(sure) < asked:
                stop = len(session.propose(text[: len(prompt) + j], asked).token_ids)
            if stop is not None:
                proposed[j], accepted[j] = stop, min(stop, accepted[j])
        session.close(text)
        return replace(found, proposed=proposed, accepted=accepted, stops=True)


class StoppingSpec(DraftSpec):
    """The settings that drafts with probabilities share.

    Attributes:
        min_confidence: stop drafting below it, see `StoppingDraft`; "auto" takes, when a pool is loaded, the one at
            which a further draft token just pays by this machine's cost profile.
    """

    min_confidence: Annotated[float, Field(ge=0.0, le=1.0)] | Literal["auto"] = 0.0

    def unstopped(self) -> Self:
        """Return the settings of the same draft without a rule."""
        return self.model_copy(update={"min_confidence": 0.0})

    def named(self, name: str) -> str:
        """Return a draft's name with what tells the rule."""
        return name if self.min_confidence == 0.0 else f"{name}_confident_{self.min_confidence}"

    def stopping(self, draft: _AnyDraft, auto: float | None = None) -> _AnyDraft:
        """Return a draft that was built with the rule, and a name that tells it.

        Args:
            draft: without a rule.
            auto: the threshold where it is left to the machine.

        Raises:
            ValueError: if it is, and none is given.
        """
        if self.min_confidence == 0.0:
            return draft
        least = auto if isinstance(self.min_confidence, str) else self.min_confidence
        if least is None:
            raise ValueError('min_confidence = "auto" needs a cost profile, which a pool has: name the draft in one')
        return draft.stopping_below(least, name=self.named(draft.name))


class Confidence:
    """The draft's own probability of its best continuation so far.

    Args:
        least: below which it stops; 0 for never, and then nothing is computed.
    """

    __slots__ = ("_least", "value")

    def __init__(self, least: float) -> None:
        self._least, self.value = least, 1.0

    def falls_below(self, logits: torch.Tensor) -> bool:
        """Take (1, v) logits of the next token in, and say whether drafting ends before it is drawn."""
        if self._least == 0.0:
            return False
        self.value *= float(BestTokens.of(logits).probabilities)
        return self.value < self._least


def _first_below(probabilities: Sequence[float], least: float) -> int | None:
    """Return how many factors leave the product at `least` or above, before one does not; None if none does not."""
    product = 1.0
    for i, probability in enumerate(probabilities):
        product *= probability
        if product < least:
            return i
    return None
