"""From arms of one's own to a learned policy: of two endpoints one knows facts, the other can add."""

from arms import Query
from rewards import Reward

CAPITALS = {"France": "Paris", "Italy": "Rome", "Peru": "Lima", "Kenya": "Nairobi", "Japan": "Tokyo", "Cuba": "Havana"}
answers = {f"What is the capital of {country}?": capital for country, capital in CAPITALS.items()}
answers |= {f"How much is {n} plus {n}?": str(2 * n) for n in range(6)}
queries = [Query(id=prompt, prompt=prompt) for prompt in answers]


def small(prompt):
    """Stand in for a small model's endpoint: it can add."""
    return answers[prompt] if "plus" in prompt else "I do not know."


def large(prompt):
    """Stand in for a large one's: it knows facts."""
    return answers[prompt] if "capital" in prompt else "About a dozen."


class Right(Reward):
    """1 for the right answer, else 0."""

    bounds = (0.0, 1.0)

    def _value(self, observation):
        return float(observation.text == answers[observation.query_id])


reward = Right()

# --8<-- [start:task]
from time import perf_counter

from arms import Arm, Observation, pull_all
from bandits import FullInformationData, HashingEncoder, LinUCB


class Endpoint(Arm):
    def __init__(self, name, ask):
        self.name, self.ask = name, ask

    def pull(self, query, seed):
        start, text, end = perf_counter(), self.ask(query.text), perf_counter()
        return Observation(self.name, query.id, text, len(text.split()), end - start)


observations = pull_all([Endpoint("small", small), Endpoint("large", large)], queries)
data = FullInformationData.from_observations(queries, observations, encoder=HashingEncoder(64), reward=reward)
policy = LinUCB().fit(data)
# --8<-- [end:task]

print(f"mean reward {data.value(policy):.2f}; always small {data.rewards[:, 0].mean():.2f}")
