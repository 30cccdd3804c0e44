from itertools import product

import pytest
import torch

from speculative.engine.target_rows import InvalidLogitsError, TargetRows, largest_logits
from speculative.engine.verify import make_verifier, verify_match, verify_rejection
from speculative.sampling.sampling_params import SamplingParams
from speculative.sampling.token_sampler import DraftTokens
from tests.support.enumeration import distributions_over, every_outcome


@pytest.mark.parametrize("draft_length", [0, 1, 2, 3])
def test_committed_tokens_are_the_targets_for_every_draft_and_every_target(draft_length):
    """All targets over three tokens, as functions of the drafted prefix, along the draft's own path."""
    for draft in product(range(3), repeat=draft_length):
        for target in product(range(3), repeat=draft_length + 1):
            asked = []

            def target_token(i, asked=asked, target=target):
                asked.append(i)
                return target[i]

            verification = verify_match(target_token, draft)
            n = verification.n_accepted
            assert draft[:n] == target[:n]  # accepted tokens are the target's choices
            assert verification.next_token == target[n]
            assert n == draft_length or draft[n] != target[n]  # and no right one is thrown away
            assert asked == list(range(n + 1))  # rows beyond the first mismatch are not looked at


@pytest.mark.parametrize(("p", "q"), distributions_over(3))
def test_rejection_gives_the_targets_distribution_and_accepts_what_both_share(p, q):
    p, q = torch.tensor(p, dtype=torch.float64), torch.tensor(q, dtype=torch.float64)

    def one_round(source):
        drawn = source.draw(q)
        verification = verify_rejection(lambda i: p, [drawn], q[None], source)
        first = drawn if verification.n_accepted else verification.next_token
        return first, verification.n_accepted

    outcomes = every_outcome(one_round)
    distribution = [sum(probability for (token, _), probability in outcomes if token == t) for t in range(3)]
    torch.testing.assert_close(torch.tensor(distribution, dtype=torch.float64), p, atol=1e-12, rtol=0.0)
    accepted = sum(probability for (_, n), probability in outcomes if n)
    assert accepted == pytest.approx(float(torch.minimum(p, q).sum()), abs=1e-12)


@pytest.mark.parametrize("token", range(3))
def test_a_certain_draft_token_is_accepted_with_the_targets_probability_of_it(token):
    p = torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64)
    outcomes = every_outcome(lambda source: verify_rejection(lambda i: p, [token], None, source))
    accepted = sum(probability for found, probability in outcomes if found.n_accepted)
    assert accepted == pytest.approx(float(p[token]))
    refused = [found.next_token for found, probability in outcomes if not found.n_accepted and probability > 0]
    assert token not in refused


def test_a_residual_without_mass_falls_back_on_the_targets_distribution():
    p = torch.tensor([0.25, 0.75], dtype=torch.float64)

    class Unlucky:
        def accept(self, probability):
            return False  # what rounding may do where the distributions are the same

        def draw(self, weights):
            torch.testing.assert_close(weights, p)
            return 1

    assert verify_rejection(lambda i: p, [1], p[None], Unlucky()).next_token == 1


@pytest.mark.parametrize(
    "params", [SamplingParams(), SamplingParams(1.0), SamplingParams(1.0, verification="rejection")]
)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_only_a_row_whose_turn_comes_must_be_finite(params, bad):
    logits = torch.full((3, 4), -40.0)
    logits[0, 2] = logits[1, 1] = 40.0
    logits[2, 0] = bad
    rows = TargetRows(logits, largest_logits(logits))
    verifier = make_verifier(params, 3, 4)
    assert verifier.verify(rows, DraftTokens([3, 1]), 1).next_token == 2  # refused at row 0
    assert verifier.verify(rows, DraftTokens([2, 3]), 1).n_accepted == 1
    with pytest.raises(InvalidLogitsError, match="largest logit must be finite, got"):
        verifier.verify(rows, DraftTokens([2, 1]), 1)
