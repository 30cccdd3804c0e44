"""Say what a policy would have earned, from the log of another."""

import numpy as np

from bandits import LoggedData

rng = np.random.default_rng(0)
contexts = rng.normal(size=(1000, 4))
actions = rng.choice(3, size=1000, p=[0.5, 0.3, 0.2])  # the log's policy saw no context
rewards = contexts[np.arange(1000), actions] + rng.normal(size=1000)
propensities = np.array([0.5, 0.3, 0.2])[actions]
log = LoggedData(contexts, actions, rewards, propensities, ("small", "medium", "large"))
train, held_out = log.subset(np.arange(500)), log.subset(np.arange(500, 1000))

# --8<-- [start:task]
from bandits import LinUCB, estimate

policy = LinUCB().fit(train)
print(estimate(policy, held_out).to_text())
# --8<-- [end:task]
