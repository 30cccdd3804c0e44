from speculative.protocols.decoding_stats import DecodingStats


def test_totals_are_sums_over_the_rounds():
    stats = DecodingStats(n_new=8, actions=[0, 1, 0], proposed=[3, 0, 4], accepted=[1, 0, 3])
    assert stats.n_rounds == 3
    assert (stats.n_proposed, stats.n_accepted) == (7, 4)
    assert stats.accepted_by_position() == [(2, 2), (2, 1), (2, 1), (1, 0)]


def test_a_text_without_rounds_counts_nothing():
    stats = DecodingStats(n_new=1)
    assert (stats.n_rounds, stats.n_proposed, stats.n_accepted) == (0, 0, 0)
    assert stats.accepted_by_position() == []


def test_catching_up_is_a_part_of_drafting():
    stats = DecodingStats(prefill_s=1, select_s=2, draft_s=4, catch_up_s=3, verify_s=8, host_s=16)
    assert stats.seconds == 31
