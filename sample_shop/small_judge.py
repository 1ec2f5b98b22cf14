"""The small judge: a model of the Qwen2.5-VL architecture, its tokenizer and processor, and the folder it is saved to.

The only module of the sample shop that imports transformers.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from torch import Tensor
from torch.nn import functional
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX, Qwen2Tokenizer
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import apply_rotary_pos_emb_vision
from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor
from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor
from transformers.vision_utils import get_vision_position_ids

PATCH, MERGE, FRAMES_A_PATCH = 14, 2, 2
CELL = PATCH * MERGE  # pixels of one token's side
MAX_PIXELS = 13_000  # a photo of 3:4 becomes 84 x 112 pixels, 12 tokens; a frame of 9:16 84 x 140, 15 tokens
PHOTO_CELLS, FRAME_CELLS = (4, 3), (5, 3)  # rows, columns of tokens
_MEAN, _STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
# The official order: the first is padding, and messages end with the third.
SPECIAL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>",
    "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
    "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip


# The conversation's form that Qwen2.5-VL reads: marks around each message and each picture.
CHAT_TEMPLATE = """\
{%- for message in messages -%}
<|im_start|>{{ message['role'] }}
{% if message['content'] is string -%}
{{ message['content'] }}
{%- else -%}
{%- for part in message['content'] -%}
{%- if part['type'] == 'image' -%}<|vision_start|><|image_pad|><|vision_end|>
{%- elif part['type'] == 'video' -%}<|vision_start|><|video_pad|><|vision_end|>
{%- else -%}{{ part['text'] }}
{%- endif -%}
{%- endfor -%}
{%- endif %}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif -%}
"""


@dataclass(frozen=True)
class JudgeShape:
    """Sizes of the two towers; *shared_heads* heads of keys and values serve all others."""

    width: int = 192
    layers: int = 4
    heads: int = 4
    shared_heads: int = 4
    inner: int = 640
    eye_width: int = 160
    eye_layers: int = 6
    eye_heads: int = 5
    eye_inner: int = 448


def make_tokenizer(texts: Iterable[str], size: int = 900) -> Qwen2Tokenizer:
    """A byte-level tokenizer of Qwen's kind, its merges learned from *texts*."""
    bpe = Tokenizer(models.BPE())
    bpe.normalizer = normalizers.NFC()
    words = pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), "isolated", invert=False)
    letters = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bpe.pre_tokenizer = pre_tokenizers.Sequence([words, letters])
    bpe.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bpe.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, special_tokens=[], show_progress=False)
    )
    learned = json.loads(bpe.to_str())["model"]
    merges: Any = [tuple(merge) for merge in learned["merges"]]
    # Named before the special tokens are added, "<|im_end|>" would take the first one's number.
    none: Any = None  # a byte is never unknown
    tokenizer = Qwen2Tokenizer(
        vocab=learned["vocab"], merges=merges, unk_token=none, eos_token=SPECIAL[0], pad_token=SPECIAL[0]
    )
    tokenizer.add_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIAL], special_tokens=True)
    tokenizer.eos_token = SPECIAL[2]
    return tokenizer


def make_processor(tokenizer: Qwen2Tokenizer, max_pixels: int = MAX_PIXELS) -> Qwen2_5_VLProcessor:
    """The real processor, for small pictures."""
    size = {"shortest_edge": CELL * CELL * 4, "longest_edge": max_pixels}
    return Qwen2_5_VLProcessor(  # type: ignore[no-untyped-call]
        image_processor=Qwen2VLImageProcessor(size=dict(size)),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(size=dict(size), cap_pixels_per_frame=False),
        chat_template=CHAT_TEMPLATE,
    )


def make_config(shape: JudgeShape, tokenizer: Qwen2Tokenizer) -> Qwen2_5_VLConfig:
    """The architecture with the numbers of this tokenizer's tokens."""
    numbers = {token: tokenizer.encode(token)[0] for token in SPECIAL}
    half = shape.width // shape.heads // 2
    return Qwen2_5_VLConfig(
        text_config=_text_config(shape, len(tokenizer), half, numbers),
        vision_config={
            "depth": shape.eye_layers,
            "hidden_size": shape.eye_width,
            "intermediate_size": shape.eye_inner,
            "num_heads": shape.eye_heads,
            "in_channels": 3,
            "patch_size": PATCH,
            "spatial_merge_size": MERGE,
            "temporal_patch_size": FRAMES_A_PATCH,
            "tokens_per_second": 2,
            "window_size": 8 * CELL,  # wider than the pictures: every layer sees the whole picture
            "out_hidden_size": shape.width,
            "fullatt_block_indexes": list(range(shape.eye_layers)),
        },
        image_token_id=numbers["<|image_pad|>"],
        video_token_id=numbers["<|video_pad|>"],
        vision_start_token_id=numbers["<|vision_start|>"],
        vision_end_token_id=numbers["<|vision_end|>"],
        tie_word_embeddings=True,
    )


def _text_config(shape: JudgeShape, n_tokens: int, half: int, numbers: dict[str, int]) -> dict[str, Any]:
    time = half // 4
    rest = half - time
    return {
        "vocab_size": n_tokens,
        "hidden_size": shape.width,
        "intermediate_size": shape.inner,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.shared_heads,
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-6,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10_000.0,
            "mrope_section": [time, rest // 2, rest - rest // 2],
        },
        "bos_token_id": numbers["<|endoftext|>"],
        "eos_token_id": numbers["<|im_end|>"],
        "pad_token_id": numbers["<|endoftext|>"],
        "tie_word_embeddings": True,
    }


def patches(pictures: Tensor) -> Tensor:
    """Pictures in 0 to 1, `(n, 2, 3, height, width)`, as the vision tower reads them: `(n, n_patches, 1176)`.

    The two pictures are one step in time: a still photo twice, or two neighbouring frames.
    """
    mean, std = (pictures.new_tensor(values)[:, None, None] for values in (_MEAN, _STD))
    n, time, channels, height, width = pictures.shape
    cut = ((pictures - mean) / std).reshape(
        n, time, channels, height // CELL, MERGE, PATCH, width // CELL, MERGE, PATCH
    )
    return cut.permute(0, 3, 6, 4, 7, 2, 1, 5, 8).reshape(n, -1, channels * time * PATCH * PATCH)


def see(eyes: Any, pixels: Tensor, cells: tuple[int, int]) -> Tensor:
    """The vision tower's tokens `(n, rows·columns, width)` of `patches`, all pictures of one size in one go.

    The library's own forward attends picture by picture, which is slow for hundreds; the numbers are the same.
    """
    n, length, _ = pixels.shape
    grid = torch.tensor([[1, cells[0] * MERGE, cells[1] * MERGE]], device=pixels.device)
    # A convolution as wide as its step is a product of matrices; its backward pass takes half of the time as such.
    hidden = functional.linear(pixels, eyes.patch_embed.proj.weight.flatten(1))
    turns = _turns(eyes, hidden[0], grid)
    for block in eyes.blocks:
        hidden = hidden + _attend(block.attn, block.norm1(hidden), turns)
        hidden = hidden + block.mlp(block.norm2(hidden))
    tokens: Tensor = eyes.merger(hidden.reshape(n * length, -1))
    return tokens.reshape(n, length // MERGE**2, -1)


def _turns(eyes: Any, hidden: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
    cos, sin = eyes.rotary_pos_emb(hidden, get_vision_position_ids(grid, MERGE))
    return cos, sin


def _attend(attention: Any, hidden: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
    n, length, _ = hidden.shape
    parts = attention.qkv(hidden).reshape(n, length, 3, attention.num_heads, -1).unbind(2)
    query, key = apply_rotary_pos_emb_vision(parts[0], parts[1], *turns)
    heads = [part.transpose(1, 2) for part in (query, key, parts[2])]
    mixed = attend(heads[0], heads[1], heads[2], attention.scaling)
    out: Tensor = attention.proj(mixed.transpose(1, 2).reshape(n, length, -1))
    return out


def attend(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """Attention in plain products: for pictures of 60 patches three times as fast to train as the fused one."""
    scores = query @ key.transpose(-1, -2) * scale
    return scores.softmax(-1).to(value.dtype) @ value


def new_judge(shape: JudgeShape, tokenizer: Qwen2Tokenizer) -> Qwen2_5_VLForConditionalGeneration:
    """An untrained model; its language model begins wide enough for its width.

    With the library's spread of 0.02, made for widths in the thousands, nothing was learned in the first 250 steps.
    """
    model = Qwen2_5_VLForConditionalGeneration(make_config(shape, tokenizer))
    with torch.no_grad():
        for name, weight in model.model.language_model.named_parameters():
            if "embed_tokens" in name:
                weight.normal_(0, 0.1)
            elif weight.ndim == 2:
                last = name.endswith(("o_proj.weight", "down_proj.weight"))
                weight.normal_(0, weight.shape[1] ** -0.5 * (0.4 if last else 1.0))
    return model


def save_judge(model: Qwen2_5_VLForConditionalGeneration, processor: Qwen2_5_VLProcessor, folder: Path) -> None:
    """Write a folder that `from_pretrained` opens, weights in bfloat16."""
    processor.save_pretrained(folder)
    model.bfloat16().save_pretrained(folder)
    for file in folder.glob("*.safetensors"):
        file.chmod(0o644)  # the library leaves them to their owner alone
