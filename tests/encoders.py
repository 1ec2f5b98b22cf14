"""An encoder so simple that expected vectors can be written by hand: colours of pictures and of words."""

import numpy as np

from retrieval.encoder import Precision, Vectors

AXES = {"red": (1.0, 0.0, 0.0), "green": (0.0, 1.0, 0.0), "blue": (0.0, 0.0, 1.0), "white": (1.0, 1.0, 1.0)}


class MeanColourEncoder:
    """Pictures and texts as unit vectors of red, green and blue."""

    name = "mean-colour"
    encodes_text = True
    precision = Precision.FP32
    preparation = None
    on_cpu = True
    dim = 3

    def __init__(self, fingerprint: str = "mean-colour-1") -> None:
        self.fingerprint = fingerprint

    def use_threads(self, count):
        pass

    def encode_images(self, images) -> Vectors:
        return _unit([np.asarray(image, np.float64).mean(axis=(0, 1)) for image in images])

    def encode_texts(self, texts) -> Vectors:
        return _unit([sum(np.array(AXES[word]) for word in AXES if word in text) for text in texts])


def _unit(rows) -> Vectors:
    array = np.array(rows, np.float64).reshape(len(rows), 3)
    return (array / np.linalg.norm(array, axis=1, keepdims=True)).astype(np.float32)
