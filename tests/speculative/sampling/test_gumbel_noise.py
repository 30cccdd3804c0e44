"""Whether the noise is what the output needs: uniform before the logarithms, and independent of its neighbours."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import chi2, norm

from speculative.sampling.gumbel_noise import (
    GUMBEL_MAX,
    GUMBEL_MIN,
    argmax_of_rows,
    argmax_on_cpu,
    argmax_with_noise,
    gumbel_noise,
    keys_of_rows,
    random_words,
    uniforms,
    words_by_torch,
)

N = 1_000_000
INF = math.inf
AXES = ("seed", "position", "token")


def as_words(values):
    return np.atleast_1d(np.asarray(values, dtype=np.uint64))


def hashed(seed, position, token):
    return random_words(as_words(seed), as_words(position), as_words(token))


def skewed(seed, position, token):
    """A hash whose largest thousandth is missing."""
    words = hashed(seed, position, token)
    return words - (words >> np.uint64(10))


def linear(seed, position, token):
    """Even over any range, but each value tells the next."""
    golden, silver, bronze = 0x9E3779B97F4A7C15, 0xD1342543DE82EF95, 0xBF58476D1CE4E5B9
    return (
        as_words(seed) * as_words(golden) + as_words(position) * as_words(silver) + as_words(token) * as_words(bronze)
    )


def shared(seed, position, token):
    """Good along each axis, but the sum is hashed: the noise of seed 1 is that of seed 0, one place on."""
    return hashed(as_words(seed) + as_words(position) + as_words(token), 0, 0)


def along(words, axis, values, start=(2**62 + 12345, 1000, 7)):
    """Uniforms in [0, 1) over `values` added to one coordinate; the others are fixed."""
    place = [as_words(value) for value in start]
    place[AXES.index(axis)] = place[AXES.index(axis)] + as_words(values)
    return (words(*place) >> np.uint64(11)) * 2.0**-53


def p_value(counts, expected):
    """Probability of a chi-square this large or larger; near 1 if the counts are more even than random ones are."""
    return chi2.sf(((counts - expected) ** 2 / expected).sum(), counts.size - 1)


def uniform_p(words, axis):
    u = along(words, axis, np.arange(N))
    return p_value(np.bincount((u * 1000).astype(int), minlength=1000), N / 1000)


def pair_p(words, axis, step=(0, 0, 0)):
    """Of the place and another one, on a grid: neighbours along `axis`, or `step` away, which is independence."""
    values = np.arange(N)
    if any(step):
        first = along(words, axis, values)
        second = along(words, axis, values, tuple(np.add((2**62 + 12345, 1000, 7), step)))
    else:
        first, second = along(words, axis, 2 * values), along(words, axis, 2 * values + 1)
    cells = (first * 32).astype(int) * 32 + (second * 32).astype(int)
    return p_value(np.bincount(cells, minlength=1024), N / 1024)


def serial_p(words, axis, lag):
    u = along(words, axis, np.arange(N)) - 0.5
    return 2 * norm.sf(abs((u[lag:] * u[:-lag]).sum() * 12 / math.sqrt(N - lag)))


def choices(words, axis, logits, start=(2**62 + 12345, 1000, 7)):
    noise = np.stack(
        [-np.log(-np.log(along(words, axis, np.arange(N), (*start[:2], token)))) for token in range(logits.size)]
    )
    return (logits[:, None] + noise).argmax(0)


LOGITS = np.array([0.3, -1.2, 1.1, 0.0, -3.0])
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum()


def holds(p):
    return 1e-4 < p < 1 - 1e-4


@pytest.mark.parametrize("axis", AXES)
def test_noise_is_uniform_over_a_million_neighbours(axis):
    assert holds(uniform_p(hashed, axis))
    assert not holds(uniform_p(skewed, axis))
    assert not holds(uniform_p(linear, axis))  # too even


@pytest.mark.parametrize("axis", AXES)
def test_noise_of_neighbours_is_independent(axis):
    assert holds(pair_p(hashed, axis))
    assert not holds(pair_p(linear, axis))


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("step", [(1, -1, 0), (1, 0, -1), (0, 1, -1), (0, -1, 1), (-1, 1, 0), (1, -2, 1)])
def test_noise_a_place_on_is_not_another_seeds(axis, step):
    assert holds(pair_p(hashed, axis, step))
    assert not holds(pair_p(shared, axis, step))


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("lag", [1, 2, 3, 64, 1024])
def test_noise_has_no_serial_correlation(axis, lag):
    assert serial_p(hashed, axis, lag) > 1e-4
    assert serial_p(linear, axis, lag) < 1e-4


@pytest.mark.parametrize("axis", ["seed", "position"])
def test_choices_follow_the_softmax_over_a_million_neighbours(axis):
    assert holds(p_value(np.bincount(choices(hashed, axis, LOGITS), minlength=5), N * PROBABILITIES))
    assert not holds(p_value(np.bincount(choices(skewed, axis, LOGITS), minlength=5), N * PROBABILITIES))
    assert not holds(p_value(np.bincount(choices(linear, axis, LOGITS), minlength=5), N * PROBABILITIES))


@pytest.mark.parametrize("step", [(0, 1, 0), (1, 0, 0), (1, -1, 0)])
def test_choices_of_two_places_are_independent(step):
    def p_of_pairs(words):
        start = (2**62 + 12345, 1000, 7)
        axis = "seed" if step[0] == 0 else "position"
        pairs = choices(words, axis, LOGITS, start) * 5 + choices(words, axis, LOGITS, tuple(np.add(start, step)))
        return p_value(np.bincount(pairs, minlength=25), N * np.outer(PROBABILITIES, PROBABILITIES).ravel())

    assert holds(p_of_pairs(hashed))
    assert not holds(p_of_pairs(shared))


@pytest.mark.parametrize("axis", AXES)
def test_each_bit_of_a_coordinate_turns_each_bit_of_the_noise_half_the_time(axis):
    def worst(words):
        n, place = 20_000, [np.arange(20_000, dtype=np.uint64) + as_words(start) for start in (5, 9, 3)]
        before, scores = words(*place), []
        for bit in range(62 if axis == "seed" else 30):
            turned = list(place)
            turned[AXES.index(axis)] = turned[AXES.index(axis)] ^ as_words(1 << bit)
            changed = (before ^ words(*turned)) >> np.uint64(12)
            shares = np.unpackbits(changed.view(np.uint8).reshape(n, 8), axis=1, bitorder="little")[:, :52].mean(0)
            scores.append(np.abs(shares - 0.5).max() * 2 * math.sqrt(n))
        return max(scores)  # normal scores: 3,224 of them stay below 5.2 with probability 0.999

    assert worst(hashed) < 5.2
    assert worst(linear) > 5.2


@pytest.mark.parametrize("seed", [0, 1, 2**62 + 17, 2**63 - 1])
@pytest.mark.parametrize("position", [0, 1, 10**6])
def test_all_ways_to_the_noise_agree(seed, position):
    """One seed or arrays of seeds, NumPy or the torch arithmetic of other devices, and any order of tokens."""
    ids = torch.tensor([0, 1, 2, 49_151, 262_143, 2**31])
    words = torch.from_numpy(hashed(seed, position, ids.numpy()).view(np.int64))
    assert torch.equal(words_by_torch(seed, position, ids), words)
    noise = gumbel_noise(seed, position, ids)
    assert noise.dtype == torch.float64
    assert torch.equal(noise, -torch.log(-torch.log(uniforms(words))))
    assert torch.equal(gumbel_noise(seed, position, ids.flip(0)), noise.flip(0))
    assert torch.equal(gumbel_noise(seed, position, ids[3:4]), noise[3:4])
    assert ids.tolist() == [0, 1, 2, 49_151, 262_143, 2**31]  # never written


def test_noise_is_finite_at_both_ends_of_the_words():
    lowest, highest = torch.tensor([0, -1])  # as unsigned: 0 and 2**64 - 1
    u = uniforms(torch.stack([lowest, highest]))
    assert u.tolist() == [2.0**-53, 1 - 2.0**-53]
    low, high = (-torch.log(-torch.log(u))).tolist()
    assert low == pytest.approx(GUMBEL_MIN, abs=1e-12)
    assert high == pytest.approx(GUMBEL_MAX, abs=1e-12)


def test_noise_is_stable_across_versions():
    """A stored seed must give its text again: these change only with a note in the changelog."""
    noise = gumbel_noise(42, 7, torch.tensor([0, 1, 49_151]))
    torch.testing.assert_close(
        noise,
        torch.tensor([0.259814903098283, 0.20434126558249785, 0.017442062866352786], dtype=torch.float64),
        rtol=0,
        atol=1e-12,
    )


def plain_argmax(processed, seed, position, ids):
    return int((processed.double() - processed.max() + gumbel_noise(seed, position, ids)).argmax())


def rows_of(kind, n_tokens, generator):
    logits = torch.randn(n_tokens, generator=generator)
    if kind == "equal":
        return torch.zeros(n_tokens)
    if kind == "ties":
        return (logits * 3).round()
    if kind == "mostly excluded":
        logits[torch.rand(n_tokens, generator=generator) < 0.98] = -INF
        logits[n_tokens // 2] = 0.0
    if kind == "one left":
        logits = torch.full((n_tokens,), -INF)
        logits[int(torch.randint(n_tokens, (), generator=generator))] = -7.0
    return {"flat": 0.01, "wide": 12.0, "huge": 1e9}.get(kind, 3.0) * logits


@pytest.mark.parametrize("kind", ["plain", "flat", "wide", "huge", "equal", "ties", "mostly excluded", "one left"])
@pytest.mark.parametrize("n_tokens", [1, 2, 40, 6000])
def test_skipping_noise_that_cannot_matter_changes_no_choice(kind, n_tokens):
    generator = torch.Generator().manual_seed(n_tokens)
    numbered = torch.arange(n_tokens)
    for seed in range(150):
        processed = rows_of(kind, n_tokens, generator)
        before, ids = processed.clone(), torch.randperm(n_tokens + 50, generator=generator)[:n_tokens]
        drawn = argmax_with_noise(processed, seed, 3, ids)
        assert drawn.dtype == torch.int64
        assert drawn.shape == ()
        assert int(drawn) == plain_argmax(processed, seed, 3, ids)
        assert int(argmax_with_noise(processed, seed, 4)) == plain_argmax(processed, seed, 4, numbered)
        assert torch.equal(processed, before)


def test_a_token_outside_the_head_can_win():
    """The rule above would pass if far tokens never won; here nearly all winners are far."""
    processed = torch.full((50_000,), -6.0)
    processed[123] = 0.0
    winners = [int(argmax_with_noise(processed, seed, 0)) for seed in range(100)]
    assert len(set(winners)) > 90
    assert winners == [plain_argmax(processed, seed, 0, torch.arange(50_000)) for seed in range(100)]


def test_the_first_of_entries_with_the_same_token_wins():
    """Entries that share logit and target id share their sum too."""
    ids = torch.tensor([5, 9, 5, 9])
    drawn = {int(argmax_with_noise(torch.zeros(4), seed, 0, ids)) for seed in range(50)}
    assert drawn == {0, 1}


def test_choice_belongs_to_the_target_id_not_to_the_place_in_the_row():
    logits = torch.randn(500, generator=torch.Generator().manual_seed(0))
    order = torch.randperm(500, generator=torch.Generator().manual_seed(1))
    for seed in range(50):
        drawn = argmax_with_noise(logits[order], seed, 2, order)
        assert int(order[drawn]) == int(argmax_with_noise(logits, seed, 2))


def test_excluded_tokens_are_never_drawn_and_an_empty_row_gives_its_first():
    assert argmax_on_cpu(np.full(4, -np.inf, dtype=np.float32), 1, 2, None) == 0
    assert int(argmax_with_noise(torch.full((4,), -INF), 1, 2)) == 0
    processed = torch.tensor([-INF, 0.0, -INF, -30.0])
    assert {int(argmax_with_noise(processed, seed, 0)) for seed in range(200)} == {1}


def test_rows_that_follow_one_another_draw_together_what_each_draws_alone():
    rows = torch.randn(5, 300, generator=torch.Generator().manual_seed(0)) * 2
    rows[2, ::2] = -INF
    alone = [int(argmax_with_noise(row, 2**62 + 5, 40 + i)) for i, row in enumerate(rows)]
    keys, ids = (
        torch.tensor(keys_of_rows(2**62 + 5, 40, 5)),
        torch.randperm(300, generator=torch.Generator().manual_seed(1)),
    )
    assert argmax_of_rows(rows, keys).tolist() == alone
    renamed = [int(argmax_with_noise(row, 2**62 + 5, 40 + i, ids)) for i, row in enumerate(rows)]
    assert argmax_of_rows(rows, keys, ids).tolist() == renamed != alone
