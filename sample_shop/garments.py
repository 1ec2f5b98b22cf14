"""Draws garments: alone on a transparent canvas, worn by a person, and as the shop's product photos."""

from sample_shop.drawing.figure import draw_figure
from sample_shop.drawing.flat_lay import draw_garment
from sample_shop.photo import product_photo

__all__ = ["draw_figure", "draw_garment", "product_photo"]
