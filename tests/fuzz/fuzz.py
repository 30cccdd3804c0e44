"""Damaged inputs for every reader: `python tests/fuzz/fuzz.py [--seed N] [--seconds S | --inputs N] [--only NAME]`.

Each input is read in a child of its own, which has so long and so much memory. Right is one clear error, or what was
written; wrong is an exception that is not draftpick's own, an end by signal, a child that does not end, and a
damaged file that is read as if it were whole. `--only NAME --input I` writes and reads one input again, and keeps it.
"""

import argparse
import hashlib
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.fuzz import data_subjects, model_subjects  # noqa: E402  found by the path above
from tests.fuzz.subject import Damage, Subject  # noqa: E402

SUBJECTS: tuple[type[Subject], ...] = (
    data_subjects.Policies,
    data_subjects.Parquet,
    data_subjects.Prompts,
    data_subjects.Dsjson,
    model_subjects.Pools,
    model_subjects.Templates,
    model_subjects.Configs,
    model_subjects.Weights,
    model_subjects.Heads,
    model_subjects.Gguf,
)
SECONDS, MEMORY = 20, 3 * 2**30  # of one input
OWN = ("arms", "rewards", "bandits", "speculative")
FAULTS = ("foreign", "hang", "crash", "accepted")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a reader ended: `refused`, `same`, `other` (read, and not what was written) or one of `FAULTS`."""

    kind: str
    detail: str = ""


def attempt(subject: Subject, folder: Path) -> Outcome:
    """Read a folder in a child process."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _read(subject, folder, writing)
    os.close(writing)
    ready, _, _ = select.select([reading], [], [], SECONDS)
    said = os.read(reading, 65_536).decode() if ready else ""
    os.close(reading)
    if not ready:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if not ready:
        return Outcome("hang")
    if not said:
        return Outcome("crash", f"status {status}")
    kind, _, detail = said.partition(" ")
    return Outcome(kind, detail)


def _read(subject: Subject, folder: Path, writing: int) -> None:
    """Be the child: read, say how it went, and end."""
    said = "foreign could not say how it ended"
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        virtual = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (virtual + MEMORY, virtual + MEMORY))
        warnings.simplefilter("ignore")
        said = f"read {hashlib.sha256(repr(subject.read(folder)).encode()).hexdigest()}"
    except BaseException as error:
        said = f"{'refused' if _is_clear(error) else 'foreign'} {_told(error)}"
    finally:
        os.write(writing, said[:60_000].encode(errors="replace"))
        os.kill(os.getpid(), signal.SIGKILL)  # no clean-up of what the parent still needs


def _is_clear(error: BaseException) -> bool:
    """Whether an error is one that draftpick promises for bad input, with words of its own."""
    kind = type(error)
    if kind is RuntimeError:  # torch raises it as well
        last = traceback.extract_tb(error.__traceback__)[-1]
        return Path(last.filename).is_relative_to(ROOT) and (last.line or "").startswith("raise ")
    if kind.__module__ == "builtins":
        return kind in (ValueError, FileNotFoundError, IsADirectoryError, OSError)
    return isinstance(error, ValueError) and kind.__module__.split(".")[0] in OWN


def _told(error: BaseException) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {last.filename}:{last.lineno}: {str(error)[:400]}"


def one(subject: Subject, seed: tuple[int, ...], folder: Path) -> tuple[Damage, Outcome]:
    """Write and read one damaged input."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    damage = subject.write(np.random.default_rng(seed), folder)
    outcome = attempt(subject, folder)
    if outcome.kind != "read":
        return damage, outcome
    if _check_whole(subject, folder.with_name("whole")) == outcome:
        return damage, Outcome("same")
    return damage, Outcome("accepted" if damage.must_refuse else "other")


def _check_whole(subject: Subject, folder: Path) -> Outcome:
    """Return what is read of the input as it should be."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    subject.write_whole(folder)
    outcome = attempt(subject, folder)
    if outcome.kind != "read":
        raise SystemExit(f"{subject.name}: the whole input is not read: {outcome.kind} {outcome.detail}")
    return outcome


def main() -> int:
    """Fuzz; return 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0.0, help="go on until then, after --inputs of each kind")
    parser.add_argument("--inputs", type=int, default=0, help="of each kind")
    parser.add_argument("--only", default="")
    parser.add_argument("--input", type=int, default=None)
    given = parser.parse_args()
    torch.set_num_threads(1)
    place = Path(tempfile.mkdtemp(prefix="fuzz-"))
    ends_at, counts, n_faults, index = time.monotonic() + given.seconds, {}, 0, given.input or 0
    subjects = {}
    for number, kind in enumerate(SUBJECTS):
        if given.only in ("", kind.name):
            (place / kind.name).mkdir()
            subjects[number] = kind(place / kind.name)
            counts[kind.name] = Counter()
            _check_whole(subjects[number], place / "whole")
    while True:
        for number, subject in subjects.items():
            damage, outcome = one(subject, (given.seed, number, index), place / "input")
            counts[subject.name][outcome.kind] += 1
            if outcome.kind in FAULTS or given.input is not None:
                n_faults += outcome.kind in FAULTS
                print(f"{subject.name} {index} ({damage.what}): {outcome.kind} {outcome.detail}", flush=True)
        index += 1
        if given.input is not None or (index >= given.inputs and time.monotonic() >= ends_at):
            break
    for name, found in counts.items():
        print(f"{name}: {found.total()} inputs, " + ", ".join(f"{n} {kind}" for kind, n in sorted(found.items())))
    total = sum(found.total() for found in counts.values())
    print(f"seed {given.seed}: {total} inputs, {n_faults} wrong")
    if given.input is None:
        shutil.rmtree(place)
    else:
        print(place / "input")
    return int(n_faults > 0)


if __name__ == "__main__":
    sys.exit(main())
