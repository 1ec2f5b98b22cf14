"""The small CLIP: its architecture, its compact vocabulary while training, and the folder it is written to.

The only module of the sample shop that imports open_clip.
"""

import json
import shutil
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from open_clip.model import CLIP
from open_clip.tokenizer import SimpleTokenizer
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

MEAN, STD = 0.5, 0.25
CONFIG_FILE, WEIGHTS_FILE = "open_clip_config.json", "open_clip_model.safetensors"
UNSEEN = 0


@dataclass(frozen=True)
class ClipShape:
    """Sizes of both towers."""

    image_size: int = 64
    embed_dim: int = 128
    vision: str = "resnet10t"
    text_width: int = 64
    text_layers: int = 2
    text_heads: int = 2
    context_length: int = 24

    def model_config(self, vocab_size: int) -> dict[str, Any]:
        """The `model_cfg` of an open_clip folder."""
        return {
            "embed_dim": self.embed_dim,
            "vision_cfg": {
                "timm_model_name": self.vision,
                "timm_model_pretrained": False,
                "timm_pool": "avg",
                "timm_proj": "",  # the trunk's own classifier is the projection
                "image_size": self.image_size,
            },
            "text_cfg": {
                "context_length": self.context_length,
                "vocab_size": vocab_size,
                "width": self.text_width,
                "heads": self.text_heads,
                "layers": self.text_layers,
                "mlp_ratio": 2.0,
            },
        }


class CompactVocabulary:
    """The few words that captions use, numbered 1, 2, ... between `UNSEEN` and the end mark.

    The text tower trains with as many rows; on export each of the standard tokenizer's rows becomes a copy of its
    compact row, unknown words of `UNSEEN`.
    """

    def __init__(self, phrases: list[str], context_length: int) -> None:
        """Know every token that *phrases* contain."""
        self._tokenizer = SimpleTokenizer(context_length=context_length)
        seen = sorted({token for phrase in phrases for token in self._tokenizer.encode(phrase)})
        self.size = len(seen) + 3
        self._compact = np.full(self._tokenizer.vocab_size, UNSEEN, np.int64)
        self._compact[seen] = np.arange(1, 1 + len(seen))
        self._compact[self._tokenizer.sot_token_id] = self.size - 2
        self._compact[self._tokenizer.eot_token_id] = self.size - 1  # pooling looks for the highest number

    def tokens(self, texts: list[str]) -> Tensor:
        """`(n_texts, context_length)` compact numbers."""
        return torch.from_numpy(self._compact)[self._tokenizer(texts)]

    def expanded(self, rows: Tensor) -> Tensor:
        """The compact embedding *rows* spread over the standard tokenizer's vocabulary."""
        return rows[torch.from_numpy(self._compact)]

    @cached_property
    def full_size(self) -> int:
        """The standard tokenizer's vocabulary."""
        return int(self._tokenizer.vocab_size)


def new_model(shape: ClipShape, vocab_size: int) -> nn.Module:
    """An untrained model with *vocab_size* words.

    Word embeddings start at a spread of 0.1: with the usual 0.02 all texts begin almost equal and stay so for minutes.
    """
    config = shape.model_config(vocab_size)
    model: nn.Module = CLIP(**config, init_logit_scale=float(np.log(20.0)))
    with torch.no_grad():
        model.get_parameter("token_embedding.weight").normal_(0, 0.1)
    return model.to(memory_format=torch.channels_last)


def normalise(pixels: Tensor) -> Tensor:
    """Pictures in 0 to 1, `(n, 3, size, size)`, as the vision tower expects them."""
    return ((pixels - MEAN) / STD).contiguous(memory_format=torch.channels_last)


def save_model(weights: dict[str, Tensor], shape: ClipShape, vocabulary: CompactVocabulary, folder: Path) -> None:
    """Write an open_clip folder in half precision: beside the target first, then moved file by file.

    A model card that lies there stays.
    """
    state = {**weights, "token_embedding.weight": vocabulary.expanded(weights["token_embedding.weight"])}
    halves = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".clip-") as scratch:
        new = Path(scratch)
        save_file({name: value.contiguous() for name, value in halves.items()}, new / WEIGHTS_FILE)
        (new / CONFIG_FILE).write_text(_config_text(shape, vocabulary.full_size), encoding="utf-8")
        for file in new.iterdir():
            file.chmod(0o644)
            shutil.move(file, folder / file.name)


def _config_text(shape: ClipShape, vocab_size: int) -> str:
    preprocess = {"mean": [MEAN] * 3, "std": [STD] * 3, "interpolation": "bicubic", "resize_mode": "squash"}
    return json.dumps({"model_cfg": shape.model_config(vocab_size), "preprocess_cfg": preprocess}, indent=2) + "\n"


class SavedClip:
    """A saved model behind `encode_images` and `encode_texts`, with its own preprocessing and tokenizer."""

    def __init__(self, folder: Path) -> None:
        """Open the folder through open_clip."""
        name = f"local-dir:{folder}"
        model, _, self._preprocess = open_clip.create_model_and_transforms(name)
        self._model = model.eval().to(memory_format=torch.channels_last)
        self._tokenizer = open_clip.get_tokenizer(name)

    def encode_images(self, images: list[Image.Image], /) -> NDArray[np.float32]:
        batch = torch.stack([self._preprocess(image.convert("RGB")) for image in images])
        return self._rows(self.embed(batch.contiguous(memory_format=torch.channels_last)))

    def encode_texts(self, texts: list[str], /) -> NDArray[np.float32]:
        with torch.inference_mode():
            return self._rows(self._model.encode_text(self._tokenizer(texts)))

    def embed(self, pixels: Tensor) -> Tensor:
        """Preprocessed pictures as rows, not yet at length 1."""
        with torch.inference_mode():
            rows: Tensor = self._model.encode_image(pixels)
        return rows

    @staticmethod
    def _rows(embedded: Tensor) -> NDArray[np.float32]:
        rows: NDArray[np.float32] = functional.normalize(embedded, dim=-1).numpy()
        return rows
