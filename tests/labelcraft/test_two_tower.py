"""The two towers: a dot product of two vectors that can be computed apart."""

import torch

from labelcraft.batches import Inputs
from tests.labelcraft.small_models import inputs, model


def test_a_logit_is_the_dot_product_of_the_two_vectors():
    towers, given = model("two_tower"), inputs(12)
    table = towers.items()

    users = towers.features.user_vectors(table, towers.users(given.user), given.history)
    videos = towers.features.video_vectors(table)

    expected = (users * videos[given.item]).sum(1) + towers.head.bias
    torch.testing.assert_close(towers(given), expected)


def test_a_user_is_the_mean_of_what_it_watched():
    towers = model("two_tower")
    table, user = towers.items(), towers.users(torch.tensor([2]))

    vector = towers.features.user_vectors(table, user, torch.tensor([[4, 9, 0, 0]]))

    mean = (table[4] + table[9]) / 2
    torch.testing.assert_close(vector, towers.features.user_tower(torch.cat([user[0], mean])[None]))


def test_the_towers_are_not_linear():
    towers = model("two_tower")
    table = towers.items()[1:3]

    middle = towers.features.video_vectors(table.mean(0, keepdim=True))

    assert (middle - towers.features.video_vectors(table).mean(0)).abs().max() > 1e-3


def test_a_users_vector_is_one_for_all_videos():
    towers = model("two_tower")
    given = inputs(1)
    two = Inputs(given.user.repeat(2), torch.tensor([1, 2]), given.history.repeat(2, 1))

    made = towers.features(towers.items(), towers.users(two.user), two)

    torch.testing.assert_close(made[0, :32], made[1, :32])
    assert (made[0, 32:] - made[1, 32:]).abs().max() > 1e-3
