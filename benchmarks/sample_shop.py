"""Sample shops of seeds that nobody developed on: does the multimodal system beat recency on what shoppers truly like?

The other side of every figure is the recency policy on the same shop, shoppers and clips. A shop is filmed, embedded
and compared exactly as `lookreel demo` does it.
"""

import tempfile
from pathlib import Path
from statistics import mean

from benchmarks.report import Figure, run
from lookreel.demo import DemoOptions, make_demo
from sample_shop.compare import COHERENCE, OVERLAP, TRUE_INTEREST, Comparison

SEEDS = (2024, 2025, 2026, 2027, 2028)
FULL = DemoOptions()
QUICK = DemoOptions(videos=48, products=100, users=60)


def measure(quick: bool) -> list[Figure]:
    """One shop at a small size, or five at the demo's."""
    options = QUICK if quick else FULL
    shops = {seed: _compare(seed, options) for seed in (SEEDS[:1] if quick else SEEDS)}
    size = f"{options.videos} clips, {options.products} products, {options.users} shoppers"
    figures = [figure for seed, shop in shops.items() for figure in _figures(seed, shop, size)]
    gains = [_gain_in_deviations(shop) for shop in shops.values()]
    return [*figures, Figure("coherence gain, mean over seeds", mean(gains), "recency sd", "higher", size)]


def _compare(seed: int, options: DemoOptions) -> Comparison:
    with tempfile.TemporaryDirectory() as folder:
        sized = DemoOptions(options.videos, options.products, options.users, seed)
        return make_demo(Path(folder) / "demo", sized).comparison


def _figures(seed: int, shop: Comparison, size: str) -> list[Figure]:
    figures = []
    for measure_name in (TRUE_INTEREST, OVERLAP, COHERENCE):
        ours, theirs = shop.of("multimodal", measure_name), shop.of("recency", measure_name)
        low, high = ours.difference.low, ours.difference.high
        detail = (
            f"seed {seed}, {size}; {ours.value.mean:.3f} against {theirs.value.mean:.3f} of recency, "
            f"95 % [{low:+.3f}, {high:+.3f}], n {ours.difference.n}"
        )
        figures.append(Figure(f"{measure_name}, gain over recency", ours.difference.mean, "", "higher", detail))
    gain = _gain_in_deviations(shop)
    return [*figures, Figure("coherence gain over recency", gain, "recency sd", "higher", f"seed {seed}, {size}")]


def _gain_in_deviations(shop: Comparison) -> float:
    """The gain in visual coherence in standard deviations of recency's across users, as the paper's Table 1 allows."""
    return shop.of("multimodal", COHERENCE).difference.mean / shop.of("recency", COHERENCE).value.sd


if __name__ == "__main__":
    run(measure, "Multimodal against recency on sample shops of unseen seeds.")
