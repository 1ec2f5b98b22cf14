"""One garment laid flat on a transparent canvas."""

from PIL import Image

from sample_shop.drawing.painting import fitted, paint
from sample_shop.drawing.patterns import sketch_garment
from sample_shop.vocabulary import Garment


def draw_garment(garment: Garment, size: int) -> Image.Image:
    """The garment alone: RGBA, *size* pixels square, transparent around it, deterministic in the garment."""
    sketch = sketch_garment(garment, worn=False)
    return paint(sketch, garment, fitted(sketch, size))
