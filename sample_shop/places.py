"""Where a built shop, its stores and its snapshot lie in one folder."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Places:
    """The parts of a folder *root* that a shop was built and embedded in."""

    root: Path

    @property
    def shop(self) -> Path:
        return self.root / "shop"

    @property
    def videos(self) -> Path:
        return self.root / "stores" / "videos"

    @property
    def products(self) -> Path:
        return self.root / "stores" / "products"

    @property
    def content(self) -> Path:
        return self.root / "stores" / "content"

    @property
    def snapshot(self) -> Path:
        return self.root / "snapshot"
