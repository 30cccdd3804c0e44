"""The class to subclass for a new way of answering queries."""

from abc import ABC, abstractmethod

from arms.observation import Observation
from arms.query import Query


class Arm(ABC):
    """One way to answer a query: a draft at a draft length, an LLM endpoint, a prompt template.

    A subclass sets `name`, in the class or in its `__init__`, and writes `pull`, nothing else.
    `arms.testing.check_arm` tests that it keeps the rules below.

    Attributes:
        name: names the arm in policies, logs and tables; not blank, and the same for the arm's whole life.
    """

    name: str

    @abstractmethod
    def pull(self, query: Query, seed: int) -> Observation:
        """Answer `query` and report the facts.

        The same query and seed give the same text, whatever was pulled before; timings may differ. All
        randomness comes from `seed`, never from a global generator.

        Args:
            query: Left unmodified.
            seed: Source of all randomness of this pull; logged by the caller.

        Returns:
            An observation under this arm's `name` and the query's `id`.

        Raises:
            Exception: any, if there is no answer; `pull_all` then records a failed pull.
        """

    def fingerprint(self) -> str:
        """Return what the arm's answers depend on beside its name, so that a resumed job finds out that it changed.

        The class's name by default; an arm with a model or a prompt behind it adds their digests.
        """
        return type(self).__qualname__
