"""Without torch, everything works but training Reinforce and encoding sentences."""

import subprocess
import sys

BLOCK = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "transformers", "sentence_transformers"):
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Refuse())
"""


def run(code):
    return subprocess.run([sys.executable, "-c", BLOCK + code], capture_output=True, text=True, check=True).stdout


def test_bandits_works_without_torch(tmp_path):
    out = run(f"""
import numpy as np
import bandits
from bandits.testing import example_data
data = example_data()
for policy in (bandits.LinUCB(), bandits.LinTS(), bandits.EpsilonGreedy(bandits.BestFixedArm())):
    policy.fit(data).save({str(tmp_path)!r})
    bandits.load_policy({str(tmp_path)!r}).choose(data.contexts[0], np.random.default_rng(0))
print(bandits.evaluate({{"policy": policy}}, data, bootstrap=bandits.Bootstrap(n_resamples=10)).to_text())
bandits.HashingEncoder().encode(["text"])
for action in (lambda: bandits.Reinforce().fit(data), lambda: bandits.SentenceEncoder().encode(["text"])):
    try:
        action()
    except ImportError as error:
        print(error)
""")
    assert "oracle" in out
    assert "torch is needed here" in out
    assert "sentence_transformers is needed here" in out
    assert out.count("pip install '.[llm]'") == 2


def test_a_trained_reinforce_is_loaded_and_chooses_without_torch(tmp_path):
    from bandits import Reinforce
    from bandits.testing import example_data

    data = example_data()
    policy = Reinforce(training={"max_epochs": 1}).fit(data)
    policy.save(tmp_path)
    out = run(f"""
import bandits
from bandits.testing import example_data
print(bandits.load_policy({str(tmp_path)!r}).probabilities(example_data().contexts[:1]).tolist())
""")
    assert out.strip() == str(policy.probabilities(data.contexts[:1]).tolist())


def test_importing_bandits_imports_nothing_slow_that_it_may_not_need():
    slow = ("torch", "scipy.stats", "scipy.optimize", "sklearn", "pandas", "matplotlib")
    code = f"import sys, bandits; print([name for name in {slow} if name in sys.modules])"
    assert run(code).strip() == "[]"
