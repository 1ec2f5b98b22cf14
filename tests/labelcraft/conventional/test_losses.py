"""The losses by hand."""

import math

import torch

from labelcraft.conventional.losses import contrastive, in_batch, pointwise
from labelcraft.labels.protocol import Head

ONES = torch.ones(2)


def test_the_pointwise_loss_follows_the_head():
    logits, targets = torch.zeros(2), torch.tensor([1.0, 0.25])

    # σ(0) = ½: both cross-entropies are ln 2; the squares ¼ and ¹⁄₁₆.
    torch.testing.assert_close(pointwise(Head.BCE, logits, targets, ONES), torch.tensor(math.log(2)))
    torch.testing.assert_close(pointwise(Head.MSE, logits, targets, ONES), torch.tensor(5 / 32))


def test_a_positive_seen_by_half_of_its_users_teaches_what_all_of_them_would():
    # Of four equal users two look (a = ½), and both watch: targets 2, 2, 0, 0 have the gradient of labels 1, 1, 1, 1.
    logits = torch.full((4,), 0.3, requires_grad=True)

    (gradient,) = torch.autograd.grad(
        pointwise(Head.BCE, logits, torch.tensor([2.0, 2.0, 0.0, 0.0]), torch.ones(4)), logits
    )

    torch.testing.assert_close(gradient.sum(), torch.sigmoid(torch.tensor(0.3)) - 1)


def test_rows_count_by_their_weight():
    losses = pointwise(Head.MSE, torch.zeros(2), torch.tensor([0.5, 1.0]), torch.tensor([3.0, 1.0]))

    torch.testing.assert_close(losses, torch.tensor((3 * 0 + 0.25) / 4))


def test_a_positive_is_set_against_its_own_negatives():
    loss = contrastive(torch.tensor([math.log(2.0)]), torch.tensor([[0.0, 0.0]]), torch.ones(1))

    torch.testing.assert_close(loss, torch.tensor(math.log(2)))  # 2 / (2 + 1 + 1)


def test_in_batch_negatives_are_corrected_by_how_often_they_are_drawn():
    scores, none = torch.zeros(2, 2), torch.zeros(2, 2, dtype=torch.bool)
    log_q = torch.tensor([0.75, 0.25]).log()

    # exp(s − log q) = 4/3 and 4: shares ¼ and ¾.
    loss = in_batch(scores, log_q, none, torch.tensor([1.0, 0.0]))

    torch.testing.assert_close(loss, torch.tensor(math.log(4)))


def test_a_hidden_row_is_no_negative():
    hidden = torch.tensor([[False, True], [True, False]])

    assert in_batch(torch.randn(2, 2), torch.zeros(2), hidden, ONES).item() == 0
