"""Choose, see what the choice was worth, and learn from it at once."""

import numpy as np

from bandits import LinTS

policy, rng = LinTS(arm_names=("small", "large")), np.random.default_rng(0)
for step in range(200):
    context = np.array([1.0, step % 2])
    reward_of = {"small": 1.0 - step % 2, "large": float(step % 2)}

    # --8<-- [start:task]
    decision = policy.choose(context, rng)
    policy.update([context], [decision.arm], [reward_of[decision.arm]], propensities=[decision.propensity])
    # --8<-- [end:task]

print(dict(zip(policy.arm_names, policy.probabilities([[1.0, 0.0]])[0].round(2).tolist(), strict=True)))
