"""What the engine asks of a card, and that its text is the CPU's, on a card that is not there."""

import pytest
import torch

from speculative.engine.engine import Engine
from speculative.engine.generate import generate
from speculative.engine.settings import EngineSettings
from tests.support.card_rounds import ARMS, SAMPLINGS, make_models, play, requests
from tests.support.hard_cases import RandomSelector
from tests.support.pretended_card import PretendedCard

N_NEW = 4
LOGITS_ARMS = ARMS[3:]


@pytest.fixture(scope="module")
def on_cpu():
    return make_models("cpu")


@pytest.fixture(scope="module")
def on_card():
    with PretendedCard():
        return make_models("cuda")


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("arm", ARMS)
def test_the_text_on_a_card_is_the_cpus(on_cpu, on_card, arm, sampling, n):
    here, _ = play(on_cpu, arm, requests(n, SAMPLINGS[sampling], N_NEW), n)
    with PretendedCard() as card:
        there, rounds = play(on_card, arm, requests(n, SAMPLINGS[sampling], N_NEW), n, card)
    assert [generation.stats.faults for generation in there] == [[]] * n
    assert [generation.token_ids for generation in there] == [generation.token_ids for generation in here]
    assert rounds
    if sampling in ("greedy", "coupled", "coupled, top-k, top-p, min-p"):
        n_waits = 1 + (arm in LOGITS_ARMS)  # what a draft proposes is read before it is verified
        assert max(each.counts.n_waits for each in rounds) == n_waits


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_runs_on_a_card(dtype):
    with PretendedCard():
        models = make_models("cuda", dtype)
        for arm in ("suffix", "draft model", "eagle3 head"):
            for generation in play(models, arm, requests(2, SAMPLINGS["coupled"], N_NEW), 2)[0]:
                assert generation.finished == "length"
                assert not generation.stats.faults


def test_arms_that_differ_from_request_to_request_keep_the_text_on_a_card(on_cpu, on_card):
    asked = requests(5, SAMPLINGS["coupled"], 6)
    here, _ = play(on_cpu, "no draft", asked, 1)
    with PretendedCard():
        arms = list(on_card.arms.values())
        engine = Engine(on_card.target, arms, RandomSelector(len(arms), 1), settings=EngineSettings(max_batch=5))
        there = generate(engine, asked)
    assert [generation.stats.faults for generation in there] == [[]] * 5
    assert [generation.token_ids for generation in there] == [generation.token_ids for generation in here]
