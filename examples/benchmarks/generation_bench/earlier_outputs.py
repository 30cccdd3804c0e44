"""Earlier outputs for suffix drafts to copy from: those of training prompts, never of a prompt that is measured."""

from collections.abc import Sequence
from dataclasses import replace

from arms import Query
from speculative.collection.trace import Trace, trace_draft
from speculative.drafts.no_draft import NoDraft
from speculative.drafts.suffix.draft import SuffixDraft
from speculative.drafts.suffix.store import SuffixStore
from speculative.engine.generate import generate
from speculative.pools.pool import Pool
from speculative.targets.speculative_arm import SpeculativeArm

LONG = 16  # tokens; shorter texts are answers that two prompts may well share


def suffix_drafts(pool: Pool) -> list[SuffixDraft]:
    """Return the pool's drafts that copy from earlier outputs."""
    return [draft for draft in pool.drafts if isinstance(draft, SuffixDraft)]


def fill_stores(pool: Pool, texts: Sequence[Sequence[int]]) -> None:
    """Give texts to every suffix draft; none of them learns more while it is measured."""
    for draft in suffix_drafts(pool):
        for text in texts:
            draft.store.add(text)


def plain_texts(pool: Pool, queries: Sequence[Query]) -> list[tuple[int, ...]]:
    """Return the target's own texts, in batches."""
    arm = SpeculativeArm(pool.target, NoDraft())
    engine = pool.target.engine([arm], max_batch=min(pool.target.max_batch, len(queries)))
    return [generation.token_ids for generation in generate(engine, [pool.target.request(query) for query in queries])]


def without_own_outputs(traces: Sequence[Trace], pool: Pool) -> list[Trace]:
    """Traces whose suffix drafts know the outputs of the other half of the traces.

    A policy that learned from drafts that had seen the very text they propose would expect too much of them.
    """
    halves = traces[0::2], traces[1::2]
    found = list(traces)
    for draft in suffix_drafts(pool):
        for parity, others in enumerate(reversed(halves)):
            store = SuffixStore(draft.store.max_tokens, draft.store.max_match)
            for trace in others:
                store.add(trace.new_ids)
            limit = draft.max_tokens_per_match_token
            other = SuffixDraft(store, max_tokens_per_match_token=limit, offset=draft.offset, name=draft.name)
            for i in range(parity, len(found), 2):
                trace = found[i]
                traced = trace_draft(other, trace.prompt_ids, trace.new_ids, trace.max_draft_length)
                found[i] = replace(trace, drafts={**trace.drafts, draft.name: traced})
    return found


def n_leaked(pool: Pool, texts: Sequence[Sequence[int]]) -> int:
    """How many texts of 16 tokens or more stand in a store, which must be none of those measured."""
    return sum(len(text) >= LONG and any(draft.store.contains(text) for draft in suffix_drafts(pool)) for text in texts)
