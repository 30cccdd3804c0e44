"""Drafts of a user's own in a pool file."""

import sys

import pytest

from speculative.pools.pool import Pool
from speculative.pools.spec import read_pool_spec
from tests.support.tiny_pool import POOL, queries, save_pool

OWN = """
from speculative.drafts import DraftSpec
from speculative.protocols.draft import Draft, DraftSession, Proposal


class Stock(Draft):
    name = "stock"

    class Spec(DraftSpec):
        phrase: str

        def build(self, target):
            return Stock(target.tokenizer(self.phrase)["input_ids"])

    def __init__(self, token_ids):
        self.token_ids = token_ids

    def open(self, prompt, shared=None):
        return StockSession(self.token_ids)


class StockSession(DraftSession):
    def __init__(self, token_ids):
        self.token_ids = token_ids

    def propose(self, prefix, draft_length, sampler=None):
        return Proposal(self.token_ids[:draft_length])


class Undescribed(Stock):
    Spec = DraftSpec


class Spoilt(Stock):
    Spec = dict
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A pool file of a user, and the name of a module of theirs that defines drafts."""
    module = f"own_{tmp_path.name}"
    (tmp_path / f"{module}.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    return save_pool(tmp_path), module


def test_ones_own_draft_is_named_by_its_path(own):
    file, module = own
    file.write_text(POOL + f'\n[[arms]]\nkind = "{module}:Stock"\nphrase = "abc"\ndraft_length = 3\n')
    pool = Pool.load(file)
    assert pool.arms["stock_3"].draft.token_ids == pool.target.tokenizer("abc")["input_ids"]
    query = queries(1)[0]
    assert pool.arms["stock_3"].pull(query, 0).text == pool.arms["no_draft"].pull(query, 0).text


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('kind = "{}:Stock"', r"arms\.4\.phrase: Field required"),
        (
            'kind = "{}:Stock"\nphrase = "a"\nlength = 2',
            r"arms\.4\.length: unknown key; .* kind, phrase, .*, got 2",
        ),
        ('kind = "{}:Undescribed"', r"needs a class Spec\(DraftSpec\) for its settings, with a method build"),
        ('kind = "{}:Spoilt"', "its Spec must derive from speculative.drafts.spec.DraftSpec"),
        ('kind = "{}:Nothing"', "has no 'Nothing'"),
        ('kind = "{}:DraftSession"', r"arms\.4: draft .* must be a subclass of speculative.protocols.draft.Draft"),
        ('kind = "no_such_module:Draft"', "module no_such_module does not import"),
        (
            'kind = "n_gram"',
            "unknown draft 'n_gram'; there are no_draft, prompt_lookup, suffix, draft_model",
        ),
    ],
)
def test_a_draft_of_ones_own_that_cannot_be_made_is_named_with_the_file(own, lines, message):
    file, module = own
    file.write_text(f"{POOL}\n[[arms]]\ndraft_length = 3\n{lines.format(module)}\n")
    with pytest.raises(ValueError, match=message) as refusal:
        Pool.load(file)
    assert str(file) in str(refusal.value)


def test_only_what_the_file_names_is_imported(own, monkeypatch):
    file, module = own
    (file.parent / "other.py").write_text("raise RuntimeError('imported')")
    file.write_text(POOL + f'\n[[arms]]\nkind = "{module}:Stock"\nphrase = "abc"\ndraft_length = 3\n')
    read_pool_spec(file)
    assert "other" not in sys.modules
