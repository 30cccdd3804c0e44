"""What is fuzzed: a kind of input, how it is damaged, and who reads it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True, slots=True)
class Damage:
    """What was done to an input.

    Attributes:
        what: in words.
        must_refuse: whether a reader that takes it, and reads something else than before, is wrong.
    """

    what: str
    must_refuse: bool = False


class Subject(ABC):
    """A kind of input. It is made whole once; each attempt writes it damaged into a folder and reads it there."""

    name: str

    @abstractmethod
    def write(self, rng: np.random.Generator, folder: Path) -> Damage:
        """Write a damaged input; the same generator writes the same one."""

    @abstractmethod
    def write_whole(self, folder: Path) -> None:
        """Write the input as it should be."""

    @abstractmethod
    def read(self, folder: Path) -> object:
        """Read it as a user would, and return what was read, to compare by its `repr`."""
