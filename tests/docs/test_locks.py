"""The file of hashes names the very versions of the lock, each with a hash."""

import re

from tests.support.public_names import ROOT


def test_every_pinned_version_has_hashes():
    lock = {line.partition(" ;")[0] for line in (ROOT / "requirements.lock").read_text().splitlines() if "==" in line}
    hashed = (ROOT / "requirements-hashed.lock").read_text()
    entries = re.findall(
        r"^([\w.-]+==\S+)(?: ;[^\n]*)? \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", hashed, re.M
    )

    def plain(name):
        return name.lower().replace("_", "-").replace(".", "-", name.split("==")[0].count("."))

    assert {plain(name).removesuffix("+cpu") for name, _ in entries} == {plain(name) for name in lock}
