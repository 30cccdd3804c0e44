"""Whatever settings are taken, each stage that they lead to can be served and put on trial."""

import pytest

from bandits import Uniform
from bandits.online import Rollout
from speculative.serving.settings import ServiceSettings


@pytest.mark.parametrize("exploration", [0.0, 0.1, 0.33, 0.7, 0.8, 0.9, 1.0])
def test_every_stage_can_be_put_on_trial(exploration):
    live = ServiceSettings("old", exploration=exploration, share=0.0).share_of("live")
    settings = ServiceSettings("old", exploration=exploration, share=live)
    for stage in ("shadow", "canary", "live"):
        rollout = Rollout(Uniform(("old", "new")), "old", share=settings.share_of(stage), exploration=exploration)
        assert rollout.most_weight("old") >= 1
