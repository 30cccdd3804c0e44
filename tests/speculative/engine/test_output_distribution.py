"""The distribution of the text, computed and not estimated: every outcome of every draw, for every draft."""

import itertools
import math
from dataclasses import replace

import pytest
import torch

from speculative.drafts.draft_model import DraftModel
from speculative.drafts.early_exit import EarlyExit
from speculative.drafts.feature_head import FeatureHead
from speculative.drafts.no_draft import NoDraft
from speculative.drafts.prompt_lookup import PromptLookup
from speculative.drafts.suffix.draft import SuffixDraft
from speculative.engine import engine as engine_module
from speculative.engine.engine import Engine
from speculative.engine.generate import generate
from speculative.engine.verify import MatchVerifier, RejectionVerifier
from speculative.models.head_files import load_head
from speculative.protocols.draft import Draft, DraftSession, Proposal
from speculative.protocols.request import Request
from speculative.protocols.token_batch import TokenBatch
from speculative.sampling.logits import process_logits
from speculative.sampling.logits_processor import LogitsProcessor
from speculative.sampling.sampling_params import SamplingParams
from speculative.sampling.token_sampler import GREEDY, NO_TOKENS, TokenSampler
from tests.support.enumeration import every_outcome
from tests.support.hard_cases import RandomSelector
from tests.support.heads import save_head
from tests.support.table_lm import TableLM
from tests.support.tiny_models import Arm, ScriptedDraft

N_TOKENS = 4  # the prefill's, then rounds that draft two
PROMPT = (1, 0, 1, 2, 0, 1)
CONFIDENT = {3: 0.35, 5: 0.2}  # so that drafting ends after no, one and two tokens


class DrawnToken(TokenSampler):
    """The target's own draw, for verification by matching."""

    def __init__(self, params, source):
        self.params, self.source = params.without_controls(), source

    def pick(self, logits, position, target_ids=None):
        return torch.tensor(self.source.draw(process_logits(logits, self.params, ()).double().softmax(0)))


WAYS = {
    "match": lambda params, source, v: MatchVerifier(DrawnToken(params, source), GREEDY),
    "rejection": lambda params, source, v: RejectionVerifier(params, source, source, v),
}


class OddTokensAfterEven(LogitsProcessor):
    """A rule of one's own: some ids are less likely by one after an even one."""

    def process(self, prefix, logits):
        logits[1::2] -= 1.0 - prefix[-1] % 2
        return logits


PARAMS = {
    "plain": SamplingParams(1.0),
    "controls": SamplingParams(
        1.1,
        top_p=0.95,
        repetition_penalty=1.2,
        presence_penalty=0.7,
        frequency_penalty=-0.4,
        logit_bias={0: -0.5, 2: 0.8},
        bad_words=[(1, 2), (2, 0, 0)],
        logits_processors=[OddTokensAfterEven()],
    ),
    "top_p": SamplingParams(0.9, top_p=0.8, repetition_penalty=1.2),
}
KINDS = ("prompt_lookup", "suffix", "model", "trimmed", "confident", "certain")


def logits_after(target, text):
    if isinstance(target, TableLM):
        return target.logits_after(text)
    return target.forward(TokenBatch(torch.tensor(text), [len(text)]), target.new_cache(1)).logits[-1]


def expected_distribution(target, params, eos_ids, n_tokens):
    """Probability of every text, by the chain rule over fresh prefills."""
    distribution = {}

    def extend(new, probability):
        if len(new) == n_tokens or (new and new[-1] in eos_ids):
            distribution[new] = distribution.get(new, 0.0) + probability
            return
        text = [*PROMPT, *new]
        p = process_logits(logits_after(target, text), params, text, len(PROMPT), eos_ids).double().softmax(0)
        for token, own in enumerate(p.tolist()):
            if own > 0.0:
                extend((*new, token), probability * own)

    extend((), 1.0)
    return distribution


def found_distribution(
    target, arms, params, make, seed, eos_ids, n_tokens, monkeypatch, has_faults=False, make_selector=None
):
    """Probability of every text that the engine writes while arms are switched every round, by default at random."""

    def write(source):
        monkeypatch.setattr(engine_module, "make_verifier", lambda p, s, v: make(p, source, v))
        selector = RandomSelector(len(arms), seed) if make_selector is None else make_selector()
        engine = Engine(target, arms, selector)
        [text] = generate(engine, [Request("q", PROMPT, n_tokens, eos_ids, sampling=params)])
        assert has_faults or text.stats.faults == []
        return text.token_ids

    distribution = {}
    for text, probability in every_outcome(write):
        distribution[text] = distribution.get(text, 0.0) + probability
    return distribution


def softened(decoder):
    """Random weights give distributions close to certainty; a smaller last gain spreads them."""
    decoder.norm = decoder.norm * 0.3
    return decoder


@pytest.fixture(scope="module")
def arms(tiny):
    """Per size of the vocabulary, one arm a kind."""
    made = {}
    for v in (3, 5):
        suffix = SuffixDraft(learn=False)
        suffix.store.add([2, 0, 1, 1, 2, 0, 2])
        other = softened(tiny("qwen2", seed=23, vocab_size=v).decoder)
        trimmed = softened(tiny("llama", seed=24, vocab_size=v).decoder)
        made[v] = {
            "no_draft": Arm(NoDraft(), 0),
            "prompt_lookup": Arm(PromptLookup(3), 2),
            "suffix": Arm(suffix, 2),
            "model": Arm(DraftModel(other, name="other", n_target_vocab=v), 2),
            "trimmed": Arm(
                DraftModel(trimmed, name="trimmed", n_target_vocab=v, target_ids=[0, *range(1, v)][::-1]), 2
            ),
            "confident": Arm(DraftModel(other, name="confident", n_target_vocab=v, min_confidence=CONFIDENT[v]), 2),
            "certain": Arm(ScriptedDraft("certain", lambda prefix, n, v=v: [(prefix[-1] + 1) % v] * n), 2),
        }
    return made


def check(target, arms, params, way, seed, eos_ids, monkeypatch, tolerance=1e-9, n_tokens=N_TOKENS, has_faults=False):
    found = found_distribution(
        target, arms, PARAMS[params], WAYS[way], seed, eos_ids, n_tokens, monkeypatch, has_faults
    )
    expected = expected_distribution(target, PARAMS[params], eos_ids, n_tokens)
    assert set(found) <= set(expected)
    for text, probability in expected.items():
        assert found.get(text, 0.0) == pytest.approx(probability, abs=tolerance)


@pytest.mark.parametrize("params", PARAMS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_output_distribution_equals_target_for_every_draft(arms, kind, way, params, monkeypatch):
    check(TableLM(3), [arms[3][kind], arms[3]["no_draft"]], params, way, 1, (), monkeypatch)


@pytest.mark.parametrize(("way", "seed"), list(itertools.product(WAYS, (2, 3))))
def test_output_distribution_survives_switching_among_all_drafts(arms, way, seed, monkeypatch):
    check(TableLM(3, seed), list(arms[3].values()), "plain", way, seed, (2,), monkeypatch)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_output_distribution_over_five_tokens_for_every_draft(arms, kind, way, monkeypatch):
    chosen = [arms[5][kind], arms[5]["no_draft"]]
    check(TableLM(5, 7), chosen, "top_p", way, 1, (), monkeypatch, n_tokens=3)


@pytest.mark.parametrize("way", WAYS)
def test_output_distribution_over_five_tokens(arms, way, monkeypatch):
    chosen = [arms[5][kind] for kind in ("prompt_lookup", "suffix", "certain")]
    check(TableLM(5), chosen, "plain", way, 4, (3,), monkeypatch)


@pytest.mark.parametrize("way", WAYS)
def test_output_distribution_of_early_exit_up_to_the_rounding_of_its_targets_passes(tiny, way, monkeypatch):
    target = softened(tiny("llama", seed=21, vocab_size=3).decoder)
    arms = [Arm(EarlyExit(target, n_layers=1), 2), Arm(NoDraft(), 0)]
    check(target, arms, "plain", way, 1, (), monkeypatch, tolerance=1e-6)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("form", ["eagle", "eagle3"])
def test_output_distribution_of_feature_heads_up_to_the_rounding_of_their_targets_passes(
    tiny, tmp_path, way, form, monkeypatch
):
    target = softened(tiny("llama", seed=25, vocab_size=3).decoder)
    head = load_head(save_head(form, tmp_path, n_vocab=3).folder, target)
    drafts = [FeatureHead(head, target, name=f"head_{least}", min_confidence=least) for least in (0.0, 0.5)]
    arms = [*(Arm(draft, 2) for draft in drafts), Arm(NoDraft(), 0)]
    check(target, arms, "plain", way, 1, (), monkeypatch, tolerance=1e-6)


@pytest.mark.parametrize("way", WAYS)
def test_output_distribution_with_a_least_length(arms, way, monkeypatch):
    monkeypatch.setitem(PARAMS, "least", SamplingParams(1.0, min_new_tokens=2, frequency_penalty=0.5))
    check(TableLM(3, 8), [arms[3]["model"], arms[3]["certain"]], "least", way, 2, (2,), monkeypatch)


class Drawing(Draft):
    """Draws two tokens from logits of its own, then does something about one of them."""

    name, proposal_kind = "drawing", "sampled"
    logits = torch.tensor([0.9, -0.4, 0.3])

    def __init__(self, then):
        self.then = then

    def open(self, prompt, shared=None):
        return DrawingSession(self.then)


class DrawingSession(DraftSession):
    def __init__(self, then):
        self.then = then

    def propose(self, prefix, draft_length, sampler=GREEDY):
        logits, drawn = Drawing.logits, []
        for i in range(draft_length):
            drawn.append(int(sampler.pick(logits, len(prefix) + i)))
            logits = self.then(drawn[-1], Drawing.logits.roll(drawn[-1]))
            if logits is None:
                return Proposal([])
        return Proposal(drawn)


def gives_up(token, logits):
    if token == 2:
        raise RuntimeError("not this one")
    return logits


BECAUSE_OF_A_TOKEN = {
    "raises": gives_up,
    "drops what it drew": lambda token, logits: None if token == 2 else logits,
    "is at a loss afterwards": lambda token, logits: logits * math.nan if token == 2 else logits,
}


@pytest.mark.parametrize("fault", BECAUSE_OF_A_TOKEN)
@pytest.mark.parametrize("way", WAYS)
def test_output_distribution_of_a_draft_that_fails_because_of_a_token_it_drew(arms, way, fault, monkeypatch):
    for switching in ([], [arms[3]["model"]]):
        drafting = [Arm(Drawing(BECAUSE_OF_A_TOKEN[fault]), 2), *switching]
        check(TableLM(3, 4), drafting, "plain", way, 1, (), monkeypatch, has_faults=True)


def test_output_distribution_of_a_draft_that_draws_from_a_source_of_its_own(monkeypatch):
    """Its tokens are verified as certain ones, which is exact whatever it drew and dropped."""

    def drawing(source):
        def script(prefix, n):
            tokens = [source.draw(Drawing.logits.double().softmax(0)) for _ in range(n)]
            return tokens if 2 not in tokens else []

        return ScriptedDraft("own source", script)

    def write(source):
        monkeypatch.setattr(engine_module, "make_verifier", lambda p, s, v: WAYS["rejection"](p, source, v))
        [text] = generate(Engine(TableLM(3, 4), [Arm(drawing(source), 2)]), [Request("q", PROMPT, 3, sampling=params)])
        return text.token_ids

    params, distribution = PARAMS["plain"], {}
    for text, probability in every_outcome(write):
        distribution[text] = distribution.get(text, 0.0) + probability
    expected = expected_distribution(TableLM(3, 4), params, (), 3)
    assert distribution == pytest.approx(expected, abs=1e-9)


class Spoiling(TableLM):
    """Token 2 among a pass's later tokens spoils every row of the pass, as NaN keys do behind a mask."""

    def forward(self, batch, cache, logit_rows=None):
        output = super().forward(batch, cache, logit_rows)
        if 2 in batch.token_ids.tolist()[1:] and logit_rows is None:
            return replace(output, logits=output.logits * math.nan)
        return output


@pytest.mark.parametrize("way", WAYS)
def test_output_distribution_where_a_draft_token_spoils_the_targets_logits(arms, way, monkeypatch):
    drafting = [Arm(Drawing(lambda token, logits: logits), 2)]
    check(Spoiling(3, 4), drafting, "plain", way, 1, (), monkeypatch, has_faults=True)


def test_a_biased_rule_would_be_caught(arms, monkeypatch):
    """Taking back a sampled draft token because it looks unlikely, and testing the rest, is not exact."""

    class Biased(RejectionVerifier):
        def verify(self, rows, draft_tokens, position):
            if draft_tokens.token_ids and float(draft_tokens.probs[0][draft_tokens.token_ids[0]]) < 0.4:
                draft_tokens = NO_TOKENS
            return super().verify(rows, draft_tokens, position)

    monkeypatch.setitem(WAYS, "biased", lambda params, source, v: Biased(params, source, source, v))
    with pytest.raises(AssertionError, match="comparison failed"):
        check(TableLM(3), [arms[3]["model"]], "plain", "biased", 1, (), monkeypatch, n_tokens=3)
