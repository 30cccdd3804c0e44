"""How far a target follows a draft: the one definition of acceptance length and acceptance rate."""


def acceptance_length(n_accepted: int, n_rounds: int) -> float | None:
    """Return 1 + n_accepted / n_rounds: new tokens a round, in [1, draft_length + 1]; None without a round.

    The `next_token` that the target adds each round is counted, also in a last round whose `next_token` was cut off
    because the text ended on an accepted draft token. The prefill's token belongs to no round.
    Source: vLLM's "mean acceptance length", and the average acceptance length of Li et al. 2024 (EAGLE,
    arXiv:2401.15077).

    Args:
        n_accepted: draft tokens accepted over all rounds, `next_token` not counted; >= 0.
        n_rounds: draft-verify rounds; >= 0.
    """
    return 1 + n_accepted / n_rounds if n_rounds else None


def acceptance_rate(n_accepted: int, n_proposed: int) -> float | None:
    """Return n_accepted / n_proposed, in [0, 1]; None where nothing was proposed.

    Args:
        n_accepted: draft tokens accepted over all rounds, `next_token` not counted; >= 0.
        n_proposed: draft tokens proposed over all rounds; >= `n_accepted`.
    """
    return n_accepted / n_proposed if n_proposed else None
