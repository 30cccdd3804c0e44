"""Quality against people's answers: BLEU and ROUGE-L of what each arm writes through the engine.

    python examples/paper/reference_quality.py --references FILE.jsonl

The file has one object a line with `id`, `prompt` and `reference`, the answer that people wrote, and may name a
`domain`. A stopped run goes on in the work folder, which holds the texts; the result holds scores and counts alone.
"""

import argparse
import json
import time
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from paper_parts.running import HERE, RESULTS
from paper_parts.targets import TARGETS
from paper_parts.text_quality import mean_rouge_l, text_quality

from arms import Query, read_queries
from arms.atomic_file import write_file
from arms.input_file import read_text
from arms.manifest import check_manifest, digest_queries
from arms.query import UnknownKeysWarning
from bandits import Estimate
from bandits.evaluation.canvas import interval_bars
from speculative.engine.generate import generate
from speculative.measuring.machine import machine_facts
from speculative.pools.pool import Pool
from speculative.selectors.fixed import FixedSelector

NAME = "reference_quality"
Texts = Mapping[str, str]
Row = dict[str, object]


def main(arguments: Sequence[str] | None = None) -> dict[str, object]:
    """Let every arm answer every prompt, and compare the texts with the references."""
    options = _options(arguments)
    target = TARGETS[options.target]
    torch.set_num_threads(options.threads)
    queries, references = read_answered(options.references)
    pool = Pool.load(options.pool or HERE / f"pool_{target.name}.toml")
    pool.target.check(queries)
    work = options.work or Path(".paper") / target.name / "references"
    asked = {"queries": digest_queries(queries), "target": pool.target.fingerprint()}
    check_manifest(work / "asked.json", {**asked, "arms": [arm.name for arm in pool.arms]})
    texts = {arm.name: _texts(pool, arm.name, queries, work / f"{arm.name}.json") for arm in pool.arms}
    rows = [_row(arm, own, next(iter(texts.values())), queries, references) for arm, own in texts.items()]
    result = {
        "name": NAME,
        "command": f"python examples/paper/{NAME}.py --references FILE.jsonl",
        "answer": _answer(rows, next(iter(texts))),
        "rows": [{key: asdict(one) if isinstance(one, Estimate) else one for key, one in row.items()} for row in rows],
        "n_queries": dict(Counter(query.domain or "all" for query in queries)),
        "max_new_tokens": pool.target.max_new_tokens,
        "target": pool.target.name.rpartition("/")[2],
        "machine": machine_facts(threads=options.threads),
        "date": time.strftime("%Y-%m-%d"),
    }
    options.results.mkdir(parents=True, exist_ok=True)
    file = options.results / f"{target.results}{NAME}.json"
    write_file(file, json.dumps(result, indent=1, allow_nan=False) + "\n")
    shown: dict[str, Estimate | float] = {str(row["arm"]): row["ROUGE-L"] for row in rows}  # type: ignore[misc]
    title = "ROUGE-L of each arm's texts with people's answers"
    interval_bars(file.with_suffix(".png"), shown, title=title, x_label="mean over queries")
    print(result["answer"])
    return result


def read_answered(path: Path) -> tuple[list[Query], Texts]:
    """Return the queries of a file and, by their ids, the references.

    Raises:
        ValueError: naming file, line, rule and value, if a query or a reference is wrong.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnknownKeysWarning)  # the reference is none of a query's fields
        queries = read_queries(path)
    lines = [(i, line) for i, line in enumerate(read_text(path).split("\n"), 1) if line.strip()]
    references = {}
    for query, (number, line) in zip(queries, lines, strict=True):
        reference = json.loads(line).get("reference")
        if not isinstance(reference, str) or not reference.strip():
            raise ValueError(
                f"{path}, line {number}: reference must be the text that people wrote, not blank, got {reference!r}"
            )
        references[query.id] = reference
    return queries, references


def _texts(pool: Pool, arm: str, queries: Sequence[Query], file: Path) -> Texts:
    """Return what an arm writes, in batches as large as the pool's; what is in the file already is read from it."""
    if file.is_file():
        found: Texts = json.loads(read_text(file))
        return found
    target = pool.target
    engine = target.engine([pool.arms[arm]], FixedSelector(0), max_batch=target.max_batch)
    answers = generate(engine, [target.request(query) for query in queries])
    print(f"{arm}: {len(answers)} texts", flush=True)
    texts = {query.id: target.text(answer.token_ids) for query, answer in zip(queries, answers, strict=True)}
    write_file(file, json.dumps(texts))
    return texts


def _row(arm: str, own: Texts, plain: Texts, queries: Sequence[Query], references: Texts) -> Row:
    row: Row = {"arm": arm, **text_quality(own, references)}
    row["equal to the first arm's"] = sum(text == plain[query] for query, text in own.items())
    for domain in dict.fromkeys(query.domain for query in queries if query.domain):
        of_domain = {query.id: own[query.id] for query in queries if query.domain == domain}
        row[f"ROUGE-L, {domain}"] = mean_rouge_l(of_domain, references).value
    return row


def _answer(rows: Sequence[Row], first: str) -> str:
    same = all(row["BLEU"] == rows[0]["BLEU"] and row["ROUGE-L"] == rows[0]["ROUGE-L"] for row in rows)
    equal, texts = (sum(int(str(row[what])) for row in rows[1:]) for what in ("equal to the first arm's", "texts"))
    scores = ", ".join(f"{what} {rows[0][what]:.3f}" for what in ("BLEU", "ROUGE-L"))
    return (
        f"Against people's answers BLEU and ROUGE-L are {'equal' if same else 'not equal'} across all {len(rows)} arms "
        f"({first}: {scores}), and {equal} of the others' {texts} texts are those of {first}, letter by letter."
    )


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--references", type=Path, required=True, help="JSONL with id, prompt and reference")
    parser.add_argument("--target", choices=TARGETS, default="smollm2", help="whose pool is run")
    parser.add_argument("--pool", type=Path, help="another file than pool_TARGET.toml")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON and the plot")
    parser.add_argument("--work", type=Path, help="folder of the texts; .paper/TARGET/references by default")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
