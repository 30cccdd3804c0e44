"""The device that is measured: its models, its clock, and programs captured as graphs."""

import copy
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import torch

from gpu_bench.shapes import SHAPES
from speculative.models.config import DecoderConfig
from speculative.models.decoder import Decoder, Products
from tests.support.card_rounds import shapes, sizes

POSITIONS = 8192
_TINY = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}


@dataclass
class Machine:
    """A card, or the CPU that stands for it in a dry run.

    Attributes:
        dry: tiny models on the CPU, few repeats.
        models: those that were made, by name; the last ones stay.
    """

    dry: bool
    models: dict[tuple[str, int, int], Decoder] = field(default_factory=dict)

    @property
    def device(self) -> torch.device:
        """Where everything is."""
        return torch.device("cpu" if self.dry else "cuda")

    @property
    def dtype(self) -> torch.dtype:
        """Of weights and activations."""
        return torch.bfloat16

    def config(self, name: str, n_vocab: int | None = None, n_layers: int | None = None) -> DecoderConfig:
        """Return the sizes of a model: its own, or with another vocabulary or fewer layers."""
        own_layers, changes = SHAPES[name]
        tiny: dict[str, Any] = _TINY | {"vocab_size": 96} if self.dry else {}
        layers = min(n_layers or own_layers, 2 if self.dry else own_layers)
        vocab = {"vocab_size": n_vocab} if n_vocab is not None and not self.dry else {}
        return sizes(layers, **(changes | tiny | vocab), max_position_embeddings=POSITIONS)

    def weights(self, config: DecoderConfig) -> dict[str, torch.Tensor]:
        """Draw random weights, always the same; of fewer layers they are the first ones' of more."""
        drawn = {}
        for name, shape in sorted(shapes(config).items()):
            if "norm" in name:
                drawn[name] = torch.ones(shape, dtype=self.dtype, device=self.device)
                continue
            generator = torch.Generator(self.device).manual_seed(crc32(name.encode()))
            drawn[name] = torch.randn(shape, generator=generator, device=self.device, dtype=self.dtype) * 0.02
        return drawn

    def model(self, name: str, n_vocab: int | None = None, n_layers: int | None = None) -> Decoder:
        """Make a model, or return the one that was made."""
        config = self.config(name, n_vocab, n_layers)
        key = (name, config.n_vocab, config.n_layers)
        if key not in self.models:
            self.models[key] = Decoder(config, self.weights(config), dtype=self.dtype, device=self.device)
        return self.models[key]

    def rounded(self, name: str, products: Products) -> Decoder:
        """Make a model whose layers multiply otherwise."""
        config = self.config(name)
        return Decoder(config, self.weights(config), dtype=self.dtype, device=self.device, products=products)

    def eager(self, model: Decoder) -> Decoder:
        """Return a model whose passes never run as graphs."""
        twin = copy.copy(model)
        twin.graphs = None
        return twin

    def wait(self) -> None:
        """Wait until the card has done what was launched."""
        if not self.dry:
            torch.cuda.synchronize()

    def median_ms(self, program: Callable[[], object], n_repeats: int = 20) -> float:
        """Return the median milliseconds of a program, after some that warm up."""
        seconds = []
        for i in range(3 if self.dry else n_repeats + 5):
            self.wait()
            begin = time.perf_counter()
            program()
            self.wait()
            if self.dry or i >= 5:
                seconds.append(time.perf_counter() - begin)
        return round(statistics.median(seconds) * 1e3, 4)

    def captured(self, program: Callable[[], object]) -> Callable[[], object]:
        """Return a program as a CUDA graph, after three runs that warm up; in a dry run as it is."""
        if self.dry:
            return program
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                program()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            program()
        return graph.replay

    def facts(self) -> str:
        """Name what is measured on: of a card its compute capability, memory, and the versions of CUDA."""
        if self.dry:
            return "dry run"
        card = torch.cuda.get_device_properties(0)
        memory = f"{card.total_memory / 1e9:.0f} GB"
        return f"{card.name}, compute capability {card.major}.{card.minor}, {memory}, CUDA {torch.version.cuda}"
