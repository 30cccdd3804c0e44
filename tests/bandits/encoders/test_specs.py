"""Settings of a file or an option become an encoder, or an error that names kind, rule and value."""

import sys
from typing import Annotated

import pytest
from pydantic import BaseModel, BeforeValidator, SerializeAsAny, ValidationError

from bandits import HashingEncoder, SentenceEncoder
from bandits.encoders import ENCODERS, EncoderSpec, read_encoder_spec
from bandits.encoders.encoder import check_same_encoder

OWN = """
from bandits.encoders import ContextEncoder, EncoderSpec
import numpy as np

class Lengths(ContextEncoder):
    name, n_features = "lengths", 1

    def encode(self, texts):
        return np.array([[len(text)] for text in texts], np.float32).reshape(-1, 1)

class Scaled(Lengths):
    class Spec(EncoderSpec):
        by: float

        def build(self, target=None):
            return Scaled(self.by)

    def __init__(self, by):
        self.name = f"lengths-{by}"

class Undescribed(Lengths):
    def __init__(self, by):
        self.by = by
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Put a module of a user's own on the path."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_encoders.py").write_text(OWN)
    yield "own_encoders"
    sys.modules.pop("own_encoders", None)


@pytest.mark.parametrize("kind", ENCODERS)
def test_each_kind_of_the_table_builds_its_class_from_the_kind_alone(kind):
    assert type(read_encoder_spec(kind).build()) is ENCODERS[kind]
    assert read_encoder_spec({"kind": kind}).kind == kind


def test_settings_reach_the_encoder():
    assert read_encoder_spec({"kind": "hashing", "n_features": 8}).build().name == "hashing-8"
    encoder = read_encoder_spec({"kind": "sentence", "model": "some/hub-id"}).build()
    assert isinstance(encoder, SentenceEncoder)
    assert encoder.name == "some/hub-id"


def test_a_specs_defaults_are_the_constructors():
    assert HashingEncoder.Spec().build().n_features == HashingEncoder().n_features
    assert SentenceEncoder.Spec().build().name == SentenceEncoder().name


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_features": 8}, "an encoder needs a kind .hashing, sentence, or .*got None"),
        ({"kind": "astrology"}, "unknown encoder 'astrology'; there are hashing, sentence"),
        ({"kind": "hashing", "n_features": 0}, "n_features"),
        ({"kind": "hashing", "model": "some/hub-id"}, "model"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        read_encoder_spec(settings)


def test_what_is_no_table_is_refused():
    with pytest.raises(TypeError, match="must be a table with a kind, got 3"):
        read_encoder_spec(3)


def test_ones_own_encoder_is_named_by_its_path(own):
    assert read_encoder_spec(f"{own}:Lengths").build().name == "lengths"
    scaled = read_encoder_spec({"kind": f"{own}:Scaled", "by": 2.0})
    assert scaled.build().name == "lengths-2.0"
    with pytest.raises(ValidationError, match="by"):
        read_encoder_spec(f"{own}:Scaled")
    with pytest.raises(ValidationError, match="by"):
        read_encoder_spec({"kind": f"{own}:Lengths", "by": 2.0})
    with pytest.raises(TypeError, match=r"needs a class Spec\(EncoderSpec\) for its settings"):
        read_encoder_spec(f"{own}:Undescribed").build()


def test_a_spec_is_a_field_of_a_file_checked_and_written_whole(own):
    class File(BaseModel):
        encoder: Annotated[SerializeAsAny[EncoderSpec], BeforeValidator(read_encoder_spec)]

    file = File.model_validate({"encoder": {"kind": "hashing", "n_features": 8}})
    assert file.model_dump() == {"encoder": {"kind": "hashing", "n_features": 8}}
    assert File.model_validate(file.model_dump()) == file
    with pytest.raises(ValidationError, match="n_features") as caught:
        File.model_validate({"encoder": {"kind": "hashing", "n_features": 0}})
    assert caught.value.errors()[0]["loc"] == ("encoder", "n_features")


def test_one_encoder_is_needed_and_an_unknown_one_agrees_with_any():
    check_same_encoder("the policy", "a", "the data", "a")
    check_same_encoder("the policy", None, "the data", "a")
    check_same_encoder("the policy", "a", "the data", None)
    with pytest.raises(ValueError, match="the policy and the data must have contexts of one encoder, got 'a' and 'b'"):
        check_same_encoder("the policy", "a", "the data", "b")
