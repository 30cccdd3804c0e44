"""A pool's arms beside llama.cpp's own server on the same GGUF file."""

from pathlib import Path

from results_pages.parts import Record, bar_table, missing, origin, page_head, page_text, read_record, table, two_digits


def llama_cpp_page(folder: Path) -> str:
    """Return a section for each llama_cpp_*.json."""
    lines = page_head(
        "Beside llama.cpp",
        "Tokens a second of a pool's arms and of llama.cpp's own server: the same GGUF file, token ids, threads and "
        "prompts, one request at a time, in alternation.",
    )
    records = [record for path in sorted(folder.glob("llama_cpp_*.json")) if (record := read_record(path)) is not None]
    if not records:
        return page_text(lines, missing("python examples/benchmarks/bench_llama_cpp.py --pool POOL --model MODEL.gguf"))
    for record in records:
        lines += _section(record)
    return page_text(lines)


def _section(record: Record) -> list[str]:
    build, pool, equality = record["llama_cpp"], record["pool"], record["equality"]
    best = max(record["rows"], key=lambda row: row["tokens_per_second"])
    ratios = {"times llama.cpp, no draft": "over plain", f"times {record['fastest_llama_cpp_mode']}": "over fastest"}
    rows = [
        [
            row["name"],
            f"{row['tokens_per_second']:.1f}",
            *(two_digits(row[key]) for key in ratios.values()),
            f"{row['same_text']} of {record['n_queries']}",
        ]
        for row in record["rows"]
    ]
    heads = ["", "tokens/s", *ratios, "same text"]
    return [
        f"## {record['name']}",
        "",
        f"Fastest: {best['name']}, {two_digits(best['over fastest'])} times {record['fastest_llama_cpp_mode']}, the "
        "fastest mode of llama.cpp.",
        "",
        *table(heads, rows),
        "",
        f"{record['n_queries']} prompts, at most {record['max_new_tokens']} new tokens; seconds from token ids in to "
        "token ids out, reading the prompt and the loopback interface counted. Same text: token for token that of "
        "llama.cpp without a draft, whose arithmetic differs. Brackets: 95 % bootstrap intervals over "
        "prompts.",
        "",
        f"Texts of the pool's modes against its own without a draft: {_summed(equality, 'identical')} identical, "
        f"{_summed(equality, 'tie')} parted at a tie of the two best logits, {_summed(equality, 'different')} "
        "different. "
        f"The pool computes in {pool['dtype']} with {pool['weights']} weights.",
        "",
        f"llama.cpp is the wheel of {build['version']}, whose build uses less of a processor than one made on it: "
        f"`{build['system']}`. Files: {_files(build)}.",
        "",
        *bar_table(record["bars"]),
        *origin(record),
    ]


def _summed(equality: Record, kind: str) -> int:
    return sum(counts[kind] for counts in equality.values())


def _files(build: Record) -> str:
    files = [build["model"], *([] if build["draft"] is None else [build["draft"]])]
    return ", ".join(f"{one['file']} (SHA-256 {one['sha256'][:16]})" for one in files)
