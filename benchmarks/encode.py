"""Frames a second of the encoders' own work, from pictures in memory: on the GPU if there is one, else on all cores.

Weights are random: as fast as trained ones. A GPU's limit is arithmetic, so its share of what one large bf16 product
reaches in the same run is printed too; the pictures' way to the GPU and the vectors' way back are part of the time.
"""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.report import Figure, run
from retrieval.clip import OpenClipEncoder, has_bfloat16
from retrieval.encoder import Encoder, Precision
from retrieval.errors import import_extra

MODELS = ("ViT-B-32", "ViT-L-14")
SIZE = 224


def random_vit(name: str, device: str = "cpu") -> Encoder:
    """An open_clip model of this architecture with random weights."""
    return _made(name, device)[0]


def measure(quick: bool) -> Sequence[Figure]:
    """The best of three rounds for each model."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    n = (64 if quick else 512) if device == "cpu" else 8192
    ceiling = _product_flops(device)
    return [_figure(name, device, n if name == MODELS[0] else n // 8, ceiling) for name in MODELS]


def _figure(name: str, device: str, n: int, ceiling: float) -> Figure:
    encoder, model = _made(name, device)
    batch = min(n, 1024 if device == "cuda" else 64)
    pixels = np.random.default_rng(0).integers(0, 256, (batch, SIZE, SIZE, 3)).astype(np.uint8)
    encoder.encode_prepared(pixels)
    seconds = min(_seconds(encoder, pixels, n // batch) for _ in range(3))
    rate = n // batch * batch / seconds
    share = rate * _flops(model, device) / ceiling
    where = torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} threads"
    detail = f"random weights, {encoder.precision}, batches of {batch}, {where}; {share:.0%} of a large product's rate"
    return Figure(f"frames_per_s_{name.lower()}", rate, "frames/s", "higher", detail)


def _made(name: str, device: str) -> tuple[Encoder, Any]:
    open_clip = import_extra("open_clip", "embed")
    torch.manual_seed(0)
    model, _, preprocess = open_clip.create_model_and_transforms(name)
    precision = Precision.BF16 if has_bfloat16(torch, device) else Precision.FP32
    model = model.eval().to(device=device, memory_format=torch.channels_last)
    return OpenClipEncoder(name, model, preprocess, open_clip.get_tokenizer(name), device, precision), model


def _seconds(encoder: Encoder, pixels: np.ndarray, batches: int) -> float:
    started = time.perf_counter()
    for _ in range(batches):
        encoder.encode_prepared(pixels)
    return time.perf_counter() - started


def _flops(model: Any, device: str) -> float:
    """Arithmetic of one picture, counted by torch."""
    counter = FlopCounterMode(display=False)
    with counter, torch.inference_mode():
        model.encode_image(torch.zeros(1, 3, SIZE, SIZE, device=device))
    return float(counter.get_total_flops())


def _product_flops(device: str) -> float:
    """What one large product of bf16 matrices reaches."""
    n = 8192 if device == "cuda" else 2048
    left, right = (torch.randn(n, n, device=device, dtype=torch.bfloat16) for _ in range(2))
    best = min(_product_seconds(left, right) for _ in range(5))
    return 2 * n**3 / best


def _product_seconds(left: torch.Tensor, right: torch.Tensor) -> float:
    started = time.perf_counter()
    (left @ right)[0, 0].item()  # waits for the device
    return time.perf_counter() - started


if __name__ == "__main__":
    run(measure, "Frames a second of the encoders alone.")
