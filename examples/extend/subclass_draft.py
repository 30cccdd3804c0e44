"""Write a draft and a selector of your own, check them, and see that the text stays the target's.

python examples/extend/subclass_draft.py                      # a tiny random target
python examples/extend/subclass_draft.py --target OWNER/NAME  # any hub id, folder or GGUF file
"""

import argparse
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from speculative import NoDraft, PromptLookup, SamplingParams, generate
from speculative.drafts import Draft, DraftSession, Proposal, SharedCache
from speculative.engine import Engine, EngineSettings, Request
from speculative.models.loading import load_model
from speculative.protocols.causal_lm import CausalLM
from speculative.sampling import GREEDY, TokenSampler
from speculative.selectors import RoundContext, Selector
from speculative.testing import check_draft, check_selector


# --8<-- [start:draft]
class StockPhrases(Draft):
    """Goes on with a phrase that the text has begun: greetings, licence headers, table rows."""

    name = "stock_phrases"

    def __init__(self, phrases: Sequence[Sequence[int]], min_match: int = 2) -> None:
        self.phrases, self.min_match = [list(phrase) for phrase in phrases], min_match
        self.max_match_length = max(map(len, self.phrases), default=0)

    def open(self, prompt: Sequence[int], shared: SharedCache | None = None) -> DraftSession:
        """Nothing is kept between rounds, so a session is only the draft."""
        return PhraseSession(self)


class PhraseSession(DraftSession):
    """One request's view of the phrases."""

    def __init__(self, draft: StockPhrases) -> None:
        self.draft = draft

    def propose(self, prefix: Sequence[int], draft_length: int, sampler: TokenSampler = GREEDY) -> Proposal:
        """Return the rest of the phrase; a draft without logits ignores the sampler."""
        matched, phrase = self._longest(prefix)
        return Proposal(phrase[matched : matched + draft_length])

    def match_length(self, prefix: Sequence[int]) -> int:
        """Return what a selector may ask before it chooses."""
        return self._longest(prefix)[0]

    def _longest(self, prefix: Sequence[int]) -> tuple[int, list[int]]:
        """Return the most tokens of a phrase's beginning that the prefix ends with."""
        found: tuple[int, list[int]] = (0, [])
        for phrase in self.draft.phrases:
            for n in range(min(len(phrase), len(prefix)), self.draft.min_match - 1, -1):
                if list(prefix[-n:]) == phrase[:n]:
                    found = max(found, (n, phrase))
                    break
        return found


# --8<-- [end:draft]


# --8<-- [start:selector]
class PhrasesFirst(Selector):
    """The stock phrases wherever one has begun, else the look-up; arm 0 is no draft."""

    def select(self, rounds: Sequence[RoundContext]) -> Sequence[int]:
        """One arm for each request."""
        return [1 if round_.available[1] and round_.match_length(1) else 2 for round_ in rounds]


# --8<-- [end:selector]


# --8<-- [start:arm]
class DraftingArm:
    """What the engine needs of an arm: a name, a draft and how many tokens it may propose. `SpeculativeArm` is one
    too.
    """

    def __init__(self, draft: Draft, draft_length: int) -> None:
        self.name, self.draft, self.draft_length = f"{draft.name}_{draft_length}", draft, draft_length


# --8<-- [end:arm]


def tiny_target(seed: int) -> CausalLM:
    """Random weights: no sense, but as good a test as any."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=256,
        initializer_range=0.3,
    )
    with tempfile.TemporaryDirectory() as folder:
        LlamaForCausalLM(config).save_pretrained(folder)
        return load_model(folder)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", help="hub id, folder or GGUF file; default: a tiny random model")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="12 tokens in place of 60")
    arguments = parser.parse_args(argv)
    target = tiny_target(arguments.seed) if arguments.target is None else load_model(str(Path(arguments.target)))
    n_new = 12 if arguments.smoke else 60
    rng = random.Random(arguments.seed)
    prompt = tuple(rng.choices(range(target.n_vocab), k=8))

    # --8<-- [start:check]
    plain = Request("plain", prompt, n_new)
    [text] = generate(Engine(target, [DraftingArm(NoDraft(), 0)]), [plain])
    phrases = StockPhrases([text.token_ids[5:11]])  # what this target likes to say
    check_draft(phrases, target.n_vocab)
    check_selector(PhrasesFirst(), n_arms=3)
    # --8<-- [end:check]

    # --8<-- [start:generate]
    arms = [DraftingArm(NoDraft(), 0), DraftingArm(phrases, 4), DraftingArm(PromptLookup(), 4)]
    engine = Engine(target, arms, PhrasesFirst(), settings=EngineSettings(max_batch=2))
    sampling = SamplingParams(temperature=0.8, top_p=0.95, seed=arguments.seed)
    greedy, sampled = generate(
        engine, [Request("greedy", prompt, n_new), Request("sampled", prompt, n_new, sampling=sampling)]
    )
    # --8<-- [end:generate]

    print(f"{'text':8} {'as without drafts':18} {'tokens':>6} {'rounds':>6}")
    for found in (greedy, sampled):
        request = Request("again", prompt, n_new, sampling=sampling if found is sampled else SamplingParams())
        [alone] = generate(Engine(target, arms[:1]), [request])
        same = "yes" if alone.token_ids == found.token_ids else "NO"
        print(f"{found.request_id:8} {same:18} {found.stats.n_new:6d} {found.stats.n_rounds:6d}")


if __name__ == "__main__":
    main()
