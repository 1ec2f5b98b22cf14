"""The published way, which the benchmark times, finds the gradient that ours finds."""

import torch

from benchmarks.labelcraft_published import EPSILON, published_step, published_topk
from benchmarks.labelcraft_rows import INNER, K, Size, make_setting
from labelcraft.bilevel import bilevel_step
from labelcraft.objectives import Objective
from labelcraft.soft_topk import Sorted
from labelcraft.transport import Transport

SOFT = Sorted(Transport(EPSILON, tolerance=1e-6))


def test_the_published_step_has_our_gradient_of_the_summed_objectives():
    size = Size(batch=64, users=3, rows=30, iterations=1000)
    published, own = make_setting(size), make_setting(size)
    objective = Objective(K, topk=SOFT)

    published_step(published)
    bilevel_step(own.model, own.labeler, own.batch, own.holdout, objective, INNER, lambda: None)

    theirs, ours = (
        torch.cat([weight.grad.flatten() for weight in setting.labeler.parameters()]) for setting in (published, own)
    )
    # Theirs are sums over the three users in float32, ours means.
    assert (theirs / 3 - ours).norm() < 0.02 * ours.norm()


def test_a_thousand_iterations_choose_as_the_converged_transport_does():
    scores = torch.sigmoid(0.1 * torch.randn(60, generator=torch.Generator().manual_seed(0)))

    alpha = published_topk(scores, 1000)

    expected = SOFT(scores.double()[None], torch.ones(1, 60, dtype=torch.bool), K)[0]
    torch.testing.assert_close(alpha.double(), expected, rtol=0, atol=0.02)
