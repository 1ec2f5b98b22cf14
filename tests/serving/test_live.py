"""A version in service: what is kept of it, and for how long."""

import gc
import weakref

import pytest

from retrieval.snapshot import open_snapshot
from serving.live import Live
from serving.overlay import parse_overlay
from tests.serving.site import build_site


@pytest.fixture(scope="module", name="live")
def _live(tmp_path_factory):
    root = build_site(tmp_path_factory.mktemp("live"))
    return Live(open_snapshot(root / "snapshot"), 0).prepare()


def test_overlays_that_were_replaced_are_let_go(live):
    overlays = [parse_overlay(revision, []) for revision in range(5)]
    for overlay in overlays:
        live.allowed(overlay, None)
        live.is_blocked(overlay, "v0")
    held = [weakref.ref(overlay) for overlay in overlays]

    del overlays, overlay
    gc.collect()

    assert [one() is None for one in held] == [True] * 3 + [False] * 2
