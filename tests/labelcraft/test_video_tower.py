"""The tower's layers by hand."""

import torch

from labelcraft.dataset import NEW, NONE
from labelcraft.models.video_tower import MeanEmbedding, VideoTower, drop_levels


def test_a_bag_is_the_mean_of_its_levels_and_filling_has_no_part_in_it():
    embed = MeanEmbedding(4, 2)
    with torch.no_grad():
        embed.weight[:] = torch.tensor([[9.0, 9.0], [0.0, 0.0], [1.0, 2.0], [3.0, 6.0]])

    means = embed(torch.tensor([[2, 3, NONE], [3, NONE, NONE]]))

    torch.testing.assert_close(means, torch.tensor([[2.0, 4.0], [3.0, 6.0]]))


def test_filling_is_never_trained():
    embed = MeanEmbedding(3, 2)

    embed(torch.tensor([[2, NONE]])).sum().backward()

    assert embed.weight.grad[NONE].tolist() == [0, 0]
    assert embed.weight.grad[2].tolist() == [1, 1]


def test_a_tower_gives_one_vector_a_video_and_training_reaches_every_feature():
    tower = VideoTower([3, 5], width=4, hidden=(6,), dim=7)

    vectors = tower([torch.tensor([[2], [1]]), torch.tensor([[2, 3], [4, 0]])])
    vectors.sum().backward()

    assert vectors.shape == (2, 7)
    assert all(bool(feature.weight.grad.any()) for feature in tower.features)


def test_dropped_features_are_new_and_others_stay():
    bags = [torch.tensor([[5, 6]] * 1000), torch.tensor([[7, NONE]] * 1000)]

    first, second = drop_levels(bags, (0.5, 0.0), torch.Generator().manual_seed(0))

    hidden = (first == torch.tensor([NEW, NONE])).all(1)
    assert 400 < int(hidden.sum()) < 600
    assert first[~hidden].tolist() == [[5, 6]] * int((~hidden).sum())
    assert second.tolist() == bags[1].tolist()
