from arms import acceptance_length, acceptance_rate


def test_both_formulas_by_hand():
    assert acceptance_length(4, 3) == 1 + 4 / 3
    assert acceptance_length(0, 3) == 1.0
    assert acceptance_rate(4, 6) == 4 / 6
    assert acceptance_rate(0, 6) == 0.0


def test_both_are_undefined_where_there_is_nothing_to_divide_by():
    assert acceptance_length(0, 0) is None
    assert acceptance_rate(0, 0) is None
