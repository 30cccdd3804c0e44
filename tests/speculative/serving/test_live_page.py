"""The live page tells what is served, to whoever holds a key, without a word of what was asked."""

import base64
import shutil
import subprocess
from dataclasses import replace

import pytest
from serving_bench.scripted_upstream import Script

from arms import Query
from speculative.explaining.answer import ExplainedAnswer, Piece
from speculative.protocols.decoding_stats import DecodingStats
from speculative.serving.settings import ServiceSettings
from tests.support.front_door import front_door, records, wait_for

KEY = "sixteen-characters"
CANARY = ServiceSettings("a", stage="canary", share=0.5, exploration=0.4, learn_every_s=0.01)


def basic(password):
    return {"authorization": "Basic " + base64.b64encode(f"me:{password}".encode()).decode()}


def test_decisions_rewards_gain_and_stage_stand_on_the_page_and_no_text_does(tmp_path):
    arms = {"a": Script(), "b<i>": Script()}
    with front_door(tmp_path, arms, CANARY, learn=True) as door:
        ids = [door.chat().headers["x-draftpick-id"] for _ in range(12)]
        wait_for(lambda: door.service.seen.curves["a"].trial.n == 12 and door.service.chosen[1] == "12")
        answer = door.get("/draftpick")
        part = door.get("/draftpick?part=main").text
    page = answer.text
    assert all(one in page for one in ids)
    assert "from 12 decisions: no difference can be told yet" in page
    assert "The policy decides 50% of the requests, a the others." in page
    assert "asked for" in page
    assert "b&lt;i&gt;" in page
    assert "b<i>" not in page
    assert "say hello" not in page
    assert part in page
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "http://" not in page
    assert "https://" not in page


def test_what_an_engine_says_when_it_fails_is_told_to_the_client_alone(tmp_path):
    with front_door(tmp_path, {"a": Script(fault="error_event")}) as door:
        assert "'message': 'broken'" in door.chat(stream=True).text
        [rewarded] = records(door, "rewarded")
        page = door.get("/draftpick").text
    assert rewarded["observation"]["failure"] == "reported an error"
    assert 'title="reported an error"' in page
    assert "broken" not in page


def test_a_page_before_any_decision_says_so(tmp_path):
    with front_door(tmp_path, {"a": Script()}) as door:
        page = door.get("/draftpick").text
        answers = door.get("/draftpick/answers")
    assert "No decision yet." in page
    assert "Not known yet" in page
    assert answers.status_code == 404


def test_the_domains_of_most_decisions_are_shown_however_many_clients_name(tmp_path):
    with front_door(tmp_path, {"a": Script()}) as door:
        for number in range(31):
            query = Query(id=f"q{number}", prompt="words", domain=f"domain {min(number, 24)}.")
            door.service.agent.choose(query)
        page = door.get("/draftpick").text
    assert "domain 24." in page
    assert page.count("domain ") == 20
    assert "5 further domains have fewer decisions" in page


def test_the_page_needs_a_key_where_the_api_does_and_a_browser_may_give_it_as_a_password(tmp_path):
    with front_door(tmp_path, {"a": Script()}, keys=[KEY]) as door:
        for path in ("/draftpick", "/draftpick?part=main", "/draftpick/answers"):
            refused = door.get(path)
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"].startswith("Basic realm=")
            assert door.get(path, headers=basic("another-key-of-16")).status_code == 401
            assert door.get(path, headers={"authorization": "Basic ?"}).status_code == 401
            other = {"origin": "http://evil.example", **basic(KEY)}
            assert door.get(path, headers=other).status_code == 403
        assert door.get("/draftpick", headers=basic(KEY)).status_code == 200
        assert door.get("/draftpick", headers={"authorization": f"Bearer {KEY}"}).status_code == 200
        assert door.get("/v1/models", headers=basic(KEY)).status_code == 401


@pytest.mark.parametrize("show_texts", [False, True])
def test_answers_are_shown_token_by_token_and_their_texts_only_if_asked_for(tmp_path, show_texts):
    pieces = (Piece("secret", "target"),)
    answer = ExplainedAnswer("r-1", "private question", pieces, (), DecodingStats(n_new=1))
    with front_door(tmp_path, {"a": Script()}, replace(CANARY, show_texts=show_texts)) as door:
        door.service.seen.answers.append(lambda: answer)
        page = door.get("/draftpick").text
        answers = door.get("/draftpick/answers").text
    assert 'href="draftpick/answers"' in page
    assert "secret" not in page
    assert "r-1" in answers
    assert ("secret" in answers, "private question" in answers) == (show_texts, show_texts)


def test_answers_may_come_while_others_are_explained(tmp_path):
    answer = ExplainedAnswer("r-1", "question", (Piece("text", "target"),), (), DecodingStats(n_new=1))

    def explained_while_another_comes():
        door.service.seen.answers.append(lambda: answer)
        return answer

    with front_door(tmp_path, {"a": Script()}) as door:
        door.service.seen.answers.extend([explained_while_another_comes] * 2)
        assert door.get("/draftpick/answers").status_code == 200


@pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed")
def test_in_a_browser_the_page_runs_its_script_under_its_policy_and_refreshes_itself(tmp_path):
    with front_door(tmp_path, {"a": Script()}) as door:
        looks = []

        def look():  # each one is followed by a decision, which the next one shows
            looks.append(f"look-{len(looks)}")
            door.service.agent.choose(Query(id=looks[-1], prompt="words"))

        door.service.seen.watched = look
        browser = [
            *("chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *(f"--user-data-dir={tmp_path / 'browser'}", "--virtual-time-budget=5000", "--dump-dom"),
        ]
        shown = subprocess.run([*browser, f"{door.url}/draftpick"], capture_output=True, text=True, timeout=60)
    assert len(looks) >= 2
    assert all(one in shown.stdout for one in looks[:-1])
    assert 'role="status"></span>' in shown.stdout  # where a failed refresh would be told
