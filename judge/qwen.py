"""Qwen2.5-VL as a judge: it does not generate to grade, it weighs the five labels. The only importer of transformers.

All videos of a user share the beginning of their prompt, so it is read once into a cache and each video is read after
it. The whole log-probability of every label comes from the same pass: the labels' tokens follow the prompt as
branches that do not see each other (a tree mask). The numbers are those of reading each prompt and label alone.

Three things go wrong silently and are held by tests: positions that are left to the library after a cached beginning,
a cache that is not cut back, and frames whose distance in time is not told (the library then assumes 24 a second).
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from PIL import Image

from judge.branches import Branches, make_branches
from judge.opened import frames_per_second, open_frames, open_picture
from judge.prompt import PRODUCT, VIDEO, Line, make_prompt
from judge.rubric import LABELS, Rubric
from judge.task import ShownVideo, Task
from judge.verdict import NoVerdict, Outcome, Unscored, Verdict, from_log_probabilities
from judge.weights import fingerprint, folder_parts
from retrieval.errors import ModelError, UserFacingError, import_extra

DEFAULT_MODEL = "Qwen/Qwen2.5-VL-7B-Instruct"
REASON = "\nReason:"
CONFIG = "config.json"


@dataclass(frozen=True)
class QwenOptions:
    """How the model is run.

    *photo_pixels* and *frame_pixels* are the most that one photo or frame may have: 28 x 28 of a photo, or of two
    frames, are one token. A processor that allows less keeps its own limit. *device* and *dtype* are torch's names; by
    default the first GPU in bfloat16, else the CPU in float32. *reason_tokens* is how long a reason may be.
    """

    photo_pixels: int = 200_704
    frame_pixels: int = 100_352
    device: str = ""
    dtype: str = ""
    reason_tokens: int = 60

    @property
    def telling(self) -> tuple[str, str, int, int]:
        """What of the options changes a grade."""
        return self.device.partition(":")[0], self.dtype, self.photo_pixels, self.frame_pixels


def open_qwen(model: str = DEFAULT_MODEL, options: QwenOptions | None = None, *, name: str = "") -> "QwenJudge":
    """The judge `qwen:<model>`: a name of the hub, or a folder, whose weights are read when the first video is graded.

    So a run that finds all of its judgments kept costs no loading.

    Raises:
        ModelError: the model is not there, or is not a Qwen2.5-VL.
        MissingExtraError: transformers is not installed.
    """
    options, name = _resolved(options or QwenOptions()), name or f"qwen:{model}"
    if (Path(model) / CONFIG).is_file():
        _require_qwen(Path(model))
        return QwenJudge(
            name, fingerprint(folder_parts(Path(model)), options.telling), partial(_load, model, options), options
        )
    loaded = _load(model, options)
    told = f"{model}@{getattr(loaded.model.config, '_commit_hash', None)}".encode()
    return QwenJudge(name, fingerprint([told], options.telling), lambda: loaded, options)


def _resolved(options: QwenOptions) -> QwenOptions:
    device = options.device
    if not device:
        device = "cuda" if import_extra("torch", "judge").cuda.is_available() else "cpu"
    return replace(options, device=device, dtype=options.dtype or ("float32" if device == "cpu" else "bfloat16"))


def _require_qwen(folder: Path) -> None:
    kind = json.loads((folder / CONFIG).read_text(encoding="utf-8")).get("model_type")
    if kind != "qwen2_5_vl" or not any(folder.glob("*.safetensors")):
        what = f"is a {kind}" if kind != "qwen2_5_vl" else "has no weights"
        raise ModelError(f"{folder} {what}; the judge needs a Qwen2.5-VL with its safetensors.", "Name another folder.")


@dataclass(frozen=True)
class Loaded:
    """A model with its processor."""

    model: Any
    processor: Any


def _load(name: str, options: QwenOptions) -> Loaded:
    torch, transformers = import_extra("torch", "judge"), import_extra("transformers", "judge")
    transformers.utils.logging.disable_progress_bar()
    try:
        processor = transformers.AutoProcessor.from_pretrained(name)
        # The tree mask is used as it is by this attention alone.
        model = transformers.Qwen2_5_VLForConditionalGeneration.from_pretrained(
            name, dtype=getattr(torch, options.dtype), attn_implementation="sdpa"
        )
        model = model.to(options.device).eval()
    except torch.OutOfMemoryError as error:
        raise _no_memory(name) from error
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise ModelError(
            f"The judge {name} cannot be loaded: {str(error).splitlines()[0]}",
            "Name a folder that holds a Qwen2.5-VL, or download one: hf download Qwen/Qwen2.5-VL-7B-Instruct",
        ) from error
    for part, most in (
        (processor.image_processor, options.photo_pixels),
        (processor.video_processor, options.frame_pixels),
    ):
        part.size["longest_edge"] = min(part.size["longest_edge"], most)
    return Loaded(model, processor)


def _no_memory(model: str) -> UserFacingError:
    return UserFacingError(
        f"The memory of the device does not suffice for {model}.",
        "Use a smaller model (Qwen/Qwen2.5-VL-3B-Instruct), --frames-per-video 4, or --judge endpoint:….",
    )


@dataclass(frozen=True)
class _Read:
    """A beginning that was read: its *cache*, its *length* in tokens, and the place where what follows begins."""

    cache: Any
    length: int
    next_place: int


@dataclass(frozen=True)
class QwenJudge:
    """A Qwen2.5-VL with its processor; *load* is called when they are first needed."""

    name: str
    fingerprint: str
    load: Callable[[], Loaded]
    options: QwenOptions = QwenOptions()

    @cached_property
    def _loaded(self) -> Loaded:
        return self.load()

    @property
    def model(self) -> Any:
        return self._loaded.model

    @property
    def processor(self) -> Any:
        return self._loaded.processor

    def grade(self, task: Task, rubric: Rubric, *, explain: bool = False) -> Iterator[Outcome]:
        """One outcome for each video, in order; the user's history is read once.

        Raises:
            UserFacingError: the device has not enough memory.
        """
        import torch

        if not task.history and task.query is None:
            yield from (NoVerdict(Unscored.NO_HISTORY) for _ in task.videos)
            return
        try:
            yield from self._outcomes(task, rubric, explain)
        except torch.OutOfMemoryError as error:
            raise _no_memory(self.name) from error

    def _outcomes(self, task: Task, rubric: Rubric, explain: bool) -> Iterator[Outcome]:
        import torch

        photos = [open_picture(product.photo) for product in task.history]
        beginning, read = None, ""
        for video in task.videos:
            frames = open_frames(video)
            if not frames:
                yield NoVerdict(Unscored.NO_FRAMES)
                continue
            shared, own = self.texts(task, rubric, video, photos)
            # Not around the yield: whoever takes the outcomes would run in the mode too.
            with torch.inference_mode():
                if beginning is None or shared != read:
                    beginning, read = self._read(shared, photos), shared
                verdict = self._grade(beginning, self.video_inputs(own, video, frames), explain)
            yield verdict

    def texts(
        self, task: Task, rubric: Rubric, video: ShownVideo, photos: Sequence[Image.Image | None] | None = None
    ) -> tuple[str, str]:
        """The rendered prompt of one video, cut where the part begins that is the video's own.

        Args:
            photos: those of the history, opened, None where one is missing or cannot be read.
        """
        if photos is None:
            photos = [open_picture(product.photo) for product in task.history]
        lines = [Line(product.title, photo is not None) for product, photo in zip(task.history, photos, strict=True)]
        prompt = make_prompt(rubric, lines, video.title, query=task.query, still=video.still)
        text: str = self.processor.apply_chat_template(prompt.messages, add_generation_prompt=True)
        cut = text.rindex(f"{PRODUCT if video.still else VIDEO}<|vision_start|>")  # no title can hold the mark
        return text[:cut], text[cut:]

    def _read(self, shared: str, photos: Sequence[Image.Image | None]) -> _Read:
        from transformers import DynamicCache

        images = [photo for photo in photos if photo is not None]
        inputs = self._on_device(self.processor(text=[shared], images=images or None, return_tensors="pt"))
        places = self.places(inputs)
        cache = DynamicCache(config=self.model.config.get_text_config())
        # The inner model: no head over thousands of tokens that are never asked for.
        self.model.model(
            **_seen(inputs, "input_ids", "pixel_values", "image_grid_thw"),
            position_ids=places, cache=cache, use_cache=True,
        )  # fmt: skip
        return _Read(cache, inputs["input_ids"].shape[1], int(places.max()) + 1)

    def places(self, inputs: dict[str, Any]) -> Any:
        """Where each token stands, `(3, 1, n)`: always told, as what the library remembers is of another user."""
        places, _ = self.model.model.get_rope_index(
            inputs["input_ids"],
            inputs["mm_token_type_ids"],
            image_grid_thw=inputs.get("image_grid_thw"),
            video_grid_thw=inputs.get("video_grid_thw"),
            second_per_grid_ts=inputs.get("second_per_grid_ts"),
        )
        return places

    def _grade(self, beginning: _Read, told: dict[str, Any], explain: bool) -> Verdict:
        import torch

        inputs = self._on_device(told)
        places = self.places(inputs) + beginning.next_place
        branches, n_own = self.branches, inputs["input_ids"].shape[1]
        last = int(places[0, 0, -1]) + 1
        ids = torch.cat([inputs["input_ids"], branches.ids.to(places.device)[None]], dim=1)
        steps = (branches.depth + last).to(places.device).expand(3, 1, -1)
        mask = branches.mask(beginning.length, n_own).to(places.device)
        states = self.model.model(
            input_ids=ids,
            **_seen(inputs, "pixel_values", "image_grid_thw", "pixel_values_videos", "video_grid_thw"),
            position_ids=torch.cat([places, steps], dim=2),
            attention_mask=mask[None, None],
            cache=beginning.cache,
            use_cache=True,
        ).last_hidden_state[0, n_own - 1 :]
        logs = self.model.lm_head(states).float().log_softmax(-1).cpu()
        verdict = from_log_probabilities(branches.sums(logs))
        if explain:
            beginning.cache.crop(-len(branches.ids))
            label = LABELS[int(np.argmax(verdict.probabilities))]
            said, n_said = self._reason(beginning.cache, label, last)
            beginning.cache.crop(-(n_own + n_said))
            return Verdict(verdict.probabilities, verdict.mass, said)
        beginning.cache.crop(-ids.shape[1])
        return verdict

    def _reason(self, cache: Any, label: str, place: int) -> tuple[str, int]:
        """What the model adds to *label* as its reason, and how many tokens the cache grew by."""
        import torch

        tokenizer, device = self.processor.tokenizer, self.model.device
        ends = {tokenizer.eos_token_id, tokenizer.pad_token_id}
        said: list[int] = []
        following: list[int] = tokenizer.encode(label + REASON)
        n_read = 0
        while len(said) < self.options.reason_tokens:
            places = torch.arange(place + n_read, place + n_read + len(following), device=device).expand(3, 1, -1)
            logits = self.model(
                input_ids=torch.tensor([following], device=device),
                position_ids=places, cache=cache, use_cache=True, logits_to_keep=1,
            ).logits[0, -1]  # fmt: skip
            n_read += len(following)
            token = int(logits.argmax())
            if token in ends:
                break
            said.append(token)
            following = [token]
        return " ".join(tokenizer.decode(said).split()), n_read

    def video_inputs(self, own: str, video: ShownVideo, pictures: Sequence[Image.Image]) -> dict[str, Any]:
        """What the processor makes of the video's own part; the frames' distance in time is told as metadata."""
        if video.still:
            still = self.processor(text=[own], images=[pictures[0]], return_tensors="pt")
            return cast(dict[str, Any], still)
        frames = np.stack([np.asarray(picture.resize(pictures[0].size)) for picture in pictures])
        metadata = {
            "total_num_frames": len(frames),
            "fps": frames_per_second(video.times_s),
            "frames_indices": list(range(len(frames))),
        }
        made = self.processor(
            text=[own], videos=[frames], return_tensors="pt", do_sample_frames=False, video_metadata=[metadata]
        )
        return cast(dict[str, Any], made)

    @cached_property
    def branches(self) -> "Branches":
        """The five labels in this tokenizer's tokens."""
        return make_branches([self.processor.tokenizer.encode(label) for label in LABELS])

    def _on_device(self, inputs: Any) -> dict[str, Any]:
        return {
            name: value.to(self.model.device) if hasattr(value, "to") else value for name, value in dict(inputs).items()
        }


def _seen(inputs: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: inputs[name] for name in names if name in inputs}
