"""Two real servers of llama.cpp behind `draftpick serve`, asked by OpenAI's own client."""

import re
import urllib.request

import pytest
from serving_bench.engines import NGRAM, PLAIN, client_of, is_installed, llama_upstreams
from serving_bench.processes import served

from bandits import DecisionLog

pytestmark = [
    pytest.mark.real_models,
    pytest.mark.skipif(not is_installed(), reason="needs xllamacpp, whose wheel has llama.cpp's server"),
]
MORE = ("--exploration", "1", "--share", "0", "--seed", "6")  # the engines alike: n-gram twice, then plain twice
REPEAT = "Repeat this four times: the quick brown fox jumps over the lazy dog and runs far away into the dark woods."


def drafted(metrics, arm):
    found = re.search(rf'draftpick:spec_decode_num_draft_tokens_total{{arm="{arm}"}} (\S+)', metrics)
    return float(found[1]) if found else 0.0


def test_a_client_is_answered_by_both_engines_and_the_engines_own_counts_are_read(tmp_path):
    with llama_upstreams() as urls, served(tmp_path, urls, *MORE) as (process, port):
        url = f"http://127.0.0.1:{port}"
        with client_of(url) as client:
            asked = {"model": "draftpick", "messages": [{"role": "user", "content": REPEAT}], "temperature": 0}
            whole = [client.chat.completions.create(**asked, max_tokens=32) for _ in range(2)]
            stream = client.chat.completions.create(**asked, max_tokens=6, stream=True)
            pieces = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
            text = client.completions.create(model="draftpick", prompt="One, two, three,", max_tokens=4)
        with urllib.request.urlopen(f"{url}/metrics") as page:
            metrics = page.read().decode()
        process.terminate()
        assert process.wait(30) == 0
    assert all(one.choices[0].message.content and one.usage.completion_tokens <= 32 for one in whole)
    assert "".join(pieces).strip()
    assert text.choices[0].text
    log = DecisionLog.load(tmp_path / "state" / "log")
    assert len(log.actions) == 4
    assert {log.arm_names[action] for action in log.actions} == {PLAIN, NGRAM}
    assert (drafted(metrics, PLAIN), drafted(metrics, NGRAM) > 0) == (0.0, True)
