"""The bench of one online decision runs."""

import runpy
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "examples" / "benchmarks" / "time_online.py"


def test_every_part_of_the_loop_is_timed_with_and_without_fsync(tmp_path, capsys):
    main = runpy.run_path(str(SCRIPT))["main"]
    main(["--n-decisions", "5", "--n-repeats", "1", "--folder", str(tmp_path)])
    printed = capsys.readouterr().out
    for part in ("sync_every=0", "sync_every=1", "encode", "choose", "reward", "learn"):
        assert part in printed
