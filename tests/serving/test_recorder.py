import os
import stat
import time

import pytest

from retrieval.asking import Touch
from serving.compare import Recorded
from serving.recorder import KEPT, OLD_S, Recorder


def request(user="ann", at_us=1, *touches):
    return Recorded(user, at_us, touches or (Touch("p1", "view", 5),))


def files(folder):
    return sorted(folder.glob("requests-*.jsonl"))


def test_what_was_saved_is_there_after_a_restart(tmp_path):
    recorder = Recorder(tmp_path / "recordings")
    recorder.add(request("ann", 1, Touch("p1", "view", 5), Touch("p2", "click", 6)))
    recorder.add(request("ünï", 2))
    recorder.save()

    assert Recorder(tmp_path / "recordings").all() == recorder.all()


def test_the_newest_are_kept(tmp_path):
    recorder = Recorder(tmp_path)
    for number in range(KEPT + 10):
        recorder.add(request(at_us=number))
    recorder.save()

    assert [one.at_us for one in recorder.all()] == list(range(10, KEPT + 10))
    assert [one.at_us for one in Recorder(tmp_path).all()] == list(range(10, KEPT + 10))


def test_requests_without_a_history_are_not_kept(tmp_path):
    recorder = Recorder(tmp_path)
    recorder.add(Recorded("ann", 1, ()))
    recorder.save()

    assert recorder.all() == []
    assert files(tmp_path) == []


def test_a_dropped_request_leaves_the_file_too(tmp_path):
    recorder = Recorder(tmp_path)
    recorder.add(request("ann"))
    recorder.add(request("bob"))
    recorder.save()

    recorder.drop(lambda one: one.user_id == "ann")
    recorder.save()

    (file,) = files(tmp_path)
    assert "ann" not in file.read_text()
    assert [one.user_id for one in Recorder(tmp_path).all()] == ["bob"]


def test_the_last_one_dropped_leaves_an_empty_file(tmp_path):
    recorder = Recorder(tmp_path)
    recorder.add(request("ann"))
    recorder.save()

    recorder.drop(lambda one: True)
    recorder.save()

    assert [file.read_text() for file in files(tmp_path)] == [""]


def test_nothing_is_written_while_nothing_is_new(tmp_path):
    recorder = Recorder(tmp_path)
    recorder.add(request())
    recorder.save()
    (file,) = files(tmp_path)
    file.unlink()

    recorder.save()

    assert files(tmp_path) == []


def test_requests_of_several_workers_come_in_the_order_of_time(tmp_path):
    for name, times in (("a", (1, 4)), ("b", (2, 3))):
        lines = [f'{{"user_id": "{name}", "at_us": {at}, "history": [["p1", "view", 0]]}}\n' for at in times]
        (tmp_path / f"requests-{name}-1.jsonl").write_text("".join(lines))

    assert [(one.user_id, one.at_us) for one in Recorder(tmp_path).all()] == [("a", 1), ("b", 2), ("b", 3), ("a", 4)]


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"user_id": "a"}', "null", '{"user_id": "a", "at_us": 1, "history": [7]}']
)
def test_a_damaged_file_is_left_out(tmp_path, content):
    recorder = Recorder(tmp_path)
    recorder.add(request("ann"))
    recorder.save()
    (tmp_path / "requests-other-1.jsonl").write_text(content)

    assert [one.user_id for one in Recorder(tmp_path).all()] == ["ann"]


def test_a_file_of_long_ago_is_removed(tmp_path):
    recorder = Recorder(tmp_path)
    recorder.add(request())
    recorder.save()
    (file,) = files(tmp_path)
    os.utime(file, (time.time() - OLD_S - 60,) * 2)

    assert Recorder(tmp_path).all() == []
    assert files(tmp_path) == []


def test_only_the_owner_may_read_it(tmp_path):
    recorder = Recorder(tmp_path)
    recorder.add(request())
    recorder.save()

    (file,) = files(tmp_path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_disk_that_refuses_fails_no_request(tmp_path, caplog):
    (tmp_path / "recordings").write_text("a file is in the way")
    recorder = Recorder(tmp_path / "recordings")
    recorder.add(request("ann"))

    recorder.save()

    assert recorder.all() == [request("ann")]
    assert "ann" not in caplog.text
