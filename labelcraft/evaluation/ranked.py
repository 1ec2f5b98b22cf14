"""From the sums of the pass over the feeds to figures with intervals, feed-wise and video-wise."""

from collections.abc import Sequence

import numpy as np

from labelcraft.evaluation.contestants import Contestant
from labelcraft.evaluation.measuring import Measured, Reached
from labelcraft.evaluation.results import Difference, Pointwise, Ranked
from retrieval.metrics.cluster import Bootstrap, more_users, verdict
from retrieval.metrics.listwise import Compared, Form, Measure, compared
from retrieval.metrics.pointwise import Auc, accuracy, auc, calibration, decisions, reliability, threshold_of_share
from retrieval.metrics.stats import Estimate

HALF = 0.5


def difference_of(estimate: Estimate) -> Difference:
    """A paired difference with what it says; higher is better."""
    return Difference(estimate, verdict(estimate), more_users(estimate, estimate.n))


def rank_figures(
    measured: Measured, baseline: str, bootstrap: Bootstrap
) -> tuple[dict[str, tuple[Ranked, ...]], dict[str, tuple[Ranked, ...]], Compared]:
    """Every measure in every form by system, the same by true labels (unweighted), and where the first is from."""
    found = compared(measured.sums, bootstrap)
    ranked = {name: _all_of(found, name, baseline, tuple(Form)) for name in found.systems}
    if not measured.truth:
        return ranked, dict.fromkeys(found.systems, ()), found
    true = compared(measured.truth, bootstrap)
    return ranked, {name: _all_of(true, name, baseline, (Form.NAIVE,)) for name in true.systems}, found


def _all_of(found: Compared, name: str, baseline: str, forms: Sequence[Form]) -> tuple[Ranked, ...]:
    return tuple(
        Ranked(
            measure,
            form,
            found.of(name, measure, form),
            None if name == baseline else difference_of(found.difference(name, baseline, measure, form)),
        )
        for measure in Measure
        for form in forms
    )


def point_figures(
    measured: Measured, contestants: Sequence[Contestant], baseline: str, bootstrap: Bootstrap
) -> dict[str, Pointwise]:
    """Video-wise figures by system."""
    reached, n_users = measured.reached, measured.n_users
    areas = {one.name: auc(reached.scores[one.name], reached.label, reached.user, n_users) for one in contestants}
    return {one.name: _pointwise(one, reached, areas, baseline, n_users, bootstrap) for one in contestants}


def _pointwise(
    one: Contestant, reached: Reached, areas: dict[str, Auc], baseline: str, n_users: int, bootstrap: Bootstrap
) -> Pointwise:
    scores, label, user = reached.scores[one.name], reached.label, reached.user
    probabilities = one.scorer.probabilities
    share = float(label.mean()) if len(label) else 0.0
    threshold = HALF if probabilities or not len(scores) else threshold_of_share(scores, share)
    said = decisions(scores >= threshold, label, user, n_users)
    against = None if one.name == baseline else difference_of(areas[one.name].minus(areas[baseline]))
    curve = None
    if probabilities:
        scored = np.isfinite(scores)
        p = scores[scored].astype(np.float64)
        curve = calibration(reliability(p, label[scored], user[scored], n_users), bootstrap)
    return Pointwise(areas[one.name].estimate, against, accuracy(said, bootstrap), threshold, not probabilities, curve)
