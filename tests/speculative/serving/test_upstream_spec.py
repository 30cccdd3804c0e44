"""A pool of upstreams is checked before anything is asked, and never holds or shows a key."""

import pytest

from speculative.serving.upstream_spec import read_upstream_pool
from tests.support.front_door import upstream_spec

ARM = '[[arms]]\nkind = "upstream"\nname = "plain"\nurl = "http://127.0.0.1:8080/"\n'


def read(folder, text):
    file = folder / "pool.toml"
    file.write_text(text, encoding="utf-8")
    return read_upstream_pool(file)


def test_a_pool_file_names_upstreams_headers_by_environment_and_body_fields(tmp_path):
    pool = read(
        tmp_path, ARM + 'headers = { Authorization = "KEY" }\nbody = { draft_model = "small" }\nmodel = "big"\n'
    )
    [arm] = pool.arms
    assert (arm.url, arm.model, arm.body, pool.model) == (
        "http://127.0.0.1:8080",
        "big",
        {"draft_model": "small"},
        "draftpick",
    )
    assert arm.read_headers({"KEY": "Bearer secret"}) == {"Authorization": "Bearer secret"}
    assert pool.encoder.build().name == "hashing-256"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "arms: Field required"),
        ("arms = []", "arms: Tuple should have at least 1 item"),
        (ARM + ARM, "arms: arms must have different names, got 'plain' twice"),
        (ARM.replace("plain", "two\\nlines"), "arms.0.name: String should match pattern"),
        (ARM.replace("http:", "ftp:"), "arms.0.url: url must begin with http:// or https://"),
        (ARM.replace("127", "me:secret@127"), "arms.0.url: url must hold no key"),
        (ARM.replace("8080/", "8080/v1"), "arms.0.url: url must end before /v1"),
        (ARM.replace("8080/", "99999/"), "arms.0.url: Port out of range"),
        (ARM.replace("8080/", "8080/?key=secret"), "arms.0.url: url must be ASCII without spaces"),
        (ARM + 'headers = { Host = "KEY" }', "arms.0.headers: headers must be named as HTTP allows"),
        (ARM + 'headers = { "two words" = "KEY" }', "arms.0.headers: headers must be named as HTTP allows"),
        (ARM.replace("upstream", "no_draft"), "arms.0.kind: Input should be 'upstream'"),
        (ARM + "body = { stream = true }", "arms.0.body: body must not set stream"),
        (ARM + "first_byte_s = 0", "arms.0.first_byte_s: Input should be greater than 0"),
        (ARM + "retries = 3", "arms.0.retries: unknown key; there are kind, "),
        ("arms = [", "is not TOML"),
    ],
)
def test_a_broken_rule_is_named_with_file_and_field_and_without_a_secret(tmp_path, text, error):
    with pytest.raises(ValueError, match="pool file") as caught:
        read(tmp_path, text)
    assert error in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("value", ["", "two\nlines", "größe"])
def test_a_header_that_the_environment_does_not_give_is_named_and_its_value_never_shown(value):
    arm = upstream_spec("a", "http://x", headers={"Authorization": "KEY"})
    with pytest.raises(ValueError, match="header Authorization needs the environment variable KEY") as caught:
        arm.read_headers({"KEY": value})
    assert not value or value not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"absent\.toml cannot be read"):
        read_upstream_pool(tmp_path / "absent.toml")
