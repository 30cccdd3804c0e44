import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import example, given, settings
from transformers import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from speculative.sampling.logits import exclude, probabilities, process_logits, warp_rows
from speculative.sampling.sampling_params import SamplingParams

INF = math.inf


def by_transformers(logits, params, prefix):
    """(processed by transformers' own classes, tokens so near an edge that rounding decides, tokens tied at the edge of
    the nucleus, of which transformers keeps as many as we, but any: its sort is not stable beyond 16 entries)."""
    scores, ids = logits.float()[None], torch.tensor([list(prefix)], dtype=torch.int64)
    unclear, tied = torch.zeros(2, 1, logits.numel(), dtype=torch.bool)
    if params.repetition_penalty != 1 and prefix:
        scores = RepetitionPenaltyLogitsProcessor(float(params.repetition_penalty))(ids, scores)
    if params.greedy:
        return scores[0], unclear[0], tied[0]
    scores = TemperatureLogitsWarper(params.temperature)(ids, scores).double()  # so that their sums are exact enough
    if params.top_k:
        scores = TopKLogitsWarper(params.top_k)(ids, scores)
    if params.top_p < 1:
        ordered, order = scores.sort(stable=True)
        at_edge = (ordered.softmax(-1).cumsum(-1) - (1 - params.top_p)).abs() < 1e-6
        unclear.scatter_(1, order, at_edge)
        kept = TopPLogitsWarper(params.top_p)(ids, scores)
        tied |= (scores == scores[kept > -INF].min()) & (logits.numel() > 16)
        scores = kept
    if params.min_p > 0:
        probs = scores.softmax(-1)
        unclear |= (probs / probs.max() / params.min_p - 1).abs() < 1e-4
        scores = MinPLogitsWarper(params.min_p)(ids, scores)
    return scores[0].float(), unclear[0], tied[0]


def random_logits(seed, n_tokens, spread, kind):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n_tokens, generator=generator) * spread
    if kind == "ties":
        return (logits / spread * 2).round() * spread / 2
    if kind == "holes":
        logits[torch.rand(n_tokens, generator=generator) < 0.5] = -INF
        logits[int(torch.randint(n_tokens, (), generator=generator))] = 1.0
    return logits


probability = st.one_of(st.sampled_from([1e-9, 1e-3, 0.5, 0.9, 0.999, 1 - 1e-9]), st.floats(1e-6, 1.0))


@settings(max_examples=400, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    n_tokens=st.one_of(st.integers(1, 12), st.sampled_from([257, 5000])),
    spread=st.sampled_from([0.0, 0.01, 1.0, 4.0, 30.0]).map(lambda spread: spread or 1e-4),
    kind=st.sampled_from(["plain", "ties", "holes"]),
    temperature=st.sampled_from([0.0, 0.2, 0.7, 1.0, 2.5]),
    top_k=st.sampled_from([0, 1, 2, 3, 50, 10**6]),
    top_p=st.one_of(st.just(1.0), probability),
    min_p=st.one_of(st.just(0.0), probability),
    penalty=st.sampled_from([1.0, 0.7, 1.3]),
    prefix=st.lists(st.integers(0, 300), max_size=30),
)
@example(0, 4, 1.0, "ties", 1.0, 2, 0.5, 0.0, 1.0, [])
def test_equal_to_transformers_own_processors_in_its_order(
    seed, n_tokens, spread, kind, temperature, top_k, top_p, min_p, penalty, prefix
):
    logits = random_logits(seed, n_tokens, spread, kind)
    before = logits.clone()
    params = SamplingParams(temperature, top_k=top_k, top_p=top_p, min_p=min_p, repetition_penalty=penalty)
    processed = process_logits(logits, params, prefix)
    assert processed.dtype == torch.float32
    assert torch.equal(logits, before)
    expected, unclear, tied = by_transformers(logits, params, prefix)
    assert torch.equal(processed[~unclear & ~tied], expected[~unclear & ~tied])
    assert bool(unclear.any()) or torch.equal(processed.sort().values, expected.sort().values)
    scores, _, _ = by_transformers(logits, SamplingParams(temperature, repetition_penalty=penalty), prefix)
    assert bool(((processed == scores) | (processed == -INF)).all())  # what is unclear is kept as it is, or excluded
    assert processed.max() == scores.max()  # the best token stays


@pytest.mark.parametrize("top_k", [0, 3, 2000])
@pytest.mark.parametrize("top_p", [1e-6, 0.3, 0.9, 0.999, 1.0])
@pytest.mark.parametrize("min_p", [0.0, 0.05])
@pytest.mark.parametrize("spread", [0.1, 3.0])
def test_shrinking_lists_keep_what_masks_over_a_sorted_row_keep(top_k, top_p, min_p, spread):
    """The way of other devices is the plain reading of the rules; the CPU's sorts no vocabulary."""
    params = SamplingParams(1.0, top_k=top_k, top_p=top_p, min_p=min_p)
    for seed in range(5):
        scores = random_logits(seed, 20_000, spread, ("plain", "ties", "holes")[seed % 3])
        wanted = exclude(scores, params)
        got = process_logits(scores, params, ())
        differ = got != wanted
        assert int(differ.sum()) <= 1  # float32 and float64 sums may see the edge one token apart
        edge = scores[wanted > -INF].min()
        assert torch.allclose(scores[differ], edge.expand(int(differ.sum())), atol=1e-3)


def test_of_tokens_tied_at_the_nucleus_edge_the_last_ones_stay():
    scores = torch.tensor([0.0, 0.0, 2.0, 0.0, 0.0])  # masses 0.0876 and 0.6495
    processed = process_logits(scores, SamplingParams(1.0, top_p=0.8), ())
    assert processed.tolist() == [-INF, -INF, 2.0, 0.0, 0.0]


def test_ties_with_the_last_of_top_k_stay():
    processed = process_logits(torch.tensor([1.0, 3.0, 1.0, 0.0]), SamplingParams(1.0, top_k=2), ())
    assert processed.tolist() == [1.0, 3.0, 1.0, -INF]


def test_repetition_counts_once_and_ids_beyond_the_vocabulary_say_nothing():
    logits = torch.tensor([2.0, -2.0, 0.0, 4.0])
    params = SamplingParams(repetition_penalty=2.0)
    assert process_logits(logits, params, [0, 1, 0, 1, 2, 4, 99, -1]).tolist() == [1.0, -4.0, 0.0, 4.0]
    assert process_logits(logits, params, []).tolist() == logits.tolist()


def test_greedy_rows_get_the_penalty_and_no_warper():
    logits = torch.randn(50, generator=torch.Generator().manual_seed(0))
    assert torch.equal(process_logits(logits, SamplingParams(0.0, top_k=3, top_p=0.1, min_p=0.9), [1, 2]), logits)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_any_float_dtype_becomes_float32_first(dtype):
    logits = torch.randn(100, generator=torch.Generator().manual_seed(0)).to(dtype)
    params = SamplingParams(0.7, top_k=10, top_p=0.9, min_p=0.01, repetition_penalty=1.2)
    assert torch.equal(process_logits(logits, params, [3]), process_logits(logits.float(), params, [3]))


@pytest.mark.parametrize("temperature", [1e-3, 1e-38, 1e-45, 1e-320])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_temperature_that_overflows_leaves_the_best_tokens(temperature, sign):
    logits = torch.tensor([1.0, 3.0, 3.0, -INF]) * 1e37
    logits[:3] *= sign
    probs = probabilities(process_logits(logits, SamplingParams(temperature), ()))
    assert probs.tolist() == ([0, 0.5, 0.5, 0] if sign == 1 else [1, 0, 0, 0])


def test_a_temperature_beyond_float32_makes_tokens_equal_but_not_excluded_ones():
    probs = probabilities(process_logits(torch.tensor([1.0, 3.0, -INF]), SamplingParams(1e300), ()))
    assert probs.tolist() == [0.5, 0.5, 0.0]


@pytest.mark.parametrize(
    "params", [SamplingParams(1.0), SamplingParams(0.5, top_p=0.9), SamplingParams(2.0, top_k=1, top_p=0.5, min_p=0.5)]
)
def test_logits_of_plus_infinity_share_all_mass(params):
    processed = process_logits(torch.tensor([INF, 3.0, -INF, -1.0]), params, ())
    assert probabilities(processed).tolist() == [1, 0, 0, 0]
    two = process_logits(torch.tensor([INF, 3.0, INF]), SamplingParams(params.temperature), ())
    assert probabilities(two).tolist() == [0.5, 0, 0.5]


@pytest.mark.parametrize(
    "params", [SamplingParams(), SamplingParams(0.5, top_k=2, top_p=0.9, min_p=0.1, repetition_penalty=1.5)]
)
def test_a_row_without_a_finite_logit_stays_so(params):
    assert process_logits(torch.full((5,), -INF), params, [1]).tolist() == [-INF] * 5


def test_probabilities_are_float64_and_sum_to_one():
    probs = probabilities(torch.randn(3, 1000, generator=torch.Generator().manual_seed(1)))
    assert probs.dtype == torch.float64
    torch.testing.assert_close(probs.sum(-1), torch.ones(3, dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "params",
    [
        SamplingParams(0.7),
        SamplingParams(1e-38),
        SamplingParams(0.7, top_k=3),
        SamplingParams(0.7, top_p=0.8, min_p=0.05),
    ],
)
def test_rows_that_are_warped_together_are_as_each_alone(params):
    rows = torch.stack([random_logits(seed, 50, 3.0, kind) for seed, kind in enumerate(("plain", "ties", "holes"))])
    odd = torch.full((2, 50), -INF)
    odd[0, [3, 7]] = INF
    rows = torch.cat([rows, odd])
    together = warp_rows(rows, params)
    for row, warped in zip(rows, together, strict=True):
        alone = process_logits(row, params, ())
        torch.testing.assert_close(warped, alone, atol=0, rtol=0)
