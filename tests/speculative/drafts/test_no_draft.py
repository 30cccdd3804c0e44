from speculative.drafts.no_draft import NoDraft


def test_no_draft_never_proposes():
    session = NoDraft().open([1, 2])
    assert session.propose([1, 2], 5).token_ids == []
    assert NoDraft().write([1], 5) is None
