"""Your own target and drafts: from a few prompts to an answer whose draft a learned policy picked.

    python examples/tutorials/own_models.py --target owner/large-model --draft owner/small-model
    python examples/tutorials/own_models.py --target ./my-target --draft ./my-draft.gguf --prompts prompts.jsonl
    python examples/tutorials/own_models.py --smoke   # tiny random models made on the spot; no network

A model is a hub id, a folder or a GGUF file. A draft must share the target's tokenizer.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tiny_model import save_tiny_model
from transformers.utils.logging import disable_progress_bar

from arms import Query, read_queries
from bandits import FullInformationData, LinUCB, Policy, evaluate
from speculative.collection.collect import collect
from speculative.drafts import DraftModel, NoDraft, PromptLookup
from speculative.engine.generate import stream
from speculative.measuring.cost_cache import cached_costs
from speculative.measuring.cost_profile import CostProfile
from speculative.models.settings import DEFAULT_CACHE
from speculative.pools.pool import Pool
from speculative.selectors.policy_selector import PolicyChoice, PolicySelector
from speculative.targets.hidden_state_encoder import HiddenStateEncoder
from speculative.targets.speculative_arm import SpeculativeArm
from speculative.targets.target import Target

PROMPTS = (
    "Name three rivers in France.",
    "Repeat this list in alphabetical order: pear, apple, fig, cherry.",
    "What is 12 times 13?",
    "Write a Python function that reverses a string.",
    "Correct the spelling: The wether was lovley yesterday.",
    "Explain to a child why the sea is salty.",
    "Translate into Spanish: The library opens at nine.",
    "A train leaves at 9:40 and arrives at 11:05. How long is the journey?",
    "Write a polite reply to an invitation that you cannot accept.",
    "Write an SQL query that counts the rows of the table orders.",
    "Summarise in one sentence: The council will plant forty trees along the river next spring.",
    "Give me three names for a small bakery.",
)


# --8<-- [start:pool]
def make_pool(target: str, drafts: Sequence[str], max_new_tokens: int) -> Pool:
    """Return the target alone, two look-ups in the text itself, and each draft model at one draft length."""
    loaded = Target.load(target, max_new_tokens=max_new_tokens)
    lookup = PromptLookup()
    arms = [
        SpeculativeArm(loaded, NoDraft()),
        SpeculativeArm(loaded, lookup, 3),
        SpeculativeArm(loaded, lookup, 7),
        *(SpeculativeArm(loaded, DraftModel.Spec(model=draft).build(loaded), 3) for draft in drafts),
    ]
    return Pool(loaded, arms, encoder=HiddenStateEncoder(loaded))  # contexts: the target's own view of the prompt


# --8<-- [end:pool]


# --8<-- [start:learn]
def learn(queries: Sequence[Query], pool: Pool, costs: CostProfile, folder: Path) -> Policy:
    """Collect what every arm would have brought, fit a policy, and say what it is worth on other queries."""
    held_out = queries[::3]
    train = [query for query in queries if query not in held_out]
    train_data: FullInformationData = collect(train, pool, folder / "train", costs)
    test_data = collect(held_out, pool, folder / "test", costs)

    policy = LinUCB().fit(train_data)
    print(evaluate({"LinUCB": policy}, test_data, training_data=train_data).to_text())
    return policy


# --8<-- [end:learn]


# --8<-- [start:answer]
def answer(query: Query, pool: Pool, policy: Policy, seed: int) -> str:
    """Let the policy pick the arm, then generate; the text is the target's own, whatever was picked."""
    chosen: list[PolicyChoice] = []
    rng = np.random.default_rng(seed)
    selector = PolicySelector(policy, pool.encoder, pool.arms.names, rng, on_finish=chosen.append)
    engine = pool.target.engine(pool.arms, selector)
    token_ids = [token for result in stream(engine, pool.target.request(query)) for token in result.token_ids]

    decision, stats = chosen[0].decision, engine.take(query.id).stats
    print(f"picked {decision.arm} (probability {decision.propensity:.2f})")
    print(
        f"{stats.n_new} tokens in {stats.seconds:.2f} s, {stats.n_accepted} of {stats.n_proposed} draft tokens accepted"
    )
    return pool.target.text(token_ids)


# --8<-- [end:answer]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", help="the model whose text is kept")
    parser.add_argument("--draft", action="append", default=[], help="a small model; may be given again")
    parser.add_argument("--prompts", type=Path, help="JSONL with one prompt a line; default: twelve of ours")
    parser.add_argument("--out", type=Path, help="keeps data and policy there; default: nowhere")
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="tiny random models, eight tokens an answer")
    options = parser.parse_args(arguments)
    if not options.smoke and options.target is None:
        parser.error("name a --target (or try --smoke)")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    disable_progress_bar()
    options = parse(arguments)
    queries = [Query(id=f"q{number}", prompt=prompt) for number, prompt in enumerate(PROMPTS)]
    if options.prompts is not None:
        queries = read_queries(options.prompts)
    with tempfile.TemporaryDirectory() as scratch:
        out = options.out or Path(scratch)
        target, drafts, n_tokens = options.target, options.draft, options.max_new_tokens
        if options.smoke:
            target = save_tiny_model(Path(scratch) / "tiny-target", n_layers=2, seed=1)
            drafts, n_tokens = [save_tiny_model(Path(scratch) / "tiny-draft", n_layers=1, seed=2)], 8
        pool = make_pool(target, drafts, n_tokens)
        profiles = Path(scratch) if options.smoke else DEFAULT_CACHE / "profiles"
        costs = cached_costs(pool.target.model, pool.target.name, pool.drafts, profiles)
        policy = learn(queries, pool, costs, out)
        print("saved", policy.save(out / "policy").name)
        print(answer(queries[0], pool, policy, options.seed))


if __name__ == "__main__":
    main()
