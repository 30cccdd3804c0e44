import random
import re

import pytest
import torch

from speculative.sampling.logits_processor import LogitsProcessor
from speculative.testing import check_logits_processor


class Good(LogitsProcessor):
    """A token that stands twice in a row is not said a third time."""

    def process(self, prefix, logits):
        if len(prefix) >= 2 and prefix[-1] == prefix[-2]:
            logits[prefix[-1]] = -torch.inf
        return logits


class Counting(LogitsProcessor):
    n_calls = 0

    def process(self, prefix, logits):
        self.n_calls += 1
        return logits + (torch.arange(len(logits)) == self.n_calls % 4)


class Raising(LogitsProcessor):
    def process(self, prefix, logits):
        return logits + prefix[7]


class Narrow(LogitsProcessor):
    def process(self, prefix, logits):
        return logits[:-1]


class Numberless(LogitsProcessor):
    def process(self, prefix, logits):
        return logits * torch.nan


class Closed(LogitsProcessor):
    def process(self, prefix, logits):
        return logits - torch.inf


class Drawing(LogitsProcessor):
    def process(self, prefix, logits):
        random.random()
        return logits


BROKEN = {
    Counting: "logits processor Counting: the same prefix and logits must give the same, whatever it saw before",
    Raising: "logits processor Raising: process must answer for 1 tokens before, but raised IndexError",
    Narrow: "logits processor Narrow: process must return a float row of 24, got tensor(",
    Numberless: "logits processor Numberless: no logit may be NaN",
    Closed: "logits processor Closed: a token must be left to choose",
    Drawing: "a global generator of random, numpy or torch must not be used",
}


def test_a_good_processor_passes():
    check_logits_processor(Good(), 24)


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_every_broken_processor_is_caught(broken):
    with pytest.raises(AssertionError, match=re.escape(BROKEN[broken])):
        check_logits_processor(broken(), 24)


def test_what_is_no_processor_is_caught():
    with pytest.raises(AssertionError, match="a processor must be a LogitsProcessor, got <built-in function len>"):
        check_logits_processor(len, 24)
