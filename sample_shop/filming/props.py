"""Sprites put on a stage: fitted, laid down with a shadow, hung on hangers, or standing on the floor."""

from PIL import Image, ImageDraw, ImageFilter

from sample_shop.filming.places import FRAME_HEIGHT, FRAME_WIDTH, STAGE_HEIGHT, STAGE_SIZE, STAGE_WIDTH

DROP = 40  # from the rail to the garment: the hanger's height
_GAP = -36  # sleeves on a rail overlap
_SHADOW = (24, 20, 22)
_STEEL = (92, 92, 96, 255)
_BEECH = (168, 128, 92, 255)

Box = tuple[int, int, int, int]


def trimmed(sprite: Image.Image) -> Image.Image:
    """The sprite without its transparent margins, of even size."""
    left, top, right, bottom = sprite.getchannel("A").getbbox() or (0, 0, *sprite.size)
    return sprite.crop((left, top, right + (right - left) % 2, bottom + (bottom - top) % 2))


def fitted(sprite: Image.Image, width: float, height: float) -> Image.Image:
    """The sprite scaled to fit a box of *width* x *height*."""
    scale = min(width / sprite.width, height / sprite.height)
    return sprite.resize((even(sprite.width * scale), even(sprite.height * scale)), Image.Resampling.BILINEAR)


def even(value: float) -> int:
    """The even number nearest to *value*, at least 2: colour planes have half the pixels."""
    return max(2, 2 * round(value / 2))


def lay(stage: Image.Image, sprite: Image.Image, centre: tuple[float, float], degrees: float) -> Box:
    """Put the sprite down on the stage, turned, and say where it lies."""
    turned = sprite.rotate(degrees, Image.Resampling.BILINEAR, expand=True)
    left, top = round(centre[0] - turned.width / 2), round(centre[1] - turned.height / 2)
    cast_shadow(stage, turned, (left + 5, top + 8), 0.42)
    stage.paste(turned, (left, top), turned)
    return left, top, left + turned.width, top + turned.height


def cast_shadow(stage: Image.Image, sprite: Image.Image, corner: tuple[int, int], depth: float) -> None:
    """Darken the stage in the sprite's shape, softly; made at a quarter of the size, where blurring is cheap."""
    pad = 6
    mask = Image.new("L", (sprite.width // 4 + 2 * pad, sprite.height // 4 + 2 * pad))
    mask.paste(sprite.getchannel("A").reduce(4).point([round(v * depth) for v in range(256)]), (pad, pad))
    mask = mask.filter(ImageFilter.GaussianBlur(1.6)).resize((mask.width * 4, mask.height * 4))
    stage.paste(_SHADOW, (corner[0] - pad * 4, corner[1] - pad * 4), mask)


def with_floor_shadow(backdrop: Image.Image, y: int, width: int) -> Image.Image:
    """The backdrop with the shadow of someone *width* pixels wide who stands in its middle at *y*."""
    reach = max(width * 0.36, 50)
    mask = Image.new("L", (STAGE_WIDTH // 4, STAGE_HEIGHT // 4))
    box = ((STAGE_WIDTH / 2 - reach) / 4, (y - 18) / 4, (STAGE_WIDTH / 2 + reach) / 4, (y + 8) / 4)
    ImageDraw.Draw(mask).ellipse(box, fill=120)
    mask = mask.filter(ImageFilter.GaussianBlur(1.8)).resize(STAGE_SIZE)
    return Image.composite(Image.new("RGB", STAGE_SIZE, _SHADOW), backdrop, mask)


def hanging_group(sprites: list[Image.Image]) -> Image.Image:
    """The sprites side by side on hangers, as one sprite whose top is the rail."""
    # By the root of their shapes: a jacket, sleeves spread, is wider than a long dress, but no larger.
    shares = [(sprite.width / sprite.height) ** 0.5 for sprite in sprites]
    room = FRAME_WIDTH * (0.88 if len(sprites) == 1 else 1.12)
    sprites = [
        fitted(s, room * share / sum(shares), 0.74 * FRAME_HEIGHT) for s, share in zip(sprites, shares, strict=True)
    ]
    width = sum(sprite.width for sprite in sprites) + _GAP * (len(sprites) - 1)
    group = Image.new("RGBA", (even(width), even(DROP + max(sprite.height for sprite in sprites))))
    x = 0
    for sprite in sprites:
        _draw_hanger(group, x + sprite.width // 2, sprite.width)
        group.alpha_composite(sprite, (x, DROP))
        x += sprite.width + _GAP
    return group


def _draw_hanger(group: Image.Image, x: int, width: int) -> None:
    draw = ImageDraw.Draw(group)
    reach = min(width * 0.3, 60)
    draw.arc((x - 9, 0, x + 9, 20), 180, 90, fill=_STEEL, width=3)
    draw.line((x, 19, x, DROP - 8), fill=_STEEL, width=3)
    draw.line((x - reach, DROP + 12, x, DROP - 8, x + reach, DROP + 12), fill=_BEECH, width=6, joint="curve")


def draw_rail(stage: Image.Image, y: int) -> None:
    """A steel rail across the stage at *y*."""
    draw = ImageDraw.Draw(stage)
    draw.rectangle((0, y - 2, STAGE_WIDTH, y + 4), fill=(88, 86, 88))
    draw.rectangle((0, y - 2, STAGE_WIDTH, y - 1), fill=(168, 166, 166))
