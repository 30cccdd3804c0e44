import json
import os
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from arms import Message, Query, read_queries
from arms.query import UnknownKeysWarning, UnusedIds


@pytest.fixture
def write(tmp_path):
    def write_file(*lines: str | bytes) -> Path:
        path = tmp_path / "prompts.jsonl"
        path.write_bytes(b"\n".join(line.encode() if isinstance(line, str) else line for line in lines))
        return path

    return write_file


def refuses(path: Path, message: str):
    return pytest.raises(ValueError, match="^" + re.escape(f"{path}{message}"))


def test_prompt_is_text_and_one_user_message():
    query = Query(id="q", prompt="Say hi")
    assert query.text == "Say hi"
    assert query.chat() == [{"role": "user", "content": "Say hi"}]


def test_messages_are_joined_for_text_and_kept_for_chat():
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say hi"}]
    query = Query.model_validate({"id": "q", "messages": chat})
    assert query.text == "Be brief.\nSay hi"
    assert query.chat() == chat
    assert query.messages[1] == Message(role="user", content="Say hi")


def test_query_is_frozen_hashable_and_survives_json():
    for query in (
        Query(id="q", prompt="p", domain="code", max_new_tokens=3),
        Query(id="q", messages=(Message(role="user", content="p"),)),
    ):
        assert Query.model_validate_json(query.model_dump_json()) == query
        assert hash(query) == hash(query.model_copy())
        with pytest.raises(ValidationError, match="frozen"):
            query.id = "other"


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({}, "exactly one of prompt and messages must be given, and not blank; got prompt '' and 0 messages"),
        ({"prompt": " \n"}, r"not blank; got prompt ' \n' and 0 messages"),
        ({"prompt": "p", "messages": [{"role": "user", "content": "m"}]}, "got prompt 'p' and 1 messages"),
        ({"messages": [{"role": "user", "content": " "}]}, "must not be blank"),
        ({"messages": [{"role": "", "content": "m"}]}, "must not be blank"),
        ({"id": " ", "prompt": "p"}, "must not be blank"),
        ({"prompt": "p", "max_new_tokens": 0}, "greater than or equal to 1"),
        ({"prompt": "p", "max_new_tokens": "5"}, "valid integer"),
        ({"prompt": "p", "max_new_tokens": True}, "valid integer"),
    ],
)
def test_query_refuses_bad_fields(fields, rule):
    with pytest.raises(ValueError, match=re.escape(rule)):
        Query.model_validate({"id": "q"} | fields)


def test_read_queries_reads_every_documented_field(write):
    path = write(
        '{"id": "a", "prompt": "Add 1 and 2", "domain": "maths", "max_new_tokens": 48}',
        '{"id": "b", "messages": [{"role": "user", "content": "Hi", "name": "Ann"}]}',
    )
    assert read_queries(path) == [
        Query(id="a", prompt="Add 1 and 2", domain="maths", max_new_tokens=48),
        Query(id="b", messages=(Message(role="user", content="Hi"),)),
    ]
    assert read_queries(str(path)) == read_queries(path)


def test_a_missing_id_is_made_from_the_text_and_is_the_same_in_every_file(write):
    path = write(
        '{"prompt": "a"}', "", '{"prompt": "b"}\r', '{"id": 7, "prompt": "c"}', '{"prompt": "a", "domain": "d"}'
    )
    first, second, third, again = (query.id for query in read_queries(path))
    assert (third, again) == ("7", f"{first}-2")
    assert first != second
    assert re.fullmatch("q-[0-9a-f]{16}", first)
    other = write('{"prompt": "b"}', '{"messages": [{"role": "user", "content": "a"}]}', '{"prompt": "d"}')
    assert [query.id for query in read_queries(other)][:2] == [second, first]


def test_the_thousandth_equal_prompt_is_named_as_quickly_as_the_first():
    asked = 0

    class Taken(set[str]):
        def __contains__(self, name):
            nonlocal asked
            asked += 1
            return super().__contains__(name)

    taken = Taken(["q-3"])
    unused = UnusedIds(taken)
    for _ in range(1000):
        taken.add(unused.like("q"))
    assert taken == {"q", *(f"q-{number}" for number in range(2, 1002))}
    assert asked <= 2002


def test_byte_order_mark_and_unicode_line_separator_are_read(write):
    path = write(b"\xef\xbb\xbf" + json.dumps({"prompt": "a\u2028b"}, ensure_ascii=False).encode())
    assert read_queries(path)[0].prompt == "a\u2028b"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"prompt": "a"', ', line 2: must be one JSON object in UTF-8, got b\'{"prompt": "a"\' (Expecting'),
        (b'{"prompt": "\xff"}', ", line 2: must be one JSON object in UTF-8, got b'"),
        ("[" * 100_000, ", line 2: must be one JSON object in UTF-8, got b'[[["),
        ('["a"]', ", line 2: must be one JSON object, got ['a']"),
        ('{"prompt": ""}', ", line 2: exactly one of prompt and messages must be given, and not blank; got"),
        ('{"id": "x"}', ", line 2: exactly one of prompt and messages must be given, and not blank; got"),
        ('{"prompt": 3}', ", line 2: prompt: Input should be a valid string, got 3"),
        ('{"id": true, "prompt": "a"}', ", line 2: id: Input should be a valid string, got True"),
        ('{"id": "", "prompt": "a"}', ", line 2: id: must not be blank, got ''"),
        (
            '{"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": " "}]}',
            ", line 2: messages[1].content: must not be blank, got ' '",
        ),
        (
            '{"messages": [{"role": "user"}]}',
            ", line 2: messages[0].content: Field required, got {'role': 'user'}",
        ),
        (
            '{"prompt": "a", "max_new_tokens": 0}',
            ", line 2: max_new_tokens: Input should be greater than or equal to 1, got 0",
        ),
        (
            '{"prompt": 1, "domain": 2}',
            ", line 2: prompt: Input should be a valid string, got 1; domain: Input should be a",
        ),
        (
            '{"id": "first", "prompt": "b"}',
            ", line 2: id must be unique in the file, got 'first' as on line 1",
        ),
    ],
)
def test_a_broken_line_is_named_with_file_line_rule_and_value(write, line, message):
    path = write('{"id": "first", "prompt": "a"}', line)
    with refuses(path, message):
        read_queries(path)


def test_keys_that_are_not_read_are_named_once_a_file(write):
    path = write(
        '{"prompt": "a", "source": "x"}', '{"prompt": "b", "source": "y"}', '{"prompt": "c", "max_new_token": 3}'
    )
    with pytest.warns(UnknownKeysWarning) as warned:
        assert [query.prompt for query in read_queries(path)] == ["a", "b", "c"]
    [warning] = warned
    assert str(warning.message).startswith(
        f"{path}: keys that are not read: 'source' (in 2 of 3 rows), "
        "'max_new_token' (in 1 of 3 rows: did you mean 'max_new_tokens'?); "
    )


def test_an_almost_right_key_is_named_where_the_right_one_is_missing(write):
    path = write('{"promt": "a", "source": "x"}')
    with pytest.raises(ValueError, match=r"line 1: exactly one of prompt .*; key 'promt': did you mean 'prompt'\?$"):
        read_queries(path)


def test_an_id_twice_is_refused(write):
    path = write('{"id": "a", "prompt": "a"}', '{"id": "a", "prompt": "b"}')
    with refuses(path, ", line 2: id must be unique in the file, got 'a' as on line 1"):
        read_queries(path)


def test_a_file_without_queries_is_refused(write):
    path = write("", "  ")
    with refuses(path, ": the prompt file must hold at least one query, got none"):
        read_queries(path)


def test_a_file_that_cannot_be_opened_is_refused(tmp_path):
    with refuses(tmp_path / "none.jsonl", ": the prompt file cannot be read (No such file or directory)"):
        read_queries(tmp_path / "none.jsonl")
    with refuses(tmp_path, " must be a file, got a folder"):
        read_queries(tmp_path)


def test_a_pipe_or_a_device_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.jsonl")
    with refuses(tmp_path / "pipe.jsonl", " must be a file, got a pipe"):
        read_queries(tmp_path / "pipe.jsonl")
    with refuses("/dev/zero", " must be a file, got a device"):
        read_queries("/dev/zero")


def test_a_huge_line_is_refused_before_it_is_read_whole(tmp_path):
    path = tmp_path / "prompts.jsonl"
    with path.open("wb") as file:
        file.write(b'{"prompt": "a"}\n{"prompt": "')
        file.truncate(2**33)
    with refuses(path, ", line 2: must have at most 4,194,304 bytes"):
        read_queries(path)


@pytest.mark.parametrize("field", ["prompt", "id", "domain"])
def test_half_a_character_is_named_with_its_line(write, field):
    path = write('{"prompt": "a"}', json.dumps({"prompt": "b", "id": "c", field: "cut \ud83d here"}))
    with refuses(path, f", line 2: {field}: must be whole characters: character 4 is \\ud83d, half of a pair"):
        read_queries(path)


def test_half_a_character_in_a_message_is_named(write):
    path = write(json.dumps({"messages": [{"role": "user", "content": "\udc00"}]}))
    with refuses(path, ", line 1: messages[0].content: must be whole characters: character 0 is \\udc00"):
        read_queries(path)
    assert read_queries(write('{"prompt": "\\ud83d\\ude00"}'))[0].prompt == "😀"


def test_another_encoding_is_named_with_its_line(write):
    with refuses(
        write('{"prompt": "a"}', '{"prompt": "café"}'.encode("latin-1")), ", line 2: must be one JSON object in"
    ):
        read_queries(write('{"prompt": "a"}', '{"prompt": "café"}'.encode("latin-1")))
