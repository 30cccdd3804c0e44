"""What every test may rely on: examples that are the same in every run, and a process left as it was found."""

import os
import random
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

# One fixed set of examples makes a failure mean that the code changed. New ones are drawn, and a failing one printed,
# with `pytest --hypothesis-profile=fresh`.
settings.register_profile("fixed", deadline=None, derandomize=True)
settings.register_profile("fresh", deadline=None, print_blob=True)
settings.load_profile("fixed")

_SET_BY_LIBRARIES = ("PYTEST_", "KMP_", "TORCHINDUCTOR_")  # variables that appear when one is imported
_LONG = ("test_generation_examples.py", "test_killed_jobs.py", "test_demo.py", "test_fuzz.py", "test_bench_rounds.py")
_USERS_CACHE = str(Path.home() / ".cache" / "draftpick")


class _CacheGuard:
    """Notes every Python call that opens, lists or makes something in the user's cache of models and costs."""

    def __init__(self) -> None:
        self.touched: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[object, ...]) -> None:
        if event in ("open", "os.listdir", "os.scandir", "os.mkdir", "os.rename", "os.remove"):
            path = arguments[0]
            if isinstance(path, (str, os.PathLike)) and os.fspath(path).startswith(_USERS_CACHE):  # type: ignore[arg-type]
                self.touched.append(str(path))


@pytest.fixture(scope="session")
def _cache_guard() -> _CacheGuard:
    return _CacheGuard()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let tests run with several threads; tiny models gain nothing from them."""
    parser.addoption("--threads", type=int, default=1, help="threads of torch (default: 1)")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Give every core a worker, four at most, since each holds the models; none beside this process on one core."""
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(n_cores, 4) if n_cores > 1 else 0


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the long files where there are several workers, so that none is left alone with one at the end."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: item.path.name not in _LONG)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(request: pytest.FixtureRequest) -> Generator[None, object, object]:
    """Give every fixture, and the test after them, one state of threads and global generators, whatever ran before."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)
        if torch.get_num_threads() != (n_threads := request.config.getoption("--threads")):
            torch.set_num_threads(n_threads)
    return (yield)


def _process_state() -> dict[str, object]:
    """What one test could leave behind for another."""
    state: dict[str, object] = {
        "working directory": os.getcwd(),
        "environment": {name: value for name, value in os.environ.items() if not name.startswith(_SET_BY_LIBRARIES)},
        "sys.path": tuple(sys.path),
    }
    if torch := sys.modules.get("torch"):
        state |= {
            "torch's gradients": torch.is_grad_enabled(),
            "torch's inference mode": torch.is_inference_mode_enabled(),
            "torch's default type": torch.get_default_dtype(),
            "torch's deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        }
    return state


@pytest.fixture(autouse=True)
def _process_is_left_as_found(request: pytest.FixtureRequest, _cache_guard: _CacheGuard) -> Iterator[None]:
    """Fail a test that changes what others read, or touches the user's cache without being marked `real_models`."""
    before = _process_state()
    _cache_guard.touched.clear()
    yield
    after = _process_state()
    changed = [name for name, value in after.items() if name in before and before[name] != value]
    assert not changed, f"the test left changed: {', '.join(changed)}"
    if request.node.get_closest_marker("real_models") is None:
        assert not _cache_guard.touched, f"the test touched the user's cache: {_cache_guard.touched[:3]}"
