"""A clock that tests move."""


class FakeTime:
    """A clock that only moves when told; `time()` is the calendar, `perf_counter()` the stopwatch."""

    def __init__(self):
        self.now = 0.0
        self.calendar = 1000.0 * 86_400

    def perf_counter(self):
        return self.now

    def time(self):
        return self.calendar
