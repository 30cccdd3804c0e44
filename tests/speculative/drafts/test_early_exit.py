import pytest
import torch

from speculative.drafts.early_exit import EarlyExit
from speculative.engine.engine import Engine
from speculative.engine.generate import generate
from speculative.engine.settings import EngineSettings
from speculative.protocols.request import Request
from speculative.protocols.token_batch import TokenBatch
from speculative.testing import check_draft
from tests.support.tiny_models import N_VOCAB, Arm, greedy_text

PROMPT = (3, 1, 4, 1, 5)


@pytest.fixture(scope="module")
def target(tiny):
    return tiny("llama", seed=3, num_hidden_layers=3)


def early_greedy(target, n_layers, prefix, n):
    """The plainest version: transformers' first layers, its norm and its head, over the whole prefix every time."""
    tokens = list(prefix)
    for _ in range(n):
        states = target.reference(torch.tensor([tokens]), output_hidden_states=True, use_cache=False).hidden_states
        normed = target.reference.model.norm(states[n_layers][0, -1])
        tokens.append(int(target.reference.lm_head(normed).argmax()))
    return tokens[len(prefix) :]


def test_the_contract_holds(target):
    for n_layers in (1, 2):
        check_draft(EarlyExit(target.decoder, n_layers=n_layers), N_VOCAB)


@pytest.mark.parametrize("n_layers", [1, 2])
def test_it_says_what_the_first_layers_would(target, n_layers):
    draft = EarlyExit(target.decoder, n_layers=n_layers)
    session, text = draft.open(PROMPT), [*PROMPT, 9, 9, 2, 7]
    for end in (5, 6, 8, 9):
        assert session.propose(text[:end], 4).token_ids == early_greedy(target, n_layers, text[:end], 4)


def test_alone_it_writes_what_the_first_layers_would_to_their_own_end(target):
    for min_confidence in (0.0, 1.0):  # one that stops where it is unsure writes on
        draft = EarlyExit(target.decoder, n_layers=2, min_confidence=min_confidence)
        expected = early_greedy(target, 2, PROMPT, 6)
        assert draft.write(PROMPT, 6) == expected
        assert draft.write(PROMPT, 6, [expected[2]]) == expected[: expected.index(expected[2]) + 1]


def test_its_logits_along_a_text_are_largest_where_it_would_draft(target):
    draft, new = EarlyExit(target.decoder, n_layers=2), [9, 9, 2, 7]
    best = draft.logits_along(PROMPT, new).values.argmax(-1).tolist()
    assert best == [early_greedy(target, 2, [*PROMPT, *new[:j]], 1)[0] for j in (1, 2, 3)]
    assert draft.logits_along(PROMPT, new[:1]).values.shape[0] == 0


@pytest.mark.parametrize("n_layers", [1, 2])
def test_in_an_engine_it_shares_the_targets_cache_and_reads_one_token_a_round(target, n_layers):
    n_read = []

    class Watched(EarlyExit):
        def open(self, prompt, shared=None):
            session = super().open(prompt, shared)
            propose = session.propose

            def watched(*arguments):
                proposal = propose(*arguments)
                n_read.append(proposal.n_read)
                assert shared.n_held == len(arguments[0]) - 1
                return proposal

            session.propose = watched
            return session

    draft = Watched(target.decoder, n_layers=n_layers)
    requests = [Request(str(i), PROMPT[: 1 + i], 16 + i) for i in range(4)]
    for generation in generate(Engine(target.decoder, [Arm(draft, 3)], settings=EngineSettings(max_batch=3)), requests):
        assert generation.stats.faults == []
        prompt = requests[int(generation.request_id)].token_ids
        assert generation.token_ids == greedy_text(target.reference, prompt, 24)[: 16 + int(generation.request_id)]
    assert set(n_read) == {1}


def test_the_trace_is_that_of_asking_position_by_position(target):
    draft = EarlyExit(target.decoder, n_layers=2)
    new = greedy_text(target.reference, PROMPT, 24)
    found, expected = draft.trace(PROMPT, new, 4), super(EarlyExit, draft).trace(PROMPT, new, 4)
    assert found.proposed.tolist() == expected.proposed.tolist()
    assert found.accepted.tolist() == expected.accepted.tolist()
    assert found.accepted.sum() > 0
    assert (found.confidences[1:] > 0).all()


def test_stopping_early_leaves_the_later_layers_slots_alone(target):
    cache = target.decoder.new_cache(1)
    batch = TokenBatch(torch.tensor(PROMPT), [len(PROMPT)])
    target.decoder.forward(batch, cache, n_layers=2)
    assert bool(cache.keys[:2, 0].any())
    assert not bool(cache.keys[2:].any())


@pytest.mark.parametrize("n_layers", [0, 3])
def test_layers_the_target_lacks_are_refused(target, n_layers):
    with pytest.raises(ValueError, match=rf"n_layers must be .*, got {n_layers}"):
        EarlyExit(target.decoder, n_layers=n_layers)


@pytest.mark.parametrize("n_target_vocab", [0, N_VOCAB + 1])
def test_a_vocabulary_the_target_lacks_is_refused(target, n_target_vocab):
    with pytest.raises(ValueError, match=rf"n_target_vocab must be .*, got {n_target_vocab}"):
        EarlyExit(target.decoder, n_layers=1, n_target_vocab=n_target_vocab)


def test_another_kind_of_target_is_refused():
    with pytest.raises(TypeError, match="early exit needs draftpick's own decoder as the target, got str"):
        EarlyExit("a model", n_layers=1)
