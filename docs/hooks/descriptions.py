"""Give every page of the site a description of its own: its first paragraph, without markup."""

import re
from typing import Any

NO_PROSE = ("#", "<", "|", "!", "-", "`", ":", ">", "*", "{")  # how headings, tables, lists, pictures and code begin
MARKUP = re.compile(r"!?\[([^\]]*)\]\([^)]*\)|[`*]")
LONGEST = 160


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Set the page's description, where its head does not."""
    if description := first_paragraph(markdown):
        page.meta.setdefault("description", description)
    return markdown


def first_paragraph(markdown: str) -> str:
    """Return the first paragraph of prose, at most 160 characters and cut between words; "" where there is none."""
    for block in re.split(r"\n\s*\n", markdown):
        text = " ".join(block.split())
        if text and not text.startswith(NO_PROSE):
            plain = MARKUP.sub(lambda match: match[1] or "", text)
            return plain if len(plain) <= LONGEST else plain[: LONGEST - 1].rsplit(" ", 1)[0] + "…"
    return ""
