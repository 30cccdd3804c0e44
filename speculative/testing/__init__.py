"""Checks that a draft, logits processor or selector of one's own keeps the contract."""

from speculative.testing.drafts import check_draft
from speculative.testing.logits_processors import check_logits_processor
from speculative.testing.selectors import check_selector

__all__ = ["check_draft", "check_logits_processor", "check_selector"]
