import logging

import pytest

from speculative.cli.progress import PlainLines, busy, log_to_stderr, progress


def test_plain_lines_tell_the_first_and_last_news_of_a_stage_and_others_now_and_then():
    now = 0.0
    lines: list[str] = []
    tell = PlainLines(lines.append, clock=lambda: now, seconds_between=10)
    for done in range(1, 31):
        tell("collecting", done, 30)
        now += 1
    tell("learning", 1, 1)
    assert lines == [
        "collecting: 1 of 30, 0 s",
        "collecting: 11 of 30, 10 s",
        "collecting: 21 of 30, 20 s",
        "collecting: 30 of 30, 29 s",
        "learning: 1 of 1, 0 s",
    ]


def test_where_standard_error_is_no_terminal_progress_is_plain_lines(capsys):
    with busy("loading models"):
        pass
    with progress("collecting", 2) as advance:
        advance(1)
        advance(1)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == ["loading models ...", "collecting: 1 of 2, 0 s", "collecting: 2 of 2, 0 s"]


@pytest.fixture
def own_logger():
    """The library's logger, put back as it was."""
    logger = logging.getLogger("speculative")
    level, handlers = logger.level, list(logger.handlers)
    yield logger
    logger.setLevel(level)
    logger.handlers[:] = handlers


def test_what_the_library_logs_is_shown_once_on_standard_error(own_logger, capsys):
    own_logger.handlers.clear()
    for _ in range(2):
        log_to_stderr()
    logging.getLogger("speculative.models.gguf_conversion").info("converting %s", "a.gguf")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "converting a.gguf\n")
