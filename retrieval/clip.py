"""CLIP through open_clip: frames, photos and texts to unit vectors. The only module that imports open_clip."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from retrieval.encoder import SAMPLE, SAMPLE_FOLDER, Precision, Vectors
from retrieval.errors import ModelError, import_extra
from retrieval.preparation import Preparation

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

BATCH = 64
BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16")  # instructions, as torch names them

# OpenMP's threads spin while they wait. Beside the processes that decode, on as many cores, that took embedding of 120
# clips from 7.9 to 13.4 s. It is read when torch is first imported, so it stands above that.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


class OpenClipEncoder:
    """An open_clip model in evaluation mode on one device.

    Images are encoded in bfloat16 where the device has instructions for it: nearly twice as fast, and the vectors agree
    to a cosine of 0.998. Texts are encoded in float32.
    """

    encodes_text = True

    def __init__(
        self, name: str, model: Any, preprocess: Any, tokenizer: Any, device: str, precision: Precision
    ) -> None:
        self._torch = import_extra("torch", "embed")
        self.name = name
        self._model, self._preprocess, self._tokenizer = model, preprocess, tokenizer
        self._device = device
        self.precision = precision
        self.preparation = preparation_of(preprocess)
        self._normalise = preprocess.transforms[-1]
        self.fingerprint = _fingerprint(model, preprocess)
        self.dim = int(self.encode_texts(["a"]).shape[1])

    @property
    def on_cpu(self) -> bool:
        return self._device == "cpu"

    def use_threads(self, count: int) -> None:
        """Let the calling thread's encoding take *count* cores; torch keeps that by thread."""
        self._torch.set_num_threads(count)

    def encode_images(self, images: "Sequence[Image]") -> Vectors:
        """Unit vectors `(len(images), dim)` of RGB images."""
        with self._autocast():
            return self._in_batches(images, self._stack, self._model.encode_image)

    def encode_prepared(self, pixels: NDArray[np.uint8]) -> Vectors:
        """Unit vectors `(n, dim)` of pictures `(n, height, width, 3)` that the preparation made, as one batch."""
        batch = self._torch.from_numpy(pixels).to(self._device).permute(0, 3, 1, 2)  # channels_last, as encode_images
        with self._torch.inference_mode(), self._autocast():
            return _unit(self._model.encode_image(self._normalise(batch.float() / 255)).float().cpu().numpy())

    def _autocast(self) -> Any:
        enabled = self.precision is Precision.BF16
        return self._torch.autocast(self._device.partition(":")[0], self._torch.bfloat16, enabled=enabled)

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors `(len(texts), dim)`; text beyond the model's context is cut."""
        return self._in_batches(texts, lambda batch: self._tokenizer(list(batch)), self._model.encode_text)

    def _stack(self, images: "Sequence[Image]") -> "torch.Tensor":
        stacked = self._torch.stack([self._preprocess(image) for image in images])
        return stacked.contiguous(memory_format=self._torch.channels_last)  # type: ignore[no-any-return]

    def _in_batches(self, items: Sequence[Any], prepare: Any, encode: Any) -> Vectors:
        if not items:
            return np.empty((0, self.dim), np.float32)
        with self._torch.inference_mode():
            parts = [
                encode(prepare(items[start : start + BATCH]).to(self._device)).float().cpu().numpy()
                for start in range(0, len(items), BATCH)
            ]
        return _unit(np.concatenate(parts))


def _unit(vectors: Vectors) -> Vectors:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)  # type: ignore[no-any-return]


def preparation_of(preprocess: Any) -> Preparation | None:
    """What *preprocess* does before it makes a tensor, where that is resizing as CLIP models do; else None."""
    steps = {type(step).__name__: step for step in preprocess.transforms}
    resize, crop = steps.pop("Resize", None), steps.pop("CenterCrop", None)
    plain = {"MaybeConvertMode", "MaybeToTensor", "ToTensor", "Normalize"}
    if resize is None or set(steps) - plain or resize.interpolation.value != "bicubic" or resize.max_size:
        return None
    if crop is None:
        return Preparation(tuple(resize.size), crop=False) if isinstance(resize.size, Sequence) else None
    return Preparation(tuple(crop.size), crop=True) if _one(resize.size) == min(crop.size) else None


def _one(size: Any) -> int | None:
    """The side of a shorter-side resize; torchvision writes it as 224 or (224,)."""
    if isinstance(size, Sequence):
        return size[0] if len(size) == 1 else None
    return int(size)


def open_clip_encoder(name: str, device: str = "auto", precision: Precision = Precision.AUTO) -> OpenClipEncoder:
    """Return the open_clip model *name* as an encoder; see `retrieval.encoder.open_encoder` for names.

    Raises:
        ModelError: no such model, or its files cannot be had.
    """
    open_clip = import_extra("open_clip", "embed")
    torch = import_extra("torch", "embed")
    device = _checked_device(device, torch)
    model_name, tag = _model_and_tag(name, open_clip)
    try:
        model, _, preprocess = open_clip.create_model_and_transforms(
            model_name, pretrained=tag, device=device, weights_only=True
        )
        tokenizer = open_clip.get_tokenizer(model_name)
    except Exception as error:  # open_clip raises RuntimeError, OSError, hub and JSON errors alike for unusable files
        raise ModelError(
            f"The model {name} could not be loaded: {_first_line(error)}.",
            "Check the name; where there is no network, copy the model's folder here and name it local-dir:FOLDER.",
        ) from error
    model = model.eval().to(memory_format=torch.channels_last)
    if precision is Precision.AUTO:
        precision = Precision.BF16 if has_bfloat16(torch, device) else Precision.FP32
    return OpenClipEncoder(name, model, preprocess, tokenizer, device, precision)


def has_bfloat16(torch: Any, device: str) -> bool:
    """Whether *device* computes in bfloat16 faster than in float32."""
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported())
    return device == "cpu" and any(map(_capabilities(torch).get, BFLOAT16))


def _capabilities(torch: Any) -> Mapping[str, Any]:
    """What the processor can do, by name; nothing is known before torch 2.15."""
    return getattr(torch.cpu, "get_capabilities", dict)()


def _model_and_tag(name: str, open_clip: Any) -> tuple[str, str | None]:
    """The two arguments open_clip wants, checked as far as can be told without loading."""
    if name == SAMPLE:
        return f"local-dir:{SAMPLE_FOLDER}", None
    if name.startswith("local-dir:"):
        return _checked_folder(name), None
    if name.startswith("hf-hub:"):
        return name, None
    model, _, tag = name.partition("/")
    if (model, tag) not in open_clip.list_pretrained():
        raise ModelError(
            f"There is no model {name}.",
            "Use sample, an open_clip name and tag such as ViT-B-32/laion2b_s34b_b79k, hf-hub:OWNER/MODEL or "
            "local-dir:FOLDER.",
        )
    return model, tag


def _checked_device(device: str, torch: Any) -> str:
    """The device's name, `auto` resolved."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    # torch's words: a bad device or a backend without the kernel (both are RuntimeErrors), a build without the device.
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"There is no device {device} here: {_first_line(error)}.", "Use --device auto.") from error
    return device


def _checked_folder(name: str) -> str:
    folder = Path(name.removeprefix("local-dir:")).expanduser()
    if not (folder / "open_clip_config.json").exists():
        raise ModelError(
            f"{folder} holds no open_clip_config.json.", "Name the folder of a model that open_clip saved."
        )
    return f"local-dir:{folder}"


def _fingerprint(model: Any, preprocess: Any) -> str:
    """A hash of the weights and of how images are prepared: what decides the vectors."""
    digest = hashlib.sha256(repr(preprocess).encode())
    for key, tensor in sorted(model.state_dict().items()):
        digest.update(json.dumps([key, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.cpu().contiguous().flatten().view(dtype=_bytes_type()).numpy().tobytes())
    return digest.hexdigest()[:16]


def _bytes_type() -> Any:
    return import_extra("torch", "embed").uint8


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
