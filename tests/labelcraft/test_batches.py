import numpy as np
import pytest
import torch

from labelcraft.batches import eligible_users, inputs_of, iter_batches, iter_by_length, sample_users, user_batch
from labelcraft.dataset import histories_of
from labelcraft.splits import SplitOptions, split_dataset
from tests.labelcraft.small_logs import Seen, make_dataset, random_rows

ROWS = np.arange(100, 1100)


def tenth(values):
    return values / 10


def feed(user, n, watch_s=1.0, liked=False):
    """*n* rows of a user, one a day."""
    return [Seen(user, f"v{day}", day, watch_s + day, liked) for day in range(n)]


def batch_of(*rows, users, k=1, **more):
    log = make_dataset(*rows, **more).log
    return user_batch(log, histories_of(log), np.array(users), tenth, tenth, k=k)


# Inputs


def test_inputs_are_the_user_the_video_and_what_came_before_as_int64():
    log = make_dataset(Seen("u", "a", 0), Seen("u", "b", 1), Seen("v", "a", 2)).log

    inputs = inputs_of(log, histories_of(log), np.array([1, 2]))

    assert inputs.user.tolist() == [1, 2]
    assert inputs.item.tolist() == [2, 1]
    assert inputs.history.tolist() == [[1], [0]]
    assert {inputs.user.dtype, inputs.item.dtype, inputs.history.dtype} == {torch.int64}
    assert len(inputs) == 2


def test_history_is_as_wide_as_the_longest_of_its_rows():
    log = make_dataset(*feed("u", 5)).log
    histories = histories_of(log)

    assert inputs_of(log, histories, np.array([1, 3])).history.tolist() == [[1, 0, 0], [3, 2, 1]]
    assert inputs_of(log, histories, np.array([0])).history.tolist() == [[0]]


def test_history_is_no_longer_than_asked():
    log = make_dataset(*feed("u", 5)).log

    assert inputs_of(log, histories_of(log), np.array([4]), length=2).history.tolist() == [[4, 3]]


def test_a_user_whom_training_never_saw_is_0():
    rows = [Seen("old", "a", 0), Seen("old", "a", 1), Seen("new", "a", 1), Seen("old", "a", 2)]
    split = split_dataset(make_dataset(*rows), SplitOptions((1, 1, 1)))
    users = split.data.log.user_ids[split.data.log.user - 1]

    inputs = inputs_of(split.data.log, split.histories, np.arange(4))

    assert users.tolist() == ["new", "old", "old", "old"]
    assert inputs.user.tolist() == [0, 1, 1, 1]


# Batches of users


def test_each_user_is_a_line_of_the_grid_with_scaled_feedback():
    rows = [*feed("u", 2), *feed("v", 3, watch_s=5.0, liked=True)]

    batch = batch_of(*rows, users=[1, 2])

    assert batch.shape == (2, 3)
    assert batch.mask.tolist() == [[True, True, False], [True, True, True]]
    torch.testing.assert_close(batch.watch, torch.tensor([[0.1, 0.2, 0.0], [0.5, 0.6, 0.7]]))
    torch.testing.assert_close(batch.duration, torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]]))
    assert batch.engaged.tolist() == [[0, 0, 0], [1, 1, 1]]
    assert batch.watch.dtype == batch.duration.dtype == batch.engaged.dtype == torch.float32


def test_flat_rows_find_their_places_in_the_grid():
    batch = batch_of(*feed("u", 2), *feed("v", 3), users=[1, 2])

    assert batch.inputs.user.tolist() == [1, 1, 2, 2, 2]
    assert batch.slot.tolist() == [0, 1, 3, 4, 5]
    flat = torch.arange(5.0)
    assert batch.grid(flat, fill=-1).tolist() == [[0, 1, -1], [2, 3, 4]]


def test_gradients_pass_through_the_grid():
    batch = batch_of(*feed("u", 2), *feed("v", 3), users=[1, 2])
    flat = torch.zeros(5, requires_grad=True)

    (batch.grid(flat) * torch.tensor([[1.0, 2.0, 9.0], [3.0, 4.0, 5.0]])).sum().backward()

    assert flat.grad.tolist() == [1, 2, 3, 4, 5]


def test_users_with_no_more_than_k_rows_are_left_out():
    batch = batch_of(*feed("u", 2), *feed("v", 3), users=[1, 2], k=2)

    assert batch.shape == (1, 3)
    assert batch.inputs.user.tolist() == [2, 2, 2]


def test_users_stand_in_the_order_they_are_given():
    batch = batch_of(*feed("u", 2), *feed("v", 3), users=[2, 1])

    assert batch.inputs.user.tolist() == [2, 2, 2, 1, 1]
    assert batch.mask.tolist() == [[True, True, True], [True, True, False]]


def test_no_user_with_enough_rows_gives_an_empty_grid():
    batch = batch_of(*feed("u", 2), users=[1], k=10)

    assert batch.shape == (0, 0)
    assert len(batch.inputs) == 0
    assert batch.grid(torch.zeros(0)).shape == (0, 0)


def test_a_user_of_the_log_without_rows_in_the_part_is_left_out():
    log = make_dataset(*feed("u", 3), *feed("v", 3)).log
    part = np.arange(3)  # u's rows

    batch = user_batch(log[part], histories_of(log)[part], np.array([1, 2]), tenth, tenth, k=1)

    assert batch.shape == (1, 3)


def test_rows_of_a_part_bring_histories_from_before_it():
    log = make_dataset(*feed("u", 4)).log
    part = np.array([2, 3])

    batch = user_batch(log[part], histories_of(log)[part], np.array([1]), tenth, tenth, k=1)

    assert batch.inputs.history.tolist() == [[2, 1, 0], [3, 2, 1]]


def test_a_large_batch_holds_each_row_of_its_users_once():
    log = make_dataset(*random_rows(3)).log

    batch = user_batch(log, histories_of(log), eligible_users(log), tenth, tenth)

    expected = {user: np.flatnonzero(log.user == user) for user in eligible_users(log)}
    assert batch.mask.sum(1).tolist() == [len(rows) for rows in expected.values()]
    watch = np.concatenate([log.feedback.watch_s[rows] for rows in expected.values()])
    torch.testing.assert_close(batch.watch[batch.mask], torch.tensor(watch / 10, dtype=torch.float32))
    assert batch.inputs.item.tolist() == np.concatenate([log.item[rows] for rows in expected.values()]).tolist()


def test_batches_move_to_a_device_whole():
    batch = batch_of(*feed("u", 2), *feed("v", 3), users=[1, 2]).to("meta")

    tensors = [batch.inputs.history, batch.slot, batch.mask, batch.watch, batch.duration, batch.engaged]
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert batch.shape == (2, 3)


def test_eligible_users_have_more_than_k_rows():
    log = make_dataset(*feed("u", 10), *feed("v", 11), *feed("w", 12)).log

    assert eligible_users(log).tolist() == [2, 3]
    assert eligible_users(log[np.zeros(0, np.int64)]).tolist() == []


# Orders


def test_an_epoch_has_every_row_once_in_batches_of_nearly_equal_size():
    batches = list(iter_batches(ROWS, 256, seed=1, epoch=0))

    assert [len(batch) for batch in batches] == [250, 250, 250, 250]  # not 256, 256, 256 and 232
    assert np.sort(np.concatenate(batches)).tolist() == ROWS.tolist()
    assert np.concatenate(batches).tolist() != ROWS.tolist()


def test_no_batch_is_left_with_a_single_row():
    assert [len(batch) for batch in iter_batches(ROWS[:9], 4, seed=0, epoch=0)] == [3, 3, 3]


def test_the_order_depends_on_seed_and_epoch_alone():
    first, again = list(iter_batches(ROWS, 256, 1, 0)), list(iter_batches(ROWS, 256, 1, 0))
    other_seed, other_epoch = next(iter_batches(ROWS, 256, 2, 0)), next(iter_batches(ROWS, 256, 1, 1))

    np.testing.assert_array_equal(first, again)
    assert first[0].tolist() != other_seed.tolist()
    assert first[0].tolist() != other_epoch.tolist()


def test_resumed_training_sees_the_batches_it_would_have_seen():
    undisturbed = list(iter_batches(ROWS, 256, 1, 5))
    resumed = list(iter_batches(ROWS, 256, 1, 5, first=2))

    np.testing.assert_array_equal(resumed, undisturbed[2:])


def test_no_rows_are_no_batches():
    log = make_dataset(*feed("u", 2)).log

    assert list(iter_batches(ROWS[:0], 4, 0, 0)) == []
    assert list(iter_by_length(histories_of(log), ROWS[:0], 4)) == []


def test_rows_to_be_scored_stand_with_histories_of_like_length():
    log = make_dataset(*feed("u", 4), *feed("v", 4)).log  # lengths 0 to 3, twice

    batches = list(iter_by_length(histories_of(log), np.arange(8), 4))

    assert [batch.tolist() for batch in batches] == [[0, 4, 1, 5], [2, 6, 3, 7]]


def test_sampled_users_are_distinct_and_the_same_for_the_same_step():
    users = np.arange(10, 60)

    drawn = sample_users(users, 20, seed=3, step=7)

    assert len(np.unique(drawn)) == 20
    assert np.isin(drawn, users).all()
    assert drawn.tolist() == sample_users(users, 20, seed=3, step=7).tolist()
    assert drawn.tolist() != sample_users(users, 20, seed=3, step=8).tolist()


@pytest.mark.parametrize("n", [50, 99])
def test_a_sample_of_all_users_is_all_of_them(n):
    assert sample_users(np.arange(50), n, 0, 0).tolist() == list(range(50))
