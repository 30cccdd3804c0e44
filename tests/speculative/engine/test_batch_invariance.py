import pytest
import torch

from speculative.drafts.no_draft import NoDraft
from speculative.engine.engine import Engine
from speculative.engine.generate import generate
from speculative.models.batch_invariance import rows_are_independent, strict_model
from speculative.models.checkpoint_files import read_weights
from speculative.models.config import DecoderConfig
from speculative.models.decoder import Decoder
from speculative.models.linear import Linear
from speculative.protocols.causal_lm import CausalLM
from speculative.protocols.request import Request
from speculative.sampling.sampling_params import SamplingParams
from tests.support.hard_cases import PROMPTS, RandomSelector
from tests.support.tiny_models import Arm, greedy_text


class Tilting:
    """A head whose results lean on how many rows are computed together, as some kernels' do."""

    def __init__(self, head, among):
        self._head, self._among = head, among

    def __call__(self, x):
        return self._head(x) + 1e-3 * self._among(len(x))


class RowByRow(Linear):
    """A product computed one row at a time, and so independent of the others on any machine."""

    def __call__(self, x):
        return torch.cat([super(RowByRow, self).__call__(row[None]) for row in x])

    def multiply(self, x, other):
        return self(x) * other

    def add(self, x, other):
        return self(x) + other


@pytest.fixture
def decoder(tiny):
    folder = tiny("llama", seed=3, intermediate_size=32).folder  # whole vectors for element-wise kernels
    return Decoder(DecoderConfig.from_folder(folder), read_weights(folder), linear=RowByRow).strict()


def test_attention_of_a_strict_model_is_that_of_the_plain_one(target):
    logits = {}
    for name, model in (("plain", target.decoder), ("strict", target.decoder.strict())):
        engine = Engine(model, [Arm(NoDraft(), 0)], max_batch=3)
        texts = generate(engine, [Request(str(i), prompt, 12) for i, prompt in enumerate(PROMPTS)])
        logits[name] = [text.token_ids for text in texts]
    assert logits["plain"] == logits["strict"] == [greedy_text(target.reference, p, 24)[:12] for p in PROMPTS]


def test_the_self_test_sees_a_row_that_depends_on_its_neighbours(decoder):
    assert rows_are_independent(decoder, 9)
    decoder._head = Tilting(decoder._head, lambda n: float(n == 9))
    assert rows_are_independent(decoder, 8)
    assert not rows_are_independent(decoder, 9)


def test_where_products_depend_on_the_number_of_rows_every_pass_gets_one_width(decoder):
    decoder._head = Tilting(decoder._head, float)
    model = strict_model(decoder, 6)
    assert model._min_rows == 6
    assert rows_are_independent(model, 6)
    assert not rows_are_independent(model, 7)


def test_where_nothing_helps_strict_text_is_refused(decoder):
    calls = iter(range(10**6))
    decoder._head = Tilting(decoder._head, lambda n: float(next(calls)))
    with pytest.raises(ValueError, match=r"strict text cannot be had here: .* on the 6 tokens"):
        strict_model(decoder, 6)


def test_only_the_projects_own_decoder_can_be_strict():
    class Other(CausalLM):
        pass

    with pytest.raises(ValueError, match="strict text needs draftpick's own decoder as the target, got Other"):
        strict_model(Other(), 4)


@pytest.mark.parametrize("sampling", [SamplingParams(), SamplingParams(1.2, seed=4)])
def test_logits_do_not_depend_on_the_arms_bit_by_bit(target, drafts, sampling):
    """Two engines with other arms; every committed position's largest logit is compared, not only the text."""
    seen = []
    for seed in range(4):
        arms = [Arm(drafts["right"], 5), Arm(drafts["model_random"], 3), Arm(drafts["no_draft"], 0)]
        engine = Engine(target.decoder, arms, RandomSelector(3, seed), max_batch=3, strict=True)
        requests = [Request(str(i), prompt, 16, sampling=sampling) for i, prompt in enumerate(PROMPTS[:3])]
        for request in requests:
            engine.submit(request)
        kept = {}
        while engine.n_unfinished:
            engine.step()
            for state in engine._running:
                kept[state.request.id] = engine._cache.held(state.shared.row)
        seen.append(([engine.take(r.id).token_ids for r in requests], kept))
    for texts, kept in seen[1:]:
        assert texts == seen[0][0]
        for name, keys in kept.items():
            n = min(keys.shape[3], seen[0][1][name].shape[3])
            assert torch.equal(keys[..., :n, :], seen[0][1][name][..., :n, :])
