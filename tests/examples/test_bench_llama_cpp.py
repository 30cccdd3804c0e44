"""The bench beside llama.cpp with a made-up server in its place: how it is started, asked, timed and ended."""

import hashlib
import json
import runpy
import sys
from pathlib import Path

import pytest
from llama_cpp_bench.server import LlamaServer
from results_pages.llama_cpp import llama_cpp_page

from tests.support.tiny_pool import POOL, queries, save_pool, save_queries

SCRIPT = Path(__file__).parents[2] / "examples" / "benchmarks" / "bench_llama_cpp.py"
FAKE = """
import json, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        tokens = asked["prompt"][: asked["n_predict"]]
        said = {"tokens": tokens} if asked["temperature"] == 0 and not asked["cache_prompt"] else {}
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
address = f"http://127.0.0.1:{server.server_port}"
print(json.dumps({"address": address, "version": "made up 1", "system": " ".join(sys.argv[1:])}), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("llama")
    save_pool(folder)
    save_queries(folder / "prompts.jsonl", queries(4))
    (folder / "serve.py").write_text(FAKE)
    for name in ("target", "small"):
        (folder / f"{name}.gguf").write_bytes(name.encode())
    return folder


def test_every_mode_of_both_runs_and_servers_end_with_the_bench(folder):
    main = runpy.run_path(str(SCRIPT))["main"]
    arguments = {
        "--pool": folder / "pool.toml",
        "--model": folder / "target.gguf",
        "--draft": folder / "small.gguf",
        "--prompts": folder / "prompts.jsonl",
        "--n": 3,
        "--max-new-tokens": 5,
        "--peers-python": sys.executable,
        "--serve": folder / "serve.py",
        "--name": "tiny",
        "--results": folder,
    }
    main([str(word) for pair in arguments.items() for word in pair])
    result = json.loads((folder / "llama_cpp_tiny.json").read_text())
    rows = {row["name"]: row for row in result["rows"]}
    own = ("no_draft", "prompt_lookup_3", "prompt_lookup_7", "draft_small_2")
    assert list(rows) == [*(f"llama.cpp, {what}" for what in ("no draft", "ngram-simple", "draft model")), *own]
    assert all(row["tokens_per_second"] > 0 and row["over fastest"]["value"] > 0 for row in rows.values())
    assert rows["llama.cpp, no draft"]["over plain"]["value"] == 1
    assert rows["llama.cpp, ngram-simple"]["same_text"] == result["n_queries"] == 3
    assert result["llama_cpp"]["system"].endswith("--threads 1 --context 4096")
    assert result["equality"] == {name: {"identical": 3, "tie": 0, "different": 0} for name in own}
    assert result["pool"] == {"dtype": "float32", "weights": "dense", "arms": list(own)}
    assert result["llama_cpp"]["model"] == {"file": "target.gguf", "sha256": hashlib.sha256(b"target").hexdigest()}
    assert result["prompts"]["file"] == "prompts.jsonl"
    assert str(folder) not in json.dumps({name: value for name, value in result.items() if name != "llama_cpp"})
    assert result["command"].endswith(
        "--pool pool.toml --model target.gguf --draft small.gguf --prompts prompts.jsonl --n 3 --max-new-tokens 5 "
        "--name tiny"
    )
    assert [bar["holds"] for bar in result["bars"]] == [bar["value"] >= 1 for bar in result["bars"]]
    page = llama_cpp_page(folder)
    for name, row in rows.items():
        assert f"| {name} | {row['tokens_per_second']:.1f} |" in page
    assert "without a draft: 12 identical, 0 parted at a tie of the two best logits, 0 different" in page
    assert "the wheel of made up 1" in page


def test_a_pool_whose_plain_arm_has_another_name_is_refused(folder, tmp_path):
    renamed = POOL.replace('kind = "no_draft"', 'kind = "no_draft"\nname = "plain"')
    (folder / "renamed.toml").write_text(renamed)
    main = runpy.run_path(str(SCRIPT))["main"]
    with pytest.raises(SystemExit, match="must have an arm no_draft"):
        main(["--pool", str(folder / "renamed.toml"), "--model", "x.gguf", "--results", str(tmp_path)])


def test_a_server_ends_when_its_block_is_left(folder):
    with LlamaServer([sys.executable, str(folder / "serve.py")]) as server:
        assert server.complete([5, 6, 7], 2) == (5, 6)
    with pytest.raises(RuntimeError, match="gave no answer"):
        server.complete([5], 1)


def test_a_server_that_does_not_start_is_told_with_its_last_words(tmp_path):
    (tmp_path / "dies.py").write_text("raise SystemExit('no such model')")
    with pytest.raises(RuntimeError, match="did not start a server; it said: no such model"):
        LlamaServer([sys.executable, str(tmp_path / "dies.py")])
    (tmp_path / "sleeps.py").write_text("import time\ntime.sleep(60)")
    with pytest.raises(RuntimeError, match="it said: nothing"):
        LlamaServer([sys.executable, str(tmp_path / "sleeps.py")], start_s=0.2)
