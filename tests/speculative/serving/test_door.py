"""Without keys a server answers to addresses, localhost and its own name alone: a page may point its name anywhere."""

import pytest
from serving_bench.scripted_upstream import Script
from starlette.requests import Request

from speculative.serving.door import Door
from speculative.serving.problem import Problem
from tests.support.front_door import front_door

KEY = "sixteen-characters"


def request(host, **headers):
    pairs = [(name.encode(), value.encode()) for name, value in {"host": host, **headers}.items()]
    return Request({"type": "http", "headers": pairs, "client": ("127.0.0.1", 5)})


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "LocalHost:8000", "[::1]:8000", "10.0.0.7", "box:80"])
def test_addresses_localhost_and_the_servers_name_are_answered(host):
    assert Door(host="Box").check(request(host, origin=f"http://{host}")) == "127.0.0.1"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "[::1", "", "box2"])
def test_another_name_is_refused_without_keys_and_told_what_to_do(host):
    with pytest.raises(Problem, match="--host NAME or --key-file") as caught:
        Door(host="box").check(request(host, origin=f"http://{host}"))
    assert caught.value.status == 403
    assert Door([KEY], "box").check(request(host, authorization=f"Bearer {KEY}")) == "key 0"


def test_a_page_that_points_its_own_name_here_gets_nothing(tmp_path):
    rebound = {"host": "evil.example", "origin": "http://evil.example"}
    with front_door(tmp_path, {"a": Script()}) as door:
        for path in ("/draftpick", "/metrics", "/v1/models"):
            assert door.get(path, headers=rebound).status_code == 403


@pytest.mark.parametrize(
    ("address", "may"),
    [("127.0.0.1", True), ("::1", True), ("::ffff:127.0.0.1", True), ("10.0.0.7", False), ("", False)],
)
def test_without_keys_only_this_machine_may_change_how_the_server_serves(address, may):
    asked = request("10.0.0.9")
    asked.scope["client"] = (address, 5)
    if may:
        Door(host="0.0.0.0").check_owner(asked)
    else:
        with pytest.raises(Problem, match="only this machine may do so"):
            Door(host="0.0.0.0").check_owner(asked)
    Door([KEY]).check_owner(request("10.0.0.9", authorization=f"Bearer {KEY}"))
