"""Rejection sampling by tensor programs is the reference's, row for row."""

import numpy as np
import pytest
import torch

from speculative.engine.verify import verify_match, verify_rejection
from speculative.sampling.rejection_rows import drawn_of_rows, picked_by_rejection
from speculative.sampling.token_sampler import SeededSource

V, GAMMA = 6, 3


def distributions(generator, n):
    rows = torch.rand(n, V, generator=generator, dtype=torch.float64)
    rows[rows < 0.3] = 0.0
    rows[:, 0] += 0.1
    return rows / rows.sum(1, keepdim=True)


def uniforms(source, n):
    return torch.tensor([[source.uniform(i, 0), source.uniform(i, 1)] for i in range(n)], dtype=torch.float64)


def as_rows(tokens, probs):
    """What the rows after each draft prefix are followed by: a whole draft by nothing."""
    certain = torch.nn.functional.one_hot(tokens, V).double()
    draft_probs = certain if probs is None else probs
    return torch.cat([tokens, tokens[:1]]), torch.cat([draft_probs, torch.zeros(1, V, dtype=torch.float64)])


@pytest.mark.parametrize("is_certain", [False, True])
def test_matching_its_picks_gives_what_the_reference_gives(is_certain):
    generator, outcomes = torch.Generator().manual_seed(1), set()
    for seed in range(300):
        p, q = distributions(generator, GAMMA + 1), distributions(generator, GAMMA)
        tokens = torch.multinomial(q, 1, generator=generator)[:, 0]
        source, probs = SeededSource(seed, 0, 7), None if is_certain else q
        expected = verify_rejection(lambda i, p=p: p[i], tokens.tolist(), probs, source.at(7))
        picks = picked_by_rejection(p, *as_rows(tokens, probs), uniforms(source, GAMMA + 1)).tolist()
        assert verify_match(picks.__getitem__, tokens.tolist()) == expected
        outcomes.add(expected.n_accepted)
    assert outcomes == {0, 1, 2, 3}


@pytest.mark.parametrize("n_drawn", [0, 1, 2])
def test_after_the_last_token_that_counts_the_pick_is_a_draw_from_the_targets_distribution(n_drawn):
    generator = torch.Generator().manual_seed(2)
    p, q = distributions(generator, GAMMA + 1), distributions(generator, GAMMA)
    tokens = torch.multinomial(q, 1, generator=generator)[:, 0]
    q[n_drawn:] = 0.0
    source = SeededSource(3, 0)
    picks = picked_by_rejection(p, *as_rows(tokens, q), uniforms(source, GAMMA + 1))
    assert int(picks[n_drawn]) == int(drawn_of_rows(p[n_drawn : n_drawn + 1], source.uniform(n_drawn, 1)))


def test_a_residual_without_mass_falls_back_on_the_targets_distribution():
    p = torch.tensor([[0.25, 0.0, 0.75], [0.25, 0.0, 0.75]], dtype=torch.float64)
    never = torch.tensor([[1.0, 0.9], [1.0, 0.1]], dtype=torch.float64)
    q = torch.stack([p[0], torch.zeros(3, dtype=torch.float64)])
    assert picked_by_rejection(p, torch.tensor([0, 0]), q, never).tolist() == [2, 0]


def test_rows_are_drawn_by_their_shares_and_weights_of_zero_never():
    weights = torch.tensor([[0.0, 1.0, 0.0, 3.0, 0.0]], dtype=torch.float64)
    found = [int(drawn_of_rows(weights, float(u))) for u in (1e-9, 0.2499, 0.2501, 0.75, 1 - 2.0**-53)]
    assert found == [1, 1, 3, 3, 3]


def test_numbers_of_a_source_are_its_seeds_streams_and_rounds_own_and_spread_evenly():
    numbers = [
        SeededSource(seed, stream, position).uniform(i, which)
        for seed in (0, 1, 2**62)
        for stream in (0, 1)
        for position in range(20)
        for i in range(8)
        for which in (0, 1)
    ]
    assert len({*numbers}) == len(numbers)
    assert 0.0 < min(numbers) < max(numbers) < 1.0
    counts = np.histogram(numbers, 8, (0.0, 1.0))[0]
    assert ((counts - len(numbers) / 8) ** 2 / (len(numbers) / 8)).sum() < 24.3  # 7 degrees of freedom, p = 0.001


def test_a_source_draws_with_the_frequencies_of_the_weights():
    weights = torch.tensor([0.0, 0.2, 0.0, 0.5, 0.3], dtype=torch.float64)
    counts = np.bincount([SeededSource(5, 1, position).draw(weights) for position in range(3000)], minlength=5)
    np.testing.assert_allclose(counts / 3000, weights, atol=0.03)
    accepted = sum(SeededSource(5, 0, position).accept(0.3) for position in range(3000))
    assert accepted / 3000 == pytest.approx(0.3, abs=0.03)
