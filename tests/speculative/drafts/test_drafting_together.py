"""Drafts of several requests in the same passes propose what they propose one by one."""

import pytest
import torch

from speculative.drafts.draft_model import DraftModel
from speculative.drafts.drafting_loop import read_missing
from speculative.drafts.logits_draft import READ_CHUNK
from speculative.drafts.no_draft import NoDraft
from speculative.engine.engine import Engine
from speculative.engine.generate import generate
from speculative.engine.settings import EngineSettings
from speculative.models.decoder import Decoder
from speculative.protocols.draft import DraftAsk
from speculative.protocols.request import Request
from speculative.protocols.token_batch import TokenBatch
from tests.support.card_rounds import ARMS, SAMPLINGS, make_models, play, requests, sizes, weights
from tests.support.hard_cases import RandomSelector
from tests.support.tiny_models import Arm

LOGITS_ARMS = ARMS[3:]


@pytest.fixture(scope="module")
def models():
    return make_models("cpu")


def rounds_of(generations):
    return [(g.token_ids, g.stats.proposed, g.stats.accepted, g.stats.faults) for g in generations]


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("arm", LOGITS_ARMS)
def test_every_round_is_the_same_in_a_batch_as_alone(models, arm, sampling):
    asked = requests(4, SAMPLINGS[sampling], 8)
    assert rounds_of(play(models, arm, asked, 4)[0]) == rounds_of(play(models, arm, asked, 1)[0])


def test_requests_of_different_arms_share_no_pass_and_keep_their_text(models):
    arms = [models.arms[name] for name in LOGITS_ARMS]
    asked = requests(6, SAMPLINGS["coupled"], 12)
    engine = Engine(models.target, arms, RandomSelector(len(arms), 1), settings=EngineSettings(max_batch=4))
    mixed = generate(engine, asked)
    assert [g.token_ids for g in mixed] == [g.token_ids for g in play(models, "no draft", asked, 1)[0]]
    assert [g.stats.faults for g in mixed] == [[]] * 6


@pytest.mark.parametrize("arm", ["draft model", "early exit"])
def test_a_round_takes_as_many_passes_for_several_requests_as_for_one(models, arm, monkeypatch):
    passes = []
    forward = Decoder.forward

    def counting(self, batch, *more):
        passes.append(len(batch.counts))
        return forward(self, batch, *more)

    monkeypatch.setattr(Decoder, "forward", counting)
    engine = Engine(models.target, [models.arms[arm]], settings=EngineSettings(max_batch=3))
    for request in requests(3, SAMPLINGS["greedy"], 20):
        engine.submit(request)
    for _ in range(2):  # the target reads the prompts, then the draft does
        engine.step()
    passes.clear()
    engine.step()
    assert passes == [3] * (models.arms[arm].draft_length + 1)


def test_a_batch_invariant_engine_drafts_request_by_request(models, monkeypatch):
    asked_for = []
    together = DraftModel.propose_batch
    monkeypatch.setattr(
        DraftModel, "propose_batch", lambda self, asks: asked_for.append(len(asks)) or together(self, asks)
    )
    arms, asked = [models.arms["draft model"]], requests(2, SAMPLINGS["greedy"], 6)
    generate(Engine(models.target, arms, settings=EngineSettings(max_batch=2, batch_invariant=True)), asked)
    assert set(asked_for) == {1}
    generate(Engine(models.target, arms, settings=EngineSettings(max_batch=2)), asked)
    assert 2 in asked_for


@pytest.mark.parametrize("arm", ["draft model", "head"])
def test_a_draft_holds_rows_for_the_requests_that_ran_at_once_not_for_all_that_could(models, arm, monkeypatch):
    caches = []
    held = models.arms[arm].draft
    owner = held.model if isinstance(held, DraftModel) else held.head
    new_cache = owner.new_cache
    monkeypatch.setattr(owner, "new_cache", lambda n_rows: caches.append(new_cache(n_rows)) or caches[-1])
    engine = Engine(models.target, [models.arms[arm]], settings=EngineSettings(max_batch=7))
    n_rows = []
    for n in (1, 2, 3, 7, 1):
        for generation in generate(engine, requests(n, SAMPLINGS["greedy"], 4)):
            assert not generation.stats.faults
        n_rows.append([cache.n_rows for cache in caches])
    assert n_rows == [[1], [2], [4], [7], [7]]


def test_a_row_without_numbers_fails_alone(models):
    draft = DraftModel(broken_at(3), name="broken", n_target_vocab=24)
    sessions = [draft.open([1, 2]), draft.open([3, 2])]
    found = draft.propose_batch([DraftAsk(sessions[0], [1, 2], 2), DraftAsk(sessions[1], [3, 2], 2)])
    assert len(found[0].token_ids) == 2
    assert isinstance(found[1], FloatingPointError)


def test_in_an_engine_an_error_disables_the_draft_for_its_request_only():
    models = make_models("cpu")
    arm = Arm(DraftModel(broken_at(3), name="broken", n_target_vocab=24), 2)
    asked = [Request("0", (1, 2, 5), 6), Request("1", (3, 2, 5), 6)]
    found = generate(Engine(models.target, [arm], settings=EngineSettings(max_batch=2)), asked)
    alone = generate(Engine(models.target, [Arm(NoDraft(), 0)]), asked)
    assert [g.token_ids for g in found] == [g.token_ids for g in alone]
    assert found[1].stats.faults[0].reason.startswith("FloatingPointError")


def broken_at(token):
    """A small model that knows no number for one token."""
    own = weights(sizes(1), 5)
    model = Decoder(sizes(1), own)
    model.embedding[token] = float("nan")
    return model


def test_scattered_rows_are_read_as_consecutive_ones_are():
    model = Decoder(sizes(2), weights(sizes(2)))
    whole, scattered = model.new_cache(2), model.new_cache(5)
    tokens = torch.tensor([1, 2, 3, 4, 5])
    expected = model.forward(TokenBatch(tokens, [2, 3]), whole).logits
    found = model.forward(TokenBatch.in_rows(tokens, [2, 3], [4, 1]), scattered).logits
    torch.testing.assert_close(found, expected, atol=0, rtol=0)
    assert scattered.lengths == [0, 3, 0, 0, 2]
    torch.testing.assert_close(scattered.held(4), whole.held(0), atol=0, rtol=0)


def test_what_a_pass_gave_is_kept_before_the_next_one_writes_over_it():
    gives = torch.zeros(2, 1)  # of every pass, as of a graph

    def read(which, token_ids, counts):
        return gives[: len(which)].copy_(torch.tensor(counts)[:, None])

    long, short = [[0] * 600, [0] * 70], [[0] * 2, [0] * 3]
    found = read_missing([long[0], short[0], long[1], short[1]], torch.device("cpu"), read)
    assert found.flatten().tolist() == [600 - READ_CHUNK, 2, 70, 3]
