"""What `from speculative import ...` gives: this list, loaded when asked for."""

import subprocess
import sys

import pytest

import speculative

NAMES = [
    "CostProfile",
    "Draft",
    "DraftModel",
    "DraftSession",
    "EarlyExit",
    "Engine",
    "FeatureHead",
    "NoDraft",
    "PolicySelector",
    "Pool",
    "PromptLookup",
    "Proposal",
    "Rendering",
    "SamplingParams",
    "Selector",
    "SpeculativeArm",
    "SuffixDraft",
    "Target",
    "collect",
    "generate",
    "replay",
    "stream",
]


def test_the_front_door_offers_these_names():
    assert speculative.__all__ == NAMES
    assert set(NAMES) <= set(dir(speculative))
    assert all(callable(getattr(speculative, name)) for name in NAMES)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Oracle'"):
        _ = speculative.Oracle


def test_importing_it_imports_no_torch_and_none_of_its_rooms():
    code = (
        "import sys, speculative; "
        "print([m for m in sys.modules if m in ('torch', 'numpy', 'pydantic') or m.startswith('speculative.')])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
