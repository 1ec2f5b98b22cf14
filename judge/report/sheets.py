"""The strongest disagreements as contact sheets: the history above, the feeds below, the grades on the cards."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
from PIL import Image, UnidentifiedImageError

from judge.columns import J
from judge.report.pictures import Pictures
from judge.rubric import LABELS, SCORES
from judge.scores import paired_means, strongest
from retrieval.contact_sheet import Cell, Row, draw_sheet
from retrieval.tables import Columns as C

HISTORY_PX, FEED_PX = 150, 240  # twelve photos of 3:4 are as wide as ten frames of 9:16
SHAPE_OF_NOTHING = (3, 4)
NOTHING = (228, 224, 217)
TONES = {1: (150, 62, 52), 2: (181, 106, 66), 3: (140, 122, 70), 4: (78, 116, 92), 5: (34, 86, 72)}
UNSCORED_TONE = (122, 118, 112)
JPEG_QUALITY = 84


@dataclass(frozen=True)
class Sheet:
    """One user's sheet: *picture* a JPEG, and what two systems were worth to them, the mean of their top k."""

    user_id: str
    systems: tuple[str, str]
    means: tuple[float, float]
    picture: bytes

    @property
    def data_uri(self) -> str:
        return f"data:image/jpeg;base64,{base64.b64encode(self.picture).decode()}"

    @property
    def preferred(self) -> str:
        return self.systems[0] if self.means[0] > self.means[1] else self.systems[1]


def draw_sheets(
    judged: pl.DataFrame, systems: tuple[str, str], k: int, pictures: Pictures, n_each: int
) -> tuple[Sheet, ...]:
    """The sheets of the users for whom two systems differ most: *n_each* in favour of either."""
    pairs, _ = paired_means(judged, systems, k)
    means = {user: (first, second) for user, first, second in pairs.select(C.USER_ID, "first", "second").iter_rows()}
    above, below = strongest(judged, systems, k, n_each)
    return tuple(_sheet(judged, user, systems, means[user], k, pictures) for user in (*above, *below))


def _sheet(
    judged: pl.DataFrame, user: str, systems: tuple[str, str], means: tuple[float, float], k: int, pictures: Pictures
) -> Sheet:
    looked_at = [
        Cell((_opened(pictures.photo(product)),), pictures.title(product)) for product in pictures.history(user)
    ]
    rows = [Row(f"{user} looked at, the most recent first", looked_at, HISTORY_PX)] if looked_at else []
    for system, mean in zip(systems, means, strict=True):
        feed = judged.filter((pl.col(C.SYSTEM) == system) & (pl.col(C.USER_ID) == user) & (pl.col(C.RANK) <= k)).sort(
            C.RANK
        )
        cards = [_card(row, pictures) for row in feed.select(C.VIDEO_ID, C.RANK, J.EXPECTED, J.GRADE).iter_rows()]
        rows.append(Row(f"{system}: mean score {mean:.2f} of 5", cards, FEED_PX))
    file = io.BytesIO()
    draw_sheet(rows).save(file, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return Sheet(user, systems, means, file.getvalue())


def _card(row: Sequence[object], pictures: Pictures) -> Cell:
    video, rank, expected, grade = row
    title = f"{rank}. {pictures.title(str(video))}"
    picture = _opened(pictures.frame(str(video)))
    if not isinstance(expected, float) or not isinstance(grade, int):
        return Cell((picture,), title, "unscored", "-", UNSCORED_TONE)
    words = LABELS[SCORES.index(grade)].replace("_", " ")
    return Cell((picture,), title, words, f"{expected:.1f}", TONES[max(1, min(5, round(expected)))])


def _opened(picture: bytes | None) -> Image.Image:
    """The picture, or an empty card where there is none to read."""
    try:
        if picture is not None:
            return Image.open(io.BytesIO(picture)).convert("RGB")
    except (UnidentifiedImageError, OSError):
        pass
    return Image.new("RGB", (SHAPE_OF_NOTHING[0] * 60, SHAPE_OF_NOTHING[1] * 60), NOTHING)
