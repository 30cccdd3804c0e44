"""What reading prompts costs those that run, in batches and in a conversation's next turn."""

from results_pages.parts import Record, origin, table


def prompts_lines(record: Record) -> list[str]:
    """Return the section's lines, from bench_prompts.json."""
    return [
        *_pauses(record),
        *_batches(record),
        *_turns(record["turns"]),
        f"Nothing drafts. {record['load_average']} processes ran on average.",
        "",
        *origin(record),
        "",
    ]


def _pauses(record: Record) -> list[str]:
    n_long, names = record["n_long"], ("round_before_s", "longest_pause_s", "first_token_s")
    rows = [
        [
            chunk if int(chunk) < n_long else f"{chunk}: the prompt in one pass",
            *(f"{1000 * row[name]:,.0f}" for name in names),
        ]
        for chunk, row in record["pauses"].items()
    ]
    return [
        f"A prompt of {n_long:,} tokens joins a request that runs; milliseconds. A step reads at most `prefill_chunk` "
        "of its tokens, in the pass of the other's round.",
        "",
        *table(["prefill_chunk", "a round before", "longest pause", "first token of the one that joins"], rows),
        "",
    ]


def _batches(record: Record) -> list[str]:
    heads = ["tokens of an answer", "batch 1", "batch 8", "8 over 1", "prompts' share, batch 1", "batch 8"]
    rows = [
        [
            n_new,
            *(f"{row[name]:.1f}" for name in ("batch_1", "batch_8")),
            f"{row['ratio']:.2f}",
            *(f"{row[name]:.0%}" for name in ("prefill_share_1", "prefill_share_8")),
        ]
        for n_new, row in record["batches"].items()
    ]
    return [
        f"Tokens a second of {record['n_prompts']} answers without drafts, the reading of their prompts "
        f"({record['mean_prompt_tokens']:.0f} tokens on average, at most {record['batches_prefill_chunk']} a step) "
        "included.",
        "",
        *table(heads, rows),
        "",
    ]


def _turns(turns: Record) -> list[str]:
    rows = [
        [name, f"{row['n_prompt']:,}", f"{row['n_prompt'] - row['n_cached']:,}", f"{1000 * row['first_token_s']:,.0f}"]
        for name, row in turns.items()
    ]
    return [
        "The second turn of a conversation, with what the engine keeps of the first one (`prefix_cache_bytes`) and "
        "without:",
        "",
        *table(["", "tokens of the prompt", "tokens read", "milliseconds to its first token"], rows),
        "",
    ]
