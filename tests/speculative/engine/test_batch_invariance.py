from collections import defaultdict

import pytest
import torch

from speculative.drafts.no_draft import NoDraft
from speculative.engine.engine import Engine
from speculative.engine.generate import generate
from speculative.engine.settings import EngineSettings
from speculative.models.batch_invariance import batch_invariant_model, is_batch_invariant
from speculative.models.config import DecoderConfig
from speculative.models.decoder import Decoder, Products
from speculative.models.linear import Linear
from speculative.models.weight_files import read_weights
from speculative.protocols.causal_lm import CausalLM, ForwardOutput
from speculative.protocols.draft import Draft, DraftSession
from speculative.protocols.request import Request
from speculative.sampling.sampling_params import SamplingParams
from tests.support.hard_cases import PROMPTS, RandomSelector
from tests.support.tiny_models import KINDS, Arm, greedy_text


class RowByRow(Linear):
    """A product computed one row at a time, and so independent of the others on any machine."""

    def __call__(self, x):
        return torch.cat([super(RowByRow, self).__call__(row[None]) for row in x])

    def multiply(self, x, other):
        return self(x) * other

    def add(self, x, other):
        return self(x) + other


def leaning(lean):
    """A class of products whose results lean on how many rows are computed together, as some kernels' do."""

    class Leaning(RowByRow):
        def __call__(self, x):
            return super().__call__(x) + 1e-3 * lean(len(x))

    return Leaning


@pytest.fixture
def make(tiny):
    def make_decoder(cls=Decoder, kind="llama", **products):
        folder = tiny(kind, seed=3).folder
        products = Products(**{"layers": RowByRow} | products)
        return cls(DecoderConfig.from_folder(folder), read_weights(folder), products=products)

    return make_decoder


def test_a_batch_invariant_model_says_what_the_plain_one_says(target):
    texts = {}
    for invariant in (False, True):
        engine = Engine(
            target.decoder, [Arm(NoDraft(), 0)], settings=EngineSettings(max_batch=3, batch_invariant=invariant)
        )
        requests = [Request(str(i), prompt, 12) for i, prompt in enumerate(PROMPTS)]
        texts[invariant] = [text.token_ids for text in generate(engine, requests)]
    assert texts[False] == texts[True] == [greedy_text(target.reference, p, 24)[:12] for p in PROMPTS]


@pytest.mark.parametrize("kind", KINDS)
def test_where_products_are_by_row_all_is_independent_by_its_form(make, kind):
    """Activations too: the rows of these models are no whole vectors of any processor."""
    assert is_batch_invariant(make(kind=kind).batch_invariant(), 3, 5)


def test_the_self_test_sees_a_product_that_depends_on_its_rows_at_one_width_only(make):
    model = make(head=leaning(lambda n: n == 9)).batch_invariant()
    assert is_batch_invariant(model, 1, 7)
    assert is_batch_invariant(model, 2, 3)
    assert not is_batch_invariant(model, 1, 8)
    assert not is_batch_invariant(model, 3, 2)


def test_where_products_depend_on_the_number_of_rows_every_pass_gets_one_width(make):
    widths = set()
    model = batch_invariant_model(make(head=leaning(lambda n: widths.add(n) or n)), 2, 2)
    assert is_batch_invariant(model, 2, 2)
    assert not is_batch_invariant(model, 2, 3)
    widths.clear()
    generate(Engine(model, [Arm(NoDraft(), 0)], settings=EngineSettings(max_batch=2)), [Request("a", PROMPTS[0], 4)])
    assert widths == {1, 6}  # a prefill asks for one row


def test_where_one_width_does_not_help_every_token_gets_a_pass_of_its_own(make):
    class ByPlace(RowByRow):
        def __call__(self, x):
            return super().__call__(x) + 1e-3 * torch.arange(len(x))[:, None]

    model = batch_invariant_model(make(head=ByPlace), 2, 2)
    assert is_batch_invariant(model, 2, 5)


def test_where_nothing_helps_batch_invariant_text_is_refused(make):
    calls = iter(range(10**6))
    with pytest.raises(
        ValueError, match=r"batch-invariant text cannot be had here: .* up to 6 tokens .* token by token"
    ):
        batch_invariant_model(make(head=leaning(lambda n: next(calls))), 2, 2)


def test_only_the_projects_own_decoder_can_be_batch_invariant():
    class Other(CausalLM):
        pass

    with pytest.raises(ValueError, match="batch-invariant text needs draftpick's own decoder as target, got Other"):
        batch_invariant_model(Other(), 4, 0)


def test_a_width_below_one_is_refused(target):
    with pytest.raises(ValueError, match="width must be >= 1, got 0"):
        target.decoder.batch_invariant(0)


def _round(x):
    """The last bits lost, as where a sum is taken in another order."""
    return x * (1 + 2**-20)


class _Mutant(Decoder):
    def forward(self, batch, cache, logit_rows=None, n_layers=None):
        rows = range(batch.first_row, batch.first_row + len(batch.counts))
        starts = [cache.lengths[row] for row in rows]
        output = super().forward(batch, cache, logit_rows, n_layers)
        return self.disturb(output, cache, list(rows), starts)


class LogitsInCompany(_Mutant):
    def disturb(self, output, cache, rows, starts):
        return ForwardOutput(_round(output.logits), output.hidden) if len(rows) > 1 else output


class HiddenInCompany(_Mutant):
    def disturb(self, output, cache, rows, starts):
        return ForwardOutput(output.logits, _round(output.hidden)) if len(rows) > 1 else output


class AtLongerPrefixes(_Mutant):
    def disturb(self, output, cache, rows, starts):
        return ForwardOutput(_round(output.logits), output.hidden) if len(rows) > 1 and max(starts) > 70 else output


class KeysInCompany(_Mutant):
    def disturb(self, output, cache, rows, starts):
        if len(rows) > 1:
            cache.keys[:, rows[-1], :, starts[-1]] *= 1 + 2**-20
        return output


class ValuesOfManyTokens(_Mutant):
    def disturb(self, output, cache, rows, starts):
        if cache.lengths[rows[0]] - starts[0] > 3:
            cache.values[:, rows[0], :, starts[0]] *= 1 + 2**-20
        return output


class InLaterRows(_Mutant):
    """Results lean on the row of the cache, in a pass of one sequence too."""

    def disturb(self, output, cache, rows, starts):
        return ForwardOutput(_round(output.logits), output.hidden) if rows[0] == 3 else output


class AfterRollback(_Mutant):
    """Slots beyond a row's length, which a rollback leaves, touch what comes next."""

    def disturb(self, output, cache, rows, starts):
        after = cache.keys[0, rows[0], 0, cache.lengths[rows[0]]]
        return ForwardOutput(output.logits + 1e-6 * after.abs().sum(), output.hidden)


MUTANTS = [LogitsInCompany, HiddenInCompany, AtLongerPrefixes, KeysInCompany, ValuesOfManyTokens, InLaterRows]


@pytest.mark.parametrize("mutant", [*MUTANTS, AfterRollback])
def test_the_self_test_sees_a_pass_that_depends_on_its_company(make, mutant):
    assert is_batch_invariant(make().batch_invariant(), 4, 4)
    assert not is_batch_invariant(make(mutant).batch_invariant(), 4, 4)
    with pytest.raises(ValueError, match="batch-invariant text cannot be had here"):
        Engine(make(mutant), [Arm(NoDraft(), 4)], settings=EngineSettings(max_batch=4, batch_invariant=True))


class Watching(Draft):
    """Another draft, seen by someone who looks at the request's keys and values before every proposal."""

    def __init__(self, draft, seen):
        self.draft, self.seen, self.name = draft, seen, draft.name

    def open(self, prompt, shared=None):
        return _WatchingSession(self, self.draft.open(prompt, shared), tuple(prompt), shared)


class _WatchingSession(DraftSession):
    def __init__(self, draft, session, prompt, shared):
        self._draft, self._session, self._prompt, self._shared = draft, session, prompt, shared

    def propose(self, prefix, draft_length, sampler=None):
        held = self._shared.cache.held(self._shared.row)
        self._draft.seen[self._prompt].append((tuple(prefix), held))
        return self._session.propose(prefix, draft_length, sampler)

    def close(self, text):
        self._session.close(text)


@pytest.mark.parametrize("sampling", [SamplingParams(), SamplingParams(1.2, seed=4)])
def test_keys_and_values_do_not_depend_on_the_arms_bit_for_bit(target, drafts, sampling):
    """Engines that choose other arms: every committed token's keys and values are compared, not only the text."""
    runs = []
    for seed in range(4):
        seen = defaultdict(list)
        arms = [Arm(Watching(drafts[name], seen), n) for name, n in (("right", 5), ("model_random", 3), ("wrong", 1))]
        selector = RandomSelector(3, seed)
        engine = Engine(target.decoder, arms, selector, settings=EngineSettings(max_batch=3, batch_invariant=True))
        requests = [Request(str(i), prompt, 16, sampling=sampling) for i, prompt in enumerate(PROMPTS[:5])]
        runs.append(([text.token_ids for text in generate(engine, requests)], seen))
    first_texts, first = runs[0]
    for texts, seen in runs[1:]:
        assert texts == first_texts
        for prompt, snapshots in seen.items():
            prefix, held = snapshots[-1]
            other_prefix, other = first[prompt][-1]
            n = min(held.shape[3], other.shape[3])
            assert n > len(prompt)
            assert prefix[:n] == other_prefix[:n]
            assert torch.equal(held[..., :n, :], other[..., :n, :])
