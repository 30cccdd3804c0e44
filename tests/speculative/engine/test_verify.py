from itertools import product

import pytest

from speculative.engine.verify import verify_greedy


@pytest.mark.parametrize("draft_length", [0, 1, 2, 3])
def test_committed_tokens_are_the_targets_for_every_draft_and_every_target(draft_length):
    """All targets over three tokens, as functions of the drafted prefix, along the draft's own path."""
    for draft in product(range(3), repeat=draft_length):
        for target in product(range(3), repeat=draft_length + 1):
            verification = verify_greedy(target, draft)
            n = verification.n_accepted
            assert draft[:n] == target[:n]  # accepted tokens are the target's choices
            assert verification.next_token == target[n]
            assert n == draft_length or draft[n] != target[n]  # and no right one is thrown away


@pytest.mark.parametrize("n_target", [0, 1, 3])
def test_lengths_that_disagree_are_refused(n_target):
    with pytest.raises(ValueError, match=f"1 draft tokens need one more target token, got {n_target}"):
        verify_greedy([1] * n_target, [1])
