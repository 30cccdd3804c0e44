import json
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from arms import Message, Query, read_queries
from arms.query import UnknownKeysWarning


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


def test_missing_id_is_the_line_number_and_blank_lines_keep_the_count(write):
    path = write('{"prompt": "a"}', "", '{"prompt": "b"}\r', '{"id": 7, "prompt": "c"}', "")
    assert [query.id for query in read_queries(path)] == ["line-1", "line-3", "7"]


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


def test_a_named_id_may_not_clash_with_a_line_number(write):
    path = write('{"id": "line-2", "prompt": "a"}', '{"prompt": "b"}')
    with refuses(path, ", line 2: id must be unique in the file, got 'line-2' as on line 1"):
        read_queries(path)


def test_a_file_without_queries_is_refused(write):
    path = write("", "  ")
    with refuses(path, ": the prompt file must hold at least one query, got none"):
        read_queries(path)


def test_a_file_that_cannot_be_opened_is_refused(tmp_path):
    with refuses(tmp_path / "none.jsonl", ": the prompt file cannot be read (No such file or directory)"):
        read_queries(tmp_path / "none.jsonl")
    with refuses(tmp_path, ": the prompt file cannot be read (Is a directory)"):
        read_queries(tmp_path)
