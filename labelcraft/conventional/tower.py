"""A tower with the catalogue it reads: rows to vectors, each distinct video and age once."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from labelcraft.conventional.examples import Singles
from labelcraft.conventional.features import AGE, Videos, Vocabulary, age_codes, encode
from labelcraft.conventional.options import TowerOptions
from labelcraft.conventional.rows import Rows
from labelcraft.dataset import Ints
from labelcraft.models.modes import evaluating
from labelcraft.models.video_tower import VideoTower

N_AGES = 64  # above the number of age buckets: a video and its age are one number
VIDEOS_AT_ONCE = 65_536


@dataclass(frozen=True)
class Distinct:
    """The distinct *video* and *age* `(m,)` of some rows, and which of them each row has, *of_row* `(n,)`."""

    video: Ints
    age: Ints
    of_row: Tensor


@dataclass(frozen=True)
class Tower:
    """*codes* `(n_videos, longest)` of each feature, *published_us* `(n_videos,)`, *users* `(n_users + 1, dim)`."""

    model: VideoTower
    codes: Mapping[str, Tensor]
    published_us: Ints
    users: Tensor

    @property
    def features(self) -> tuple[str, ...]:
        """The features' names in the model's order."""
        return (*self.codes, AGE)

    def bags(self, video: Ints, age: Ints) -> list[Tensor]:
        """The bags of each feature of videos at an age, `(n, longest)` each."""
        rows = torch.from_numpy(video)
        return [*(codes[rows] for codes in self.codes.values()), torch.from_numpy(age)[:, None]]

    def distinct(self, rows: Rows) -> Distinct:
        """What the tower has to run on for *rows*: a video is shown many times, and at few ages."""
        keys = rows.video * N_AGES + age_codes(self.published_us[rows.video], rows.time_us)
        pairs, of_row = np.unique(keys, return_inverse=True)
        return Distinct(pairs // N_AGES, pairs % N_AGES, torch.from_numpy(of_row))

    def vectors(self, at_us: int) -> Singles:
        """The vectors `(n_videos, dim)` of all videos at a time."""
        video = np.arange(len(self.published_us))
        ages = age_codes(self.published_us, at_us)
        with evaluating(self.model), torch.no_grad():
            blocks = [video[first : first + VIDEOS_AT_ONCE] for first in range(0, len(video), VIDEOS_AT_ONCE)]
            parts = [self.model(self.bags(block, ages[block])) for block in blocks]
        return np.asarray(torch.cat(parts).numpy(), np.float32)

    def logits(self, vectors: Singles, rows: Rows) -> Singles:
        """The dot product of each row's user and video, `(n,)`, of fixed *vectors* `(n_videos, dim)`."""
        users = self.users.numpy()
        return np.asarray(np.einsum("nd,nd->n", users[rows.user], vectors[rows.video]), np.float32)


def make_tower(videos: Videos, vocabulary: Vocabulary, users: Singles, options: TowerOptions) -> Tower:
    """A new tower over *videos*, its weights drawn from the seed."""
    codes = {name: torch.from_numpy(code) for name, code in encode(videos, vocabulary).items()}
    sizes = [vocabulary.n_levels[name] for name in (*codes, AGE)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        model = VideoTower(sizes, options.width, options.hidden, users.shape[1])
    return Tower(model, codes, videos.published_us, torch.tensor(users))
