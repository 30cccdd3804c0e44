"""The pool files that come with the project: each is read, and its rules choose among its own arms."""

from pathlib import Path

import pytest

from speculative.pools.arm_specs import RuleSpec
from speculative.pools.spec import read_pool_spec

ROOT = Path(__file__).parents[2]
FILES = sorted(
    file
    for folder in ("examples", "speculative")
    for file in (ROOT / folder).rglob("*.toml")
    if "[[arms]]" in file.read_text()
)


@pytest.mark.parametrize("file", FILES, ids=[str(file.relative_to(ROOT)) for file in FILES])
def test_a_pool_file_is_read_and_its_rules_name_its_arms(file):
    arms = read_pool_spec(file).arms
    rules = [arm for arm in arms if isinstance(arm, RuleSpec)]
    named = {arm.name or f"{arm.draft.kind}_{arm.draft_length}" for arm in arms if not isinstance(arm, RuleSpec)}
    for rule in rules:
        assert {*(clause.arm for clause in rule.clauses), rule.fallback} <= named
        assert rule.name not in named


def test_the_demos_choose_among_rules_too():
    with_rules = {file.relative_to(ROOT).as_posix() for file in FILES if 'kind = "rule"' in file.read_text()}
    assert {"speculative/demo/pool.toml", "examples/large/pool.toml", "examples/large/pool_hub.toml"} <= with_rules
