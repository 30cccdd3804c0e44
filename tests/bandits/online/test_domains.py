"""What was served is told by domain: what was chosen, what it earned, and the seconds of all tokens together."""

import numpy as np
import pytest

from arms import Observation, Query
from bandits import Agent, DecisionLog, HashingEncoder, Uniform
from bandits.online import served_domains
from bandits.online.domains import domains_table

ARMS = ("plain", "fast")


def write(folder, ends):
    """Give decisions of an agent their ends: (domain, reward, seconds, tokens or a failure), or a reason to drop it."""
    with DecisionLog(folder, sync_every=0) as log:
        agent, arms = Agent(Uniform(arm_names=ARMS), HashingEncoder(4), log), []
        for number, (domain, *end) in enumerate(ends):
            arm = agent.choose(Query(id=f"q{number}", prompt="words", domain=domain)).arm
            arms.append(arm)
            if len(end) == 1:
                log.dropped(f"q{number}", end[0])
            elif end:
                reward, seconds, seen = end
                failed = isinstance(seen, str)
                observation = Observation.failed(arm, f"q{number}", seen, seconds) if failed else None
                observation = observation or Observation(arm, f"q{number}", text="", n_tokens=seen, seconds=seconds)
                log.rewarded(f"q{number}", reward, observation)
        return arms


def test_a_log_is_streamed_as_it_is_loaded_with_one_batch_in_memory(tmp_path):
    write(tmp_path, [("code", 0.1 * number % 1, 1.0, 3) for number in range(50)] + [("code", "refused"), ("code",)])
    whole, parts = DecisionLog.load(tmp_path), list(DecisionLog.stream(tmp_path, batch_rows=20))
    assert [len(part) for part in parts] == [20, 20, 10]
    for name in ("rewards", "propensities", "contexts", "times"):
        np.testing.assert_array_equal(np.concatenate([getattr(part, name) for part in parts]), getattr(whole, name))
    with pytest.raises(ValueError, match="batch_rows must be"):
        DecisionLog.stream(tmp_path, batch_rows=0)


def test_choices_rewards_and_seconds_are_told_by_domain(tmp_path):
    ends = [
        ("code", 0.5, 1.0, 10),
        ("code", 0.7, 2.0, 5),
        ("code", 0.0, 9.0, "timed out"),
        ("prose", "refused"),
        ("prose", 0.1, 3.0, 3),
        (None,),
    ]
    arms = write(tmp_path, ends)
    found = served_domains(tmp_path)
    assert list(found) == ["code", "prose", None]
    code, prose, rest = found.values()
    assert {arm: n for arm, n in code.chosen.items() if n} == {arm: arms[:3].count(arm) for arm in set(arms[:3])}
    assert (code.mean_reward, code.ms_per_token, code.n_failed) == (pytest.approx(0.4), pytest.approx(200.0), 1)
    assert (prose.chosen.total(), prose.mean_reward, prose.ms_per_token) == (1, 0.1, 1000.0)
    assert (rest.chosen.total(), rest.mean_reward, rest.ms_per_token) == (1, None, None)
    assert domains_table(found).lines[2] == ("(none)", "1", f"{arms[-1]} 100%", "-", "-")
    assert DecisionLog.load(tmp_path).domains == ("code", "code", "code", "prose")
