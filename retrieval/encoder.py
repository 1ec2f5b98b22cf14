"""What an encoder is, and how its name finds it."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.preparation import Preparation

if TYPE_CHECKING:
    from PIL.Image import Image

Vectors = NDArray[np.float32]
"""`(n, dim)` float32."""

SAMPLE = "sample"
CONTENT = "content"
SAMPLE_FOLDER = Path(__file__).parent / "models" / "sample"


class Precision(StrEnum):
    """The numbers that images are encoded with. Vectors of the two agree to a cosine of 0.998."""

    AUTO = "auto"
    BF16 = "bf16"
    FP32 = "fp32"


class Encoder(Protocol):
    """Turns images and texts into unit vectors of one space.

    *fingerprint* changes with the weights and the preparation: it binds stores and snapshots to their encoder.
    *preparation* is how pictures come to the model's size, where that can be done without the model, else None.
    """

    @property
    def name(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def dim(self) -> int: ...
    @property
    def encodes_text(self) -> bool: ...

    @property
    def precision(self) -> Precision: ...
    @property
    def preparation(self) -> Preparation | None: ...
    @property
    def on_cpu(self) -> bool: ...

    def use_threads(self, count: int) -> None:
        """Let the calling thread's encoding take *count* cores, where that can be chosen."""
        ...

    def encode_images(self, images: "Sequence[Image]") -> Vectors:
        """Unit vectors `(len(images), dim)` of RGB images."""
        ...

    def encode_prepared(self, pixels: NDArray[np.uint8]) -> Vectors:
        """Unit vectors `(n, dim)` of pictures `(n, height, width, 3)` brought to size by the *preparation*.

        Threads may call it side by side.
        """
        ...

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors `(len(texts), dim)`."""
        ...


def open_encoder(name: str = SAMPLE, device: str = "auto", precision: Precision = Precision.AUTO) -> Encoder:
    """Return the encoder called *name*.

    Args:
        name: `sample` (ships with Lookreel), `content` (colour and silhouette descriptors, images only), any open_clip
            name and tag (`ViT-B-32/laion2b_s34b_b79k`), `hf-hub:OWNER/MODEL` or `local-dir:FOLDER`.
        device: a torch device, or `auto`: a GPU where there is one.
        precision: of images; `auto` is bf16 where the device computes it faster.

    Raises:
        ModelError: no such model, or its files cannot be had.
        MissingExtraError: the extra `embed` is not installed.
    """
    if name == CONTENT:
        from retrieval.content import ContentEncoder

        return ContentEncoder()
    from retrieval.clip import open_clip_encoder

    return open_clip_encoder(name, device, precision)
