"""Comparisons wherever they run: the same result with any executor, and one clear error where a worker fails."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from arms import Executor, ProcessExecutor, SerialExecutor
from arms.executors import Failed
from bandits import BestFixedArm, ComparisonSettings, LinUCB, Uniform, compare
from bandits.testing import example_data
from tests.support.public_names import ROOT

POLICIES = {"fixed": BestFixedArm(), "LinUCB": LinUCB()}
QUICK = ComparisonSettings(train_shares=(1.0,), n_bootstrap=50)


@pytest.fixture(scope="module")
def log():
    return example_data(300).log_with(Uniform(), np.random.default_rng(4))


@pytest.mark.parametrize("executor", [SerialExecutor(), ProcessExecutor(2)], ids=["serial", "processes"])
def test_the_executor_does_not_change_the_result(log, executor):
    steps = []
    settings = replace(QUICK, executor=executor)
    again = compare(POLICIES, log, (0, 1), settings=settings, on_progress=lambda *step: steps.append(step))
    assert again == compare(POLICIES, log, (0, 1), settings=QUICK)
    assert steps == [(done, 6) for done in range(1, 7)]


class Refusing(Executor):
    """An executor all of whose workers die."""

    def map(self, function, tasks):
        return (Failed("the worker died", 0.0) for _ in tasks)


def test_a_worker_that_dies_is_an_error_that_names_policy_and_seed(log):
    with pytest.raises(RuntimeError, match="policy 'fixed' with seed 0 gave no scores: the worker died"):
        compare(POLICIES, log, (0,), settings=replace(QUICK, executor=Refusing()))
    with pytest.raises(TypeError, match="executor must be an Executor, got 2"):
        replace(QUICK, executor=2)


class Broken(BestFixedArm):
    def _update(self, state, data):
        raise RuntimeError("cannot learn")


@pytest.mark.parametrize("executor", [None, SerialExecutor()], ids=["none", "serial"])
def test_a_policy_that_fails_is_the_same_error_with_any_executor(log, executor):
    with pytest.raises(ValueError, match=r"^policy 'broken', seed 0: cannot learn$"):
        compare({"broken": Broken()}, log, (0,), settings=replace(QUICK, executor=executor))


def test_a_script_that_other_processes_cannot_run_again_says_so(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import numpy as np\n"
        "from bandits import BestFixedArm, ComparisonSettings, FullInformationData, compare\n"
        "from arms import ProcessExecutor\n"
        "data = FullInformationData(np.eye(40), np.eye(40)[:, :2], ('a', 'b'))\n"
        "settings = ComparisonSettings(executor=ProcessExecutor(2), n_bootstrap=20)\n"
        "compare({'best': BestFixedArm()}, data, seeds=(0, 1), settings=settings)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("RuntimeError: a worker process ended before it could begin")
    assert "if __name__ == '__main__':" in last
