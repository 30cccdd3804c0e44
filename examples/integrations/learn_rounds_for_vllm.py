"""Learn a choice at every round from texts that draftpick collected, in the form that the proposer for vLLM reads.

    draftpick collect prompts.jsonl --pool examples/integrations/pool_lookups.toml --out collected
    python examples/integrations/learn_rounds_for_vllm.py collected --out rounds.safetensors

What a round costs is taken from the collection: draftpick's own engine on that machine, not vLLM.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from bandits import LinUCB
from speculative.rounds import CollectedRounds, TrainingSettings, fit_speed_selector, round_data

SETTINGS = TrainingSettings(n_prompt_features=0)  # vLLM shows a proposer no state of the prompt


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("collected", type=Path, help="folder that draftpick collect wrote, of look-up arms alone")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    found = CollectedRounds.read(options.collected)
    # --8<-- [start:task]
    rate = fit_speed_selector(found.traces, found.arms, found.costs, SETTINGS).rate
    data = round_data(found.traces, found.arms, found.costs, rate=rate, settings=SETTINGS)
    policy = LinUCB(ucb_width=0.0).fit(data)
    # --8<-- [end:task]
    print(f"learned from {len(data.contexts)} rounds: {policy.save(options.out)}")


if __name__ == "__main__":
    main()
