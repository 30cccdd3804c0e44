from speculative.models.kernels.trial import Trial, time_trials


class Watch:
    """A timer that runs nothing and reports what it is told, in turn."""

    def __init__(self, seconds):
        self.seconds, self.seen = seconds, []

    def __call__(self, trial):
        self.seen.append((trial.form, trial.n_rows))
        return self.seconds(trial, len(self.seen))


TRIALS = [Trial(form, n, lambda: None) for n in (1, 4) for form in ("a", "b")]


def test_forms_take_turns_and_the_first_round_does_not_count():
    watch = Watch(lambda trial, i: 100.0 if i <= 4 else trial.n_rows)
    assert time_trials(TRIALS, watch, budget_s=0.0) == {"a": {1: 1, 4: 4}, "b": {1: 1, 4: 4}}
    assert watch.seen[:4] == [("a", 1), ("b", 1), ("a", 4), ("b", 4)]
    assert len(watch.seen) == 3 * 4


def test_one_disturbed_round_moves_no_median():
    watch = Watch(lambda trial, i: 50.0 if 8 < i <= 12 else 1.0)
    assert set(time_trials(TRIALS, watch, budget_s=1000.0)["a"].values()) == {1.0}
    assert len(watch.seen) == 9 * 4  # at most nine rounds


def test_no_round_begins_beyond_the_budget():
    watch = Watch(lambda trial, i: 1.0)
    time_trials(TRIALS, watch, budget_s=17.0)
    assert len(watch.seen) == 5 * 4
