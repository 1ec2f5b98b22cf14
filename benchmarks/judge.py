"""The judge's shared beginning beside the naive prompt: how much time, and whether the numbers are the same.

Weights are random and wide, proportions those of Qwen2.5-VL-7B (a vision tower of a tenth of the language model, six
query heads for each pair of key and value heads, an inner width of five), pictures of 12 photos and 10 videos of 8
frames. Naive means the whole prompt of each video read alone, its labels weighed by the same tree mask. With a GPU at
hand, judgments a second of randomly initialised 3B and 7B configurations too.
"""

import io
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.report import Figure, run
from judge.opened import frames_per_second
from judge.qwen import Loaded, QwenJudge, QwenOptions, open_qwen
from judge.rubric import Rubric, load_rubric
from judge.task import ShownProduct, ShownVideo, Task
from judge.verdict import Verdict, from_log_probabilities
from sample_shop.small_judge import JudgeShape, make_processor, make_tokenizer, new_judge, save_judge
from sample_shop.train_judge import corpus

K, PHOTOS, FRAMES = 10, 12, 8
SHAPE = JudgeShape(
    width=384, layers=12, heads=6, shared_heads=2, inner=2048, eye_width=160, eye_layers=10, eye_heads=5, eye_inner=432
)
PIXELS = 168 * 224  # 48 tokens a photo
REPEATS = 3


def measure(quick: bool) -> Sequence[Figure]:
    """Time and numbers of both ways, taking turns."""
    torch.set_num_threads(1)
    shape = JudgeShape() if quick else SHAPE
    with tempfile.TemporaryDirectory() as folder:
        judge, rubric = open_qwen(str(_make_model(Path(folder), shape))), load_rubric()
        task = make_task()
        shared = _outcomes(lambda: _shared(judge, task, rubric), 1 if quick else REPEATS)
        naive = _outcomes(lambda: _naive(judge, task, rubric), 1 if quick else REPEATS)
    tokens = _tokens(judge, task, rubric)
    floor = (tokens[0] + K * tokens[1]) / (K * (tokens[0] + tokens[1]))
    difference = float(np.abs(_logs(shared[1]) - _logs(naive[1])).max())
    size = f"k {K}, {PHOTOS} photos, {FRAMES} frames, {tokens[0]} + {tokens[1]} tokens"
    detail = f"{size}, float32, one core; floor {floor:.3f}"
    return [
        Figure("judge_prefix_time_vs_naive", shared[0] / naive[0], "ratio", "lower", detail),
        Figure("judge_prefix_time_vs_floor", shared[0] / naive[0] / floor, "ratio", "lower", detail),
        Figure("judge_prefix_logprob_difference", difference, "nats", "lower", "largest of 50 whole labels"),
        *_on_gpu(rubric, task),
    ]


def _make_model(folder: Path, shape: JudgeShape) -> Path:
    torch.manual_seed(0)
    tokenizer = make_tokenizer(corpus([load_rubric(), load_rubric("pairs-1")]))
    model = new_judge(shape, tokenizer)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(2.0)
    save_judge(model, make_processor(tokenizer, PIXELS), folder)
    return folder


def make_task(seed: int = 0) -> Task:
    """A history of photos with titles, and videos."""
    rng = np.random.default_rng(seed)
    history = tuple(ShownProduct(f"p{i}", "Red striped dress by Alder", _jpeg(rng, 480, 640)) for i in range(PHOTOS))
    times = tuple(float(i) for i in range(FRAMES))
    videos = tuple(
        ShownVideo(f"v{i}", "New in: a red dress", tuple(_jpeg(rng, 252, 448) for _ in range(FRAMES)), times)
        for i in range(K)
    )
    return Task("u", history, videos)


def _jpeg(rng: np.random.Generator, width: int, height: int) -> bytes:
    out = io.BytesIO()
    coarse = Image.fromarray(rng.integers(0, 255, (8, 6, 3)).astype(np.uint8))
    coarse.resize((width, height)).save(out, "JPEG")
    return out.getvalue()


def _outcomes(ask: Callable[[], list[Verdict]], repeats: int) -> tuple[float, list[Verdict]]:
    """The shortest time of *repeats*, after one to warm up, and what was said."""
    said, times = ask(), []
    for _ in range(repeats):
        started = time.perf_counter()
        said = ask()
        times.append(time.perf_counter() - started)
    return min(times), said


def _shared(judge: QwenJudge, task: Task, rubric: Rubric) -> list[Verdict]:
    return [outcome for outcome in judge.grade(task, rubric) if isinstance(outcome, Verdict)]


def _inputs(judge: QwenJudge, task: Task, rubric: Rubric, video: ShownVideo) -> Any:
    """What the processor makes of the whole prompt of one video."""
    photos = [_opened(product.photo) for product in task.history if product.photo]
    frames = np.stack([np.asarray(_opened(frame)) for frame in video.frames])
    metadata = {
        "total_num_frames": len(frames),
        "fps": frames_per_second(video.times_s),
        "frames_indices": list(range(len(frames))),
    }
    whole = "".join(judge.texts(task, rubric, video))
    return judge.processor(
        text=[whole], images=photos, videos=[frames], return_tensors="pt", do_sample_frames=False,
        video_metadata=[metadata],
    )  # fmt: skip


def _opened(encoded: bytes) -> Image.Image:
    return Image.open(io.BytesIO(encoded)).convert("RGB")


@torch.inference_mode()
def _naive(judge: QwenJudge, task: Task, rubric: Rubric) -> list[Verdict]:
    return [_alone(judge, _inputs(judge, task, rubric, video)) for video in task.videos]


def _alone(judge: QwenJudge, inputs: Any) -> Verdict:
    inputs = {name: value.to(judge.model.device) if hasattr(value, "to") else value for name, value in inputs.items()}
    places, branches = judge.places(inputs), judge.branches
    n, last = inputs["input_ids"].shape[1], int(places[0, 0, -1]) + 1
    device = places.device
    states = judge.model.model(
        input_ids=torch.cat([inputs["input_ids"], branches.ids.to(device)[None]], dim=1),
        pixel_values=inputs["pixel_values"],
        image_grid_thw=inputs["image_grid_thw"],
        pixel_values_videos=inputs["pixel_values_videos"],
        video_grid_thw=inputs["video_grid_thw"],
        position_ids=torch.cat([places, (branches.depth + last).to(device).expand(3, 1, -1)], dim=2),
        attention_mask=branches.mask(0, n).to(device)[None, None],
        use_cache=False,
    ).last_hidden_state[0, n - 1 :]
    return from_log_probabilities(branches.sums(judge.model.lm_head(states).float().log_softmax(-1).cpu()))


def _logs(verdicts: list[Verdict]) -> np.ndarray:
    shares = np.array([verdict.probabilities for verdict in verdicts])
    return np.asarray(np.log(shares) + np.log(np.array([verdict.mass for verdict in verdicts]))[:, None])


def _tokens(judge: QwenJudge, task: Task, rubric: Rubric) -> tuple[int, int]:
    """How many tokens the shared beginning has, and one video's own part."""
    whole = _inputs(judge, task, rubric, task.videos[0])["input_ids"].shape[1]
    frames = [_opened(frame) for frame in task.videos[0].frames]
    own = judge.video_inputs(judge.texts(task, rubric, task.videos[0])[1], task.videos[0], frames)["input_ids"].shape[1]
    return whole - own, own


def _on_gpu(rubric: Rubric, task: Task) -> list[Figure]:
    """Judgments a second of random weights in the sizes of the published models; nothing without a GPU."""
    if not torch.cuda.is_available():
        return []
    return [figure for size in ("3B", "7B") for figure in _random_model(size, rubric, task)]


def _random_model(size: str, rubric: Rubric, task: Task) -> list[Figure]:
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    tokenizer = make_tokenizer(corpus([rubric]))
    text = dict(_PUBLISHED[size])
    vision = {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16}
    ids = {name: tokenizer.encode(f"<|{name}|>")[0] for name in ("image_pad", "video_pad", "vision_start")}
    config = Qwen2_5_VLConfig(
        text_config={**text, "rope_parameters": _ROPE},
        vision_config={**vision, "out_hidden_size": text["hidden_size"], "fullatt_block_indexes": [7, 15, 23, 31]},
        image_token_id=ids["image_pad"], video_token_id=ids["video_pad"], vision_start_token_id=ids["vision_start"],
    )  # fmt: skip
    with torch.device("cuda"):
        torch.set_default_dtype(torch.bfloat16)
        model = Qwen2_5_VLForConditionalGeneration._from_config(config, attn_implementation="sdpa")  # type: ignore[no-untyped-call]
        torch.set_default_dtype(torch.float32)
    processor = make_processor(tokenizer, QwenOptions().photo_pixels)
    judge = QwenJudge(size, "", lambda: Loaded(model.eval(), processor))
    shared, _ = _outcomes(lambda: _shared(judge, task, rubric), REPEATS)
    naive, _ = _outcomes(lambda: _naive(judge, task, rubric), REPEATS)
    tokens = _tokens(judge, task, rubric)
    detail = f"random weights, bf16, {tokens[0]} + {tokens[1]} tokens, {torch.cuda.get_device_name()}"
    return [
        Figure(f"judge_{size.lower()}_per_s", K / shared, "judgments/s", "higher", detail),
        Figure(f"judge_{size.lower()}_time_vs_naive", shared / naive, "ratio", "lower", detail),
    ]


_ROPE = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]}
_PUBLISHED: dict[str, dict[str, int]] = {
    "3B": {
        "hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36, "num_attention_heads": 16,
        "num_key_value_heads": 2, "vocab_size": 151_936,
    },
    "7B": {
        "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28,
        "num_key_value_heads": 4, "vocab_size": 152_064,
    },
}  # fmt: skip


if __name__ == "__main__":
    run(measure, "The judge's shared beginning beside the naive prompt.")
