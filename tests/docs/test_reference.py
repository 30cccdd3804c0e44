"""The reference documents every exported name once, on the page of its room, and no other name."""

import re
from collections import Counter

from tests.support.public_names import ROOT, package_folders, public_names

ENTRY = re.compile(r"^::: (?P<name>[\w.]+)$", re.MULTILINE)


def entries() -> list[tuple[str, str]]:
    """Return (documented path, page) of every entry of the reference; package introductions are left out."""
    pages = sorted((ROOT / "docs" / "reference").rglob("*.md"))
    packages = package_folders()
    return [
        (name, page.relative_to(ROOT).as_posix())
        for page in pages
        for name in ENTRY.findall(page.read_text(encoding="utf-8"))
        if name not in packages
    ]


def test_every_exported_name_stands_on_the_page_of_its_room():
    listed = set(entries())
    missing = [
        f"add the line '::: {name.path}' to {name.page}"
        for name in public_names().values()
        if (name.path, name.page) not in listed
    ]
    assert not missing, "the reference lacks exported names:\n" + "\n".join(sorted(missing))


def test_the_reference_documents_exported_names_only():
    public = public_names()
    extra = [
        f"delete the line '::: {name}' from {page}: no __all__ lists it"
        if name not in public
        else f"move the line '::: {name}' from {page} to {public[name].page}"
        for name, page in entries()
        if name not in public or public[name].page != page
    ]
    assert not extra, "the reference has entries that do not belong:\n" + "\n".join(extra)


def test_no_name_is_documented_twice():
    assert [name for name, count in Counter(name for name, _ in entries()).items() if count > 1] == []


def test_every_page_of_the_reference_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = (page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs" / "reference").rglob("*.md"))
    assert [f"add {page} to the nav of mkdocs.yml" for page in pages if page not in navigation] == []
