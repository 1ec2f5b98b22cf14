"""One picture of one shopper: what they looked at, and below it what each system would show them."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

PAPER, INK, FAINT = (250, 249, 246), (34, 32, 30), (122, 118, 112)
MARGIN, GAP = 36, 14
HEADING_PX, CAPTION_PX, BADGE_PX = 24, 14, 18
LINE_PX = 18
TITLE_LINES = 2


@dataclass(frozen=True)
class Cell:
    """Pictures side by side, a *title* below them on up to two lines, and a fainter *note*.

    *badge* is a word or number on the picture's upper left corner, on a ground of *tone*.
    """

    pictures: tuple[Image.Image, ...]
    title: str
    note: str = ""
    badge: str = ""
    tone: tuple[int, int, int] = INK


@dataclass(frozen=True)
class Row:
    """A heading above cells that share one height in pixels."""

    heading: str
    cells: Sequence[Cell]
    height: int


def draw_sheet(rows: Sequence[Row]) -> Image.Image:
    """The rows one above the other; the widest one sets the width."""
    drawn = [_draw_row(row) for row in rows]
    width = max(row.width for row in drawn) + 2 * MARGIN
    height = sum(row.height + 2 * GAP for row in drawn) + 2 * MARGIN
    sheet, y = Image.new("RGB", (width, height), PAPER), MARGIN
    for row in drawn:
        sheet.paste(row, (MARGIN, y))
        y += row.height + 2 * GAP
    return sheet


def _draw_row(row: Row) -> Image.Image:
    cells = [_draw_cell(cell, row.height) for cell in row.cells]
    head = HEADING_PX + GAP
    width = sum(cell.width + GAP for cell in cells) - GAP
    drawn = Image.new("RGB", (width, head + max(cell.height for cell in cells)), PAPER)
    ImageDraw.Draw(drawn).text((0, 0), row.heading, INK, _font(HEADING_PX))
    x = 0
    for cell in cells:
        drawn.paste(cell, (x, head))
        x += cell.width + GAP
    return drawn


def _draw_cell(cell: Cell, height: int) -> Image.Image:
    pictures = [_to_height(picture, height) for picture in cell.pictures]
    width = sum(picture.width + 2 for picture in pictures) - 2
    drawn = Image.new("RGB", (width, height + GAP + LINE_PX * (TITLE_LINES + 1)), PAPER)
    x = 0
    for picture in pictures:
        drawn.paste(picture, (x, 0))
        x += picture.width + 2
    pen = ImageDraw.Draw(drawn)
    if cell.badge:
        _draw_badge(pen, cell.badge, cell.tone)
    lines = _wrapped(pen, cell.title, width)
    for number, (line, colour) in enumerate([*((line, INK) for line in lines), (cell.note, FAINT)]):
        pen.text((0, height + GAP // 2 + number * LINE_PX), line, colour, _font(CAPTION_PX))
    return drawn


def _draw_badge(pen: ImageDraw.ImageDraw, text: str, tone: tuple[int, int, int]) -> None:
    font = _font(BADGE_PX)
    width = pen.textlength(text, font) + BADGE_PX
    pen.rounded_rectangle((8, 8, 8 + width, 8 + 2 * BADGE_PX - 4), BADGE_PX - 2, tone)
    pen.text((8 + width / 2, 8 + BADGE_PX - 2), text, PAPER, font, anchor="mm")


def _wrapped(pen: ImageDraw.ImageDraw, text: str, width: int) -> list[str]:
    """*text* on at most `TITLE_LINES` lines of *width* pixels; what does not fit is cut with an ellipsis."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and len(lines) < TITLE_LINES and pen.textlength(longer, _font(CAPTION_PX)) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return [_fitted(pen, line, width) for line in lines]


def _to_height(picture: Image.Image, height: int) -> Image.Image:
    return picture.resize((max(1, round(picture.width * height / picture.height)), height), Image.Resampling.LANCZOS)


def _fitted(pen: ImageDraw.ImageDraw, text: str, width: int) -> str:
    """*text*, cut with an ellipsis where it is wider than *width* pixels."""
    font = _font(CAPTION_PX)
    if pen.textlength(text, font) <= width:
        return text
    while text and pen.textlength(f"{text}…", font) > width:
        text = text[:-1]
    return f"{text.rstrip()}…"


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
