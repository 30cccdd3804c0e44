"""A job that is killed at any of its writes loses nothing, and leaves nothing that is read as whole.

What a kill leaves is taken from an undisturbed life at every write, byte for byte; at a few the job is killed in
earnest, and leaves the same. `make test-kills` kills it at every one.
"""

import subprocess
import sys

from tests.support.public_names import ROOT

JOBS = ("collect", "recost", "train", "train over an older policy", "compare", "distill", "demo")
N_KILLS = 3  # of each job


def test_jobs_that_are_killed_go_on_and_end_where_an_undisturbed_one_does(tmp_path):
    driver = ROOT / "tests" / "support" / "killed_jobs.py"
    done = subprocess.run([sys.executable, driver, tmp_path, str(N_KILLS)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    figures = dict(line.split(": ") for line in done.stdout.splitlines())
    assert tuple(figures) == JOBS
    assert all(f"killed at {N_KILLS}," in figure for figure in figures.values())
