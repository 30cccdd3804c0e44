"""An arm that replays what another pull observed."""

from collections.abc import Mapping

from arms.arm import Arm
from arms.observation import Observation
from arms.query import Query


class RecordedArm(Arm):
    """Answers each query with its stored observation, whatever the seed.

    Args:
        name: The arm's name; the one its observations carry.
        observations: Stored observations by query id.

    Raises:
        ValueError: if an observation belongs to another arm or is filed under another query's id.
    """

    def __init__(self, name: str, observations: Mapping[str, Observation]) -> None:
        self.name = name
        self._observations = dict(observations)
        for query_id, observation in self._observations.items():
            if (observation.arm, observation.query_id) != (name, query_id):
                raise ValueError(f"recorded arm {name!r}: got an {observation} filed under query {query_id!r}")

    def pull(self, query: Query, seed: int) -> Observation:
        """Give the observation stored for `query`; `seed` changes nothing.

        Raises:
            ValueError: if there is none.
        """
        if query.id not in self._observations:
            raise ValueError(
                f"recorded arm {self.name!r} has no observation of query {query.id!r} "
                f"(it holds {len(self._observations)}); record it first or leave the query out"
            )
        return self._observations[query.id]
