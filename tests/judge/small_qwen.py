"""A Qwen2.5-VL of random weights, its processor and pictures to grade: real classes, small enough for a test."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from judge.opened import frames_per_second
from judge.qwen import QwenJudge
from judge.rubric import LABELS, Rubric, load_rubric
from judge.task import ShownProduct, ShownVideo, Task
from sample_shop.small_judge import JudgeShape, make_processor, make_tokenizer, new_judge, save_judge
from sample_shop.train_judge import corpus

SMALL = JudgeShape(layers=2, eye_layers=2)


def make_folder(folder: Path, shape: JudgeShape = SMALL, spread: float = 3.0) -> Path:
    """Save a model; weights are *spread* times as wide as usual, so that its answers are not all alike."""
    torch.manual_seed(0)
    tokenizer = make_tokenizer(corpus([load_rubric(), load_rubric("pairs-1")]))
    model = new_judge(shape, tokenizer)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(spread)
    save_judge(model, make_processor(tokenizer), folder)
    return folder


def picture(rng: np.random.Generator, width: int = 90, height: int = 120) -> bytes:
    """A JPEG of coarse noise."""
    out = io.BytesIO()
    coarse = Image.fromarray(rng.integers(0, 255, (6, 5, 3)).astype(np.uint8))
    coarse.resize((width, height)).save(out, "JPEG")
    return out.getvalue()


def video(rng: np.random.Generator, name: str, n_frames: int = 4, apart_s: float = 1.0, width: int = 90) -> ShownVideo:
    times = tuple(0.5 + apart_s * i for i in range(n_frames))
    return ShownVideo(name, f"Look {name}", tuple(picture(rng, width, 160) for _ in range(n_frames)), times)


def task(n_products: int = 3, videos: Sequence[ShownVideo] | None = None, seed: int = 0) -> Task:
    """A history of *n_products*, the second without a photo, and videos of unequal sizes, lengths and distances."""
    rng = np.random.default_rng(seed)
    history = tuple(
        ShownProduct(f"p{i}", f"Red dress {i}", None if i == 1 else picture(rng)) for i in range(n_products)
    )
    ragged = (video(rng, "a"), video(rng, "b", 3, 0.4), video(rng, "c", 1, width=140), video(rng, "d", 8, 2.5))
    return Task("u1", history, ragged if videos is None else tuple(videos))


def still(rng: np.random.Generator, name: str, width: int = 90) -> ShownVideo:
    """A product in the place of a video."""
    return ShownVideo(name, f"Blue coat {name}", (picture(rng, width, 120),), (0.0,), still=True)


def naive_log_probabilities(judge: QwenJudge, asked: Task, rubric: Rubric, shown: ShownVideo) -> np.ndarray:
    """`(5,)`: each label appended to the whole prompt and read alone, positions left to the library."""
    whole = "".join(judge.texts(asked, rubric, shown))
    photos = [_image(product.photo) for product in asked.history if product.photo]
    if shown.still:
        inputs = judge.processor(text=[whole], images=[*photos, _image(shown.frames[0])], return_tensors="pt")
        return np.array([_label_log_probability(judge, inputs, label) for label in LABELS])
    first, *others = [_image(frame) for frame in shown.frames]
    frames = np.stack([np.asarray(frame.resize(first.size)) for frame in (first, *others)])
    metadata = {
        "total_num_frames": len(frames),
        "fps": frames_per_second(shown.times_s),
        "frames_indices": list(range(len(frames))),
    }
    inputs = judge.processor(
        text=[whole], images=photos or None, videos=[frames], return_tensors="pt", do_sample_frames=False,
        video_metadata=[metadata],
    )  # fmt: skip
    return np.array([_label_log_probability(judge, inputs, label) for label in LABELS])


def _image(encoded: bytes) -> Image.Image:
    return Image.open(io.BytesIO(encoded)).convert("RGB")


@torch.inference_mode()
def _label_log_probability(judge: QwenJudge, inputs: Any, label: str) -> float:
    tokens = judge.processor.tokenizer.encode(label)
    ids = torch.cat([inputs["input_ids"], torch.tensor([tokens])], dim=1)
    kinds = torch.cat([inputs["mm_token_type_ids"], torch.zeros(1, len(tokens), dtype=torch.long)], dim=1)
    judge.model.model.rope_deltas = None
    logits = judge.model(
        **{**inputs, "input_ids": ids, "attention_mask": torch.ones_like(ids), "mm_token_type_ids": kinds},
        use_cache=False, logits_to_keep=len(tokens) + 1,
    ).logits[0]  # fmt: skip
    logs = logits.float().log_softmax(-1)
    return float(sum(logs[place, token] for place, token in enumerate(tokens)))
