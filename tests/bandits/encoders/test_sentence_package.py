import sys

from bandits.encoders import sentence


def test_the_packaged_model_is_found_without_running_the_packages_code(tmp_path, monkeypatch):
    (tmp_path / "packaged_model" / "model").mkdir(parents=True)
    (tmp_path / "packaged_model" / "__init__.py").write_text("raise RuntimeError('this package was run')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sentence, "MODEL_PACKAGE", "packaged_model")
    assert sentence.model_source(sentence.DEFAULT_MODEL) == str(tmp_path / "packaged_model" / "model")
    assert sentence.model_source("other/model") == "other/model"
    assert "packaged_model" not in sys.modules
