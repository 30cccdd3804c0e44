"""What is learned and chosen depends on no setting of the machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

JOB = Path(__file__).parents[1] / "support" / "small_job.py"
NONE = {"TZ": "UTC", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def printed(folder, settings):
    folder.mkdir()
    environment = os.environ | NONE | settings
    command = [sys.executable, str(JOB), str(folder), "größe"]
    done = subprocess.run(command, env=environment, capture_output=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode().replace(str(folder), "FOLDER")


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return printed(tmp_path_factory.mktemp("settings") / "job", {})


@pytest.mark.parametrize(
    "settings",
    [
        {"TZ": "Europe/Berlin", "PYTHONHASHSEED": "1", "HOME": "/nonexistent", "COLUMNS": "20"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"},
        {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2", "TZ": "Asia/Kolkata", "LC_ALL": "tr_TR.UTF-8"},
    ],
    ids=["zone, hash seed, home and width", "locale without UTF-8", "threads and another zone"],
)
def test_a_job_gives_the_same_under_other_settings(expected, tmp_path, settings):
    assert printed(tmp_path / "job", settings) == expected
