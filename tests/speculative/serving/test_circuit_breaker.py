"""A circuit opens after failures in a row, lets one try through after its time, and closes on success."""

import pytest

from speculative.serving.circuit_breaker import CircuitBreaker


def test_failures_in_a_row_open_it_for_a_while_and_one_more_opens_it_again():
    now = [100.0]
    breaker = CircuitBreaker(most_failures=2, open_s=10.0, clock=lambda: now[0])
    breaker.failed()
    breaker.succeeded()
    breaker.failed()
    assert not breaker.is_open
    breaker.failed()
    assert breaker.is_open
    now[0] += 10.0
    assert not breaker.is_open
    breaker.failed()
    assert breaker.is_open
    now[0] += 10.0
    breaker.succeeded()
    breaker.failed()
    assert not breaker.is_open


def test_a_health_check_masks_at_once_and_what_is_up_again_is_asked_at_once():
    breaker = CircuitBreaker(most_failures=1, open_s=10.0, clock=lambda: 0.0)
    breaker.checked("no connection")
    assert (breaker.is_open, breaker.state, breaker.down) == (True, "down", "no connection")
    breaker.failed()
    breaker.checked(None)
    assert (breaker.is_open, breaker.state) == (False, "up")
    breaker.failed()
    breaker.checked(None)  # it answers to checks and fails at requests
    assert breaker.state == "masked"


@pytest.mark.parametrize("settings", [{"most_failures": 0}, {"open_s": 0.0}])
def test_limits_must_be_positive(settings):
    with pytest.raises(ValueError, match="most_failures must be >= 1 and open_s > 0"):
        CircuitBreaker(**settings)
