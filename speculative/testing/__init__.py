"""Checks that a draft or selector of one's own keeps the contract."""

from speculative.testing.drafts import check_draft
from speculative.testing.selectors import check_selector

__all__ = ["check_draft", "check_selector"]
