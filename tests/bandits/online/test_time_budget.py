import threading

import pytest

from bandits.online import TimeBudget


def test_an_arm_runs_while_what_was_lost_and_what_is_at_stake_fit_the_budget():
    budget = TimeBudget(1.0, pace_s=0.1)
    assert budget.begin("a", "draft")
    budget.end("a", 0.6, 2)  # lost 0.4, which is the arm's stake from now on
    assert budget.lost_s == pytest.approx(0.4)
    assert budget.begin("b", "draft")
    assert not budget.begin("c", "draft")  # 0.4 lost, 0.4 at stake, 0.4 more
    budget.end("b", 0.1, 2)  # saved 0.1
    assert budget.lost_s == pytest.approx(0.3)
    assert budget.begin("c", "draft")
    assert budget.n_withheld == 1


def test_an_arm_that_never_ran_runs_alone():
    budget = TimeBudget(10.0, pace_s=0.1)
    assert budget.begin("a", "new")
    assert not budget.begin("b", "new")
    assert not budget.begin("c", "another new one")
    budget.end("a", 0.1, 1)
    assert budget.begin("b", "new")


def test_a_spent_budget_stays_spent_unless_a_share_lets_it_grow():
    fixed, growing = TimeBudget(0.5, pace_s=0.1), TimeBudget(0.5, share=0.1, pace_s=0.1)
    for budget in (fixed, growing):
        budget.begin("a", "draft")
        budget.end("a", 1.0, 1)
        assert not budget.allows("draft")
        for _ in range(200):
            budget.ran_safe(0.1, 1)
    assert not fixed.allows("draft")
    assert growing.allowed_s == pytest.approx(0.5 + 0.1 * 0.1 * 201)
    assert growing.allows("draft")


def test_what_was_saved_makes_room():
    budget = TimeBudget(0.0, pace_s=1.0)
    budget.begin("a", "draft")
    budget.end("a", 0.5, 2)
    assert budget.lost_s == -1.5
    assert budget.allows("draft")
    assert "1.5 s saved" in str(budget)


def test_nothing_else_runs_before_the_safe_arm_has_shown_its_pace_in_the_group():
    budget = TimeBudget(1.0)
    for _ in range(3):
        budget.ran_safe(0.2, 2, "one")
    assert budget.pace("one") is None
    assert not budget.begin("a", "draft", "one")
    budget.ran_safe(0.2, 2, "one")
    assert budget.pace("one") == pytest.approx(0.1)
    assert budget.begin("a", "draft", "one")
    assert not budget.allows("draft", "two")


def test_the_pace_is_the_recent_ratio_less_two_standard_errors():
    budget = TimeBudget(1.0)
    for seconds in (0.1, 0.3) * 32:
        budget.ran_safe(seconds, 1)
    deviation = (64 * 0.1**2 / 63) ** 0.5
    assert budget.pace() == pytest.approx(0.2 - 2 * deviation / 8)
    for _ in range(64):  # the machine is slower now
        budget.ran_safe(0.5, 1)
    assert budget.pace() == pytest.approx(0.5)


def test_a_pull_that_fails_loses_all_its_time():
    budget = TimeBudget(1.0, pace_s=0.1)
    budget.begin("a", "broken")
    budget.end("a", 0.7, 0)
    assert budget.lost_s == 0.7
    assert not budget.allows("broken")


def test_a_pull_that_never_ran_leaves_no_stake():
    budget = TimeBudget(0.0, pace_s=0.1)
    budget.begin("a", "draft")
    budget.drop("a")
    assert budget.allows("draft")


def test_pulls_of_many_threads_are_counted_once_each():
    budget = TimeBudget(1e9, pace_s=0.25)
    budget.begin("first", "draft")
    budget.end("first", 0.5, 1)

    def run(thread):
        for number in range(200):
            budget.begin((thread, number), "draft")
            budget.end((thread, number), 0.5, 1)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert budget.lost_s == 801 * 0.25


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"budget_s": -1.0}, "budget_s must be a finite number >= 0"),
        ({"budget_s": float("nan")}, "budget_s"),
        ({"budget_s": 1.0, "share": 1.5}, "share must be"),
        ({"budget_s": 1.0, "pace_s": 0.0}, "pace_s must be"),
    ],
)
def test_numbers_out_of_range_are_refused(settings, rule):
    with pytest.raises(ValueError, match=rule):
        TimeBudget(**settings)
