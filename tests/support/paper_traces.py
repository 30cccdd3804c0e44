"""Made-up traces of SmolLM2's pool, as the experiments of the paper read them: each domain has a draft that helps."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from paper_parts.packing import texts_of
from paper_parts.stored import COSTS
from paper_parts.targets import TARGETS

from bandits.data.closed_folder import Manifest, close_folder, survey
from speculative.collection.trace import Trace
from speculative.collection.trace_store import KIND, write_traces
from speculative.measuring.cost_profile import CostProfile, DraftCost
from speculative.protocols.draft_trace import DraftTrace

LENGTHS = {
    "prompt_lookup": (3,),
    "suffix": (3, 11),
    "draft_maths": (4,),
    "draft_code": (4,),
    "early_exit_6": (3,),
    "early_exit_12": (3,),
    "early_exit_18": (3,),
    "early_exit_24": (3,),
}
MAIN = TARGETS["smollm2"].main
ARM_NAMES = {"draft_maths": "draft_maths_4", "draft_code": "draft_code_4"}
SECONDS = {"draft_maths": 0.1, "draft_code": 0.1, "early_exit_6": 0.2, "early_exit_12": 0.4, "early_exit_18": 0.6}
HELPFUL = {"maths": "draft_maths", "code": "draft_code", "prose": "suffix"}


def facts():
    arms = {"no_draft": ("no_draft", 0)}
    for draft, lengths in LENGTHS.items():
        arms |= {ARM_NAMES.get(draft, f"{draft}_{length}"): (draft, length) for length in lengths}
    told = {f"arm {name}": {"drafts": [[*arm[:1], "x", arm[1]]], "min_match_lengths": []} for name, arm in arms.items()}
    return {"target": "t", "target_name": "tiny", "encoder": "e", "arms": list(arms), **told}


def trace(query_id, domain, rng, n_new=24):
    shares = dict.fromkeys(LENGTHS, 0.1) | {HELPFUL[domain]: 0.9}
    drafts = {}
    for draft, share in shares.items():
        hits = rng.random((n_new, 11)) < share
        accepted = np.minimum(np.cumprod(hits, axis=1).sum(axis=1), n_new - 1 - np.arange(n_new)).astype(np.int32)
        matches = accepted if draft in ("suffix", "prompt_lookup") else None
        drafts[draft] = DraftTrace(np.full(n_new, 11, dtype=np.int32), np.maximum(accepted, 0), matches)
    context = np.eye(len(HELPFUL))[list(HELPFUL).index(domain)] + rng.normal(0, 0.1, len(HELPFUL))
    return Trace(
        query_id=query_id,
        domain=domain,
        prompt_ids=tuple(range(8)),
        new_ids=tuple(range(n_new)),
        max_new_tokens=n_new,
        max_draft_length=11,
        context=context.astype(np.float32),
        encode_s=0.0,
        drafts=drafts,
        encoder="e",
    )


def costs():
    drafts = {draft: DraftCost(0.01, SECONDS.get(draft, 0.0), 0.0) for draft in LENGTHS}
    grid = ((1.0, 1.1), (1.0, 1.1))
    return CostProfile("k", (1, 12), (0, 64), grid, 0.0, (8, 16), (1.0, 1.2), drafts, 0.0, "made up", 2)


def write_side(folder, traces, made_of):
    folder.mkdir(parents=True)
    write_traces(folder, 0, traces)
    close_folder(folder, Manifest(KIND, survey(folder, KIND).parts, made_of=made_of))
    rows = []
    for one in traces:
        row = {"query_id": one.query_id, "text": f"the words of {one.query_id}"}
        for draft in ("draft_maths", "draft_code", "early_exit_6", "early_exit_18"):
            good = draft == HELPFUL[one.domain]
            row |= {f"own {draft}": row["text"] if good else "of", f"own_s {draft}": 1.0, f"trace_s {draft}": 0.05}
        rows.append(row)
    pq.write_table(pa.Table.from_pylist(rows), texts_of(folder.parent, folder.name))


def write_stored(folder, otherwise_of=None, first_id="test-0"):
    rng, domains = np.random.default_rng(0), list(HELPFUL)
    sides = {
        side: [trace(f"{side}-{i}", domains[i % 3], rng) for i in range(n)] for side, n in (("train", 24), ("test", 12))
    }
    sides["otherwise"] = [replace(sides["test"][0], query_id=first_id), *sides["test"][1:]]
    for side, own in sides.items():
        write_side(folder / side, own, (otherwise_of or facts()) if side == "otherwise" else facts())
    (folder / COSTS).mkdir()
    for name in (MAIN, "float32, 1 thread", "int4, 2 threads", "int4, 1 thread"):
        (folder / COSTS / f"{name}.json").write_text(costs().to_json())
    return folder


def without(stored, *columns):
    sides = {
        name: replace(
            side,
            texts={
                query: {key: value for key, value in row.items() if not key.startswith(columns)}
                for query, row in side.texts.items()
            },
        )
        for name, side in stored.sides.items()
    }
    return replace(stored, sides=sides)
