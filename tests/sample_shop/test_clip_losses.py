import math

import pytest
import torch

from sample_shop.clip_losses import AttributeProxy, FinishHead, multi_positive_softmax, pull_towards, soft_cross_entropy


def test_equal_scores_cost_the_log_of_the_number_of_choices():
    truth = torch.eye(4, dtype=torch.int64)

    loss = multi_positive_softmax(torch.zeros(4, 4), truth)

    assert loss.item() == pytest.approx(math.log(4))


def test_an_unknown_pair_is_no_choice():
    # Each picture has its own caption and one of unknown truth, so two of three captions remain.
    truth = torch.tensor([[1, -1, 0], [0, 1, -1], [-1, 0, 1]])

    loss = multi_positive_softmax(torch.zeros(3, 3), truth)

    assert loss.item() == pytest.approx(math.log(2))


def test_several_true_captions_share_the_mass():
    # One picture, two true captions of two: the best is half each, log 2; each caption alone picks its picture, 0.
    loss = multi_positive_softmax(torch.zeros(1, 2), torch.tensor([[1, 1]]))

    assert loss.item() == pytest.approx(math.log(2) / 2)


def test_soft_cross_entropy_of_certain_scores_is_zero():
    loss = soft_cross_entropy(torch.tensor([[60.0, 0.0]]), torch.tensor([[1.0, 0.0]]))

    assert loss.item() == pytest.approx(0.0, abs=1e-6)


def test_pull_ends_where_rows_are_close_enough():
    rows = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    targets = torch.tensor([[1.0, 0.0], [1.0, 0.0]])

    # Cosines 1 and 0: nothing and 0.9.
    assert pull_towards(rows, targets, 0.9).item() == pytest.approx(0.9 / 2)


def test_padding_does_not_move_a_proxy():
    torch.manual_seed(0)
    proxy = AttributeProxy(n_kinds=11, dim=8)
    alone = torch.tensor([[[2, 3, 1]]])
    padded = torch.tensor([[[2, 3, 1], [-3, -3, -3]]])

    torch.testing.assert_close(proxy(alone), proxy(padded))


def test_pictures_of_several_garments_teach_no_finish():
    torch.manual_seed(0)
    head = FinishHead(dim=4)
    rows = torch.nn.functional.normalize(torch.randn(2, 4), dim=1)

    both, first = head(rows, torch.tensor([1, -1])), head(rows[:1], torch.tensor([1]))

    torch.testing.assert_close(both, first)
