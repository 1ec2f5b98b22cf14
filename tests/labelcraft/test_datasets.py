from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from labelcraft.datasets import load_dataset
from retrieval.errors import ConfigError, TableError
from retrieval.tables import Columns as C
from tests.data import data_folder
from tests.shop import at, products_frame, videos_frame

SUBSET = "feed_27k_liked_or_hated.tsv"
KUAIRAND = (
    "user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_follow,is_comment,is_forward,is_hate,long_view,"
    "play_time_ms,duration_ms,profile_stay_time,comment_stay_time,is_profile_enter,is_rand,tab\n"
)
FEATURES = (
    "video_id,author_id,video_type,upload_dt,upload_type,visible_status,video_duration,server_width,server_height,"
    "music_id,music_type,tag\n"
)
KUAIREC = "user_id,video_id,play_duration,video_duration,time,date,timestamp,watch_ratio\n"
WECHAT = "userid,feedid,date_,device,read_comment,comment,like,play,stay,click_avatar,forward,follow,favorite\n"
FEEDS = (
    "feedid,authorid,videoplayseconds,description,ocr,asr,bgm_song_id,bgm_singer_id,manual_keyword_list,"
    "machine_keyword_list,manual_tag_list,machine_tag_list,description_char,ocr_char,asr_char\n"
)


def kuairand_row(
    user=0, video=1, date=20220410, time_ms=1000, like=0, follow=0, forward=0, hate=0, play=1000, duration=2000, rand=0
):
    cells = [user, video, date, 1700, time_ms, 1, like, follow, 0, forward, hate, 1, play, duration, 9, 9, 1, rand, 1]
    return ",".join(map(str, cells)) + "\n"


def write_kuairand(folder: Path, *rows: str, name: str = "log_standard_4_08_to_4_21_1k.csv") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(KUAIRAND + "".join(rows))
    return folder


def write_features(folder: Path, *rows: str, edition: str = "1k") -> None:
    (folder / f"video_features_basic_{edition}.csv").write_text(FEATURES + "".join(rows))


def write_kuairec(folder: Path, *rows: str, name: str = "big_matrix.csv") -> Path:
    (folder / name).write_text(KUAIREC + "".join(rows))
    (folder / "item_categories.csv").write_text('video_id,feat\n5,"[27, 9]"\n6,[8]\n7,[27]\n')
    return folder


def write_wechat(folder: Path, *rows: str) -> Path:
    (folder / "user_action.csv").write_text(WECHAT + "".join(rows))
    (folder / "feed_info.csv").write_text(FEEDS + "70,a1,12,,,,s1,,,,3;2,,,,\n71,a2,0,,,,,,,,3,,,,\n")
    return folder


def impression(feed, user, video, position, hour, watch, reached=True, liked=False):
    return (feed, user, video, position, at(hour), reached, watch, liked)


def write_shop(folder: Path, *rows: tuple) -> Path:
    names = [C.FEED_ID, C.USER_ID, C.VIDEO_ID, C.POSITION, C.SHOWN_AT, C.REACHED, C.WATCH_TIME_S, C.LIKED]
    pl.DataFrame(list(rows), schema=names, orient="row").write_parquet(folder / "impressions.parquet")
    videos_frame().write_parquet(folder / "videos.parquet")
    products = products_frame().with_columns(pl.Series(C.CATEGORY, ["dress", "shirt", "dress", "hat"]))
    products.write_parquet(folder / "products.parquet")
    return folder


def field(items, name):
    """The codes of a field, padding's row left out."""
    return items.codes[1:, [f.name for f in items.fields].index(name)].tolist()


def test_unknown_data_set_lists_the_known_ones(tmp_path):
    with pytest.raises(ConfigError, match="no data set tiktok") as error:
        load_dataset("tiktok", tmp_path)

    assert "impressions, kuairand, kuairand-random, kuairec, wechat" in error.value.cure


def test_absent_path_is_named(tmp_path):
    with pytest.raises(TableError, match="nowhere to read as kuairand"):
        load_dataset("kuairand", tmp_path / "nowhere")


# The real rows


def test_real_subset_keeps_every_row_replay_and_repeated_pair():
    log = load_dataset("kuairand", data_folder("kuairand") / SUBSET).log

    pairs = log.user * 100_000 + log.item
    assert len(log) == 41_828
    assert len(log.user_ids) == 664
    assert (log.feedback.duration_s == 0).sum() == 7_738
    assert (log.feedback.watch_s > log.feedback.duration_s).sum() == 20_513
    assert (np.unique(pairs, return_counts=True)[1] > 1).sum() == 428


def test_real_subset_is_in_the_order_of_user_and_time_though_its_file_is_not():
    log = load_dataset("kuairand", data_folder("kuairand") / SUBSET).log

    same_user = np.diff(log.user) == 0
    assert (np.diff(log.user) >= 0).all()
    assert (np.diff(log.time_us)[same_user] >= 0).all()


def test_real_subset_counts_a_like_as_feedback_and_a_hate_as_none():
    feedback = load_dataset("kuairand", data_folder("kuairand") / SUBSET).log.feedback

    assert feedback.kinds == ("liked", "commented", "followed", "shared")
    assert feedback.explicit[:, 0].sum() == 33_745  # of label 1; the other 8,083 are hates


def test_real_subset_agrees_with_its_file_row_by_row():
    path = data_folder("kuairand") / SUBSET
    data = load_dataset("kuairand", path)

    # Rows of one user and millisecond stand as in the file, which a stable sort leaves alone.
    file = pl.read_csv(path, separator="\t", schema_overrides={"user_id": pl.String, "video_id": pl.String})
    file = file.sort("user_id", "time_ms", maintain_order=True)
    assert data.log.user_ids[data.log.user - 1].tolist() == file["user_id"].to_list()
    assert data.items.ids[data.log.item - 1].tolist() == file["video_id"].to_list()
    np.testing.assert_array_equal(data.log.time_us, file["time_ms"].to_numpy() * 1000)
    np.testing.assert_array_equal(data.log.feedback.watch_s, file["play_time_ms"].to_numpy() / 1000)
    np.testing.assert_array_equal(data.log.feedback.duration_s, file["duration_ms"].to_numpy() / 1000)


def test_real_random_rows_are_read_as_random_only():
    path = data_folder("kuairand") / "random_exposure_1k_sample.csv"

    assert len(load_dataset("kuairand-random", path).log) == 402
    with pytest.raises(TableError, match="no row whose video was chosen by the feed") as error:
        load_dataset("kuairand", path)
    assert "kuairand-random" in error.value.cure


def test_features_of_another_edition_are_not_joined():
    items = load_dataset("kuairand-random", data_folder("kuairand") / "random_exposure_1k_sample.csv").items

    assert [f.name for f in items.fields] == ["video", "duration"]  # the table beside it is Pure's


def test_real_table_of_videos_gives_creators_tags_and_music(tmp_path):
    table = data_folder("kuairand") / "video_features_basic_pure.csv"
    (tmp_path / table.name).write_bytes(table.read_bytes())
    rows = [kuairand_row(video=video) for video in (0, 1, 5)]
    write_kuairand(tmp_path, *rows, name="log_standard_4_08_to_4_21_pure.csv")

    items = load_dataset("kuairand", tmp_path).items

    assert [f.name for f in items.fields] == ["video", "duration", "creator", "tag", "music"]
    assert len(set(field(items, "creator"))) == 3
    assert field(items, "tag") == [4, 2, 3]  # "39", "2", and the first of "20,43", in the order of texts: 2, 20, 39


# KuaiRand's original files


def test_kuairand_milliseconds_become_seconds_and_microseconds(tmp_path):
    log = load_dataset("kuairand", write_kuairand(tmp_path, kuairand_row(time_ms=1649581149287, play=1500))).log

    assert log.time_us.tolist() == [1649581149287_000]
    assert log.feedback.watch_s.tolist() == [1.5]
    assert log.feedback.duration_s.tolist() == [2.0]


def test_kuairand_is_ordered_by_time_ms_not_by_date(tmp_path):
    rows = [kuairand_row(video=1, date=20220409, time_ms=2000), kuairand_row(video=2, date=20220410, time_ms=1000)]

    data = load_dataset("kuairand", write_kuairand(tmp_path, *rows))

    assert data.items.ids[data.log.item - 1].tolist() == ["2", "1"]


def test_kuairand_hate_click_and_long_view_are_not_feedback(tmp_path):
    rows = [
        kuairand_row(time_ms=1, hate=1),
        kuairand_row(time_ms=2, like=1, forward=1),
        kuairand_row(time_ms=3, follow=1),
    ]

    feedback = load_dataset("kuairand", write_kuairand(tmp_path, *rows)).log.feedback

    none, liked_and_shared, followed = [False] * 4, [True, False, False, True], [False, False, True, False]
    assert feedback.explicit.tolist() == [none, liked_and_shared, followed]


def test_kuairand_reads_all_logs_of_a_folder_and_leaves_random_rows_out(tmp_path):
    write_kuairand(tmp_path / "data", kuairand_row(user=1), kuairand_row(user=2, rand=1))
    write_kuairand(tmp_path / "data", kuairand_row(user=3), name="log_standard_4_22_to_5_08_1k.csv")
    write_kuairand(tmp_path / "data", kuairand_row(user=4, rand=1), name="log_random_4_22_to_5_08_1k.csv")

    assert load_dataset("kuairand", tmp_path).log.user_ids.tolist() == ["1", "3"]
    assert load_dataset("kuairand-random", tmp_path).log.user_ids.tolist() == ["2", "4"]


def test_kuairand_joins_the_videos_of_its_edition(tmp_path):
    write_kuairand(tmp_path, *(kuairand_row(video=video) for video in (1, 2, 3, 4)))
    write_features(tmp_path, '1,8,N,d,t,0,1,1,1,5,9,"39,2"\n', "2,7,N,d,t,0,1,1,1,5,9,\n", "4,7,N,d,t,0,1,1,1,6,9,39\n")

    items = load_dataset("kuairand", tmp_path).items

    assert field(items, "creator") == [3, 2, 1, 2]  # 7 and 8 from code 2 on; video 3 is not in the table: 1
    assert field(items, "tag") == [2, 1, 1, 2]  # the first tag, 39, stands for both
    assert field(items, "music") == [2, 2, 1, 3]


def test_kuairand_statistics_of_the_whole_month_are_never_read(tmp_path):
    write_kuairand(tmp_path, kuairand_row())
    (tmp_path / "video_features_statistic_1k.csv").write_text("not a table")

    assert len(load_dataset("kuairand", tmp_path).log) == 1


def test_duration_zero_stays_not_known(tmp_path):
    data = load_dataset("kuairand", write_kuairand(tmp_path, kuairand_row(duration=0)))

    assert data.log.feedback.duration_s.tolist() == [0.0]
    assert field(data.items, "duration") == [1]


def test_missing_column_is_named_with_its_file(tmp_path):
    write_kuairand(tmp_path, kuairand_row())
    file = next(tmp_path.glob("log_*.csv"))
    file.write_text(file.read_text().replace("play_time_ms", "playtime"))

    with pytest.raises(TableError, match=r"log_standard_4_08_to_4_21_1k\.csv has no column play_time_ms"):
        load_dataset("kuairand", tmp_path)


def test_a_word_in_a_column_of_numbers_is_named_with_its_column(tmp_path):
    write_kuairand(tmp_path, kuairand_row(), kuairand_row(play="soon"))

    with pytest.raises(TableError, match=r"cannot be read.*soon.*play_time_ms"):
        load_dataset("kuairand", tmp_path)


def test_folder_without_logs_says_what_to_give(tmp_path):
    with pytest.raises(TableError, match=r"holds no log_\*\.csv") as error:
        load_dataset("kuairand", tmp_path)

    assert "KuaiRand-1K" in error.value.cure


def test_empty_log_is_refused(tmp_path):
    with pytest.raises(TableError, match="has no rows"):
        load_dataset("kuairand", write_kuairand(tmp_path))


def test_few_faulty_rows_are_set_aside_and_many_are_refused(tmp_path):
    good = [kuairand_row(time_ms=time_ms) for time_ms in range(19)]
    few = write_kuairand(tmp_path / "few", *good, kuairand_row(play=-1))
    many = write_kuairand(tmp_path / "many", *good, kuairand_row(play=-1), kuairand_row(time_ms=""))

    assert len(load_dataset("kuairand", few).log) == 19
    with pytest.raises(TableError, match=r"2 of 21 rows \(10%\) cannot be used, 1 because the time is null"):
        load_dataset("kuairand", many)


# KuaiRec


def test_kuairec_reads_the_big_matrix_in_seconds(tmp_path):
    rows = ["14,5,13838,10867,t,20200705,1593878903.438,1.27\n", "14,6,500,0,t,20200705,1593878904.5,0\n"]
    rows.append("14,7,1000,1000,t,20200705,1593878905,1\n")

    data = load_dataset("kuairec", write_kuairec(tmp_path, *rows))

    assert data.log.feedback.watch_s.tolist() == [13.838, 0.5, 1.0]
    assert data.log.feedback.duration_s.tolist() == [10.867, 0.0, 1.0]
    assert data.log.time_us.tolist() == [1593878903_438_000, 1593878904_500_000, 1593878905_000_000]
    assert field(data.items, "tag") == [2, 3, 2]  # "27" before "8": levels stand in the order of texts


def test_kuairec_has_no_explicit_feedback(tmp_path):
    feedback = load_dataset("kuairec", write_kuairec(tmp_path, "14,5,1,1,t,d,1.5,1\n")).log.feedback

    assert feedback.kinds == ()
    assert feedback.explicit.shape == (1, 0)
    assert feedback.engaged.tolist() == [False]


def test_kuairec_rows_without_a_time_are_set_aside(tmp_path):
    rows = [f"14,5,1,1,t,d,{second},1\n" for second in range(24)]
    write_kuairec(tmp_path, *rows, "14,5,1,1,,,,1\n", name="small_matrix.csv")

    assert len(load_dataset("kuairec", tmp_path / "small_matrix.csv").log) == 24


def test_kuairec_folder_without_a_matrix_says_what_to_give(tmp_path):
    with pytest.raises(TableError, match=r"holds no big_matrix\.csv"):
        load_dataset("kuairec", tmp_path)


def test_kuairec_without_categories_names_the_file(tmp_path):
    write_kuairec(tmp_path, "14,5,1,1,t,d,1.5,1\n")
    (tmp_path / "item_categories.csv").unlink()

    with pytest.raises(TableError, match=r"no file .*item_categories\.csv"):
        load_dataset("kuairec", tmp_path)


# WeChat


def test_wechat_time_is_its_day_and_rows_of_a_day_keep_their_order(tmp_path):
    rows = ["u,71,2,1,0,0,0,1000,0,0,0,0,0\n", "u,70,1,1,0,0,0,2000,0,0,0,0,0\n", "u,70,2,1,0,0,0,3000,0,0,0,0,0\n"]

    data = load_dataset("wechat", write_wechat(tmp_path, *rows))

    day_us = timedelta(days=1) // timedelta(microseconds=1)
    assert data.log.time_us.tolist() == [day_us, 2 * day_us, 2 * day_us]
    assert data.log.feedback.watch_s.tolist() == [2.0, 1.0, 3.0]


def test_wechat_duration_is_in_seconds_and_fields_are_of_the_video(tmp_path):
    rows = ["u,70,1,1,0,0,0,1000,0,0,0,0,0\n", "u,71,1,1,0,0,0,1000,0,0,0,0,0\n", "u,72,1,1,0,0,0,1000,0,0,0,0,0\n"]

    data = load_dataset("wechat", write_wechat(tmp_path, *rows))

    assert data.log.feedback.duration_s.tolist() == [12.0, 0.0, 0.0]  # 72 is not among the feeds
    assert field(data.items, "creator") == [2, 3, 1]
    assert field(data.items, "tag") == [2, 2, 1]
    assert field(data.items, "music") == [2, 1, 1]


def test_wechat_looks_at_comments_and_avatars_are_not_feedback(tmp_path):
    looks, all_five = "u,70,1,1,1,0,0,1000,0,1,0,0,0\n", "u,70,2,1,0,1,1,1000,0,0,1,1,1\n"

    feedback = load_dataset("wechat", write_wechat(tmp_path, looks, all_five)).log.feedback

    assert feedback.kinds == ("liked", "commented", "followed", "shared", "favorited")
    assert feedback.explicit.tolist() == [[False] * 5, [True] * 5]


# A shop's own impressions


def test_impressions_that_were_not_reached_are_dropped(tmp_path):
    rows = [impression("f1", "ann", "v-red", 1, 5, 8.0), impression("f1", "ann", "v-blue", 2, 5, None, reached=False)]

    data = load_dataset("impressions", write_shop(tmp_path, *rows))

    assert data.items.ids[data.log.item - 1].tolist() == ["v-red"]
    assert data.log.feedback.watch_s.tolist() == [8.0]


def test_impressions_stand_by_user_time_and_position(tmp_path):
    rows = [
        impression("f3", "bob", "v-red", 1, 4, 1.0),
        impression("f2", "ann", "v-red", 2, 6, 2.0),
        impression("f2", "ann", "v-blue", 1, 6, 3.0),
        impression("f1", "ann", "v-green", 1, 5, 4.0),
    ]

    log = load_dataset("impressions", write_shop(tmp_path, *rows)).log

    assert log.user_ids[log.user - 1].tolist() == ["ann", "ann", "ann", "bob"]
    assert log.feedback.watch_s.tolist() == [4.0, 3.0, 2.0, 1.0]
    assert log.time_us[0] == int(at(5).timestamp()) * 1_000_000


def test_impressions_keep_videos_that_nobody_was_shown(tmp_path):
    items = load_dataset("impressions", write_shop(tmp_path, impression("f1", "ann", "v-red", 1, 5, 8.0))).items

    assert items.ids.tolist() == ["v-blue", "v-green", "v-red", "v-white"]
    assert items.duration_s.tolist() == [0.0, 10.0, 10.0, 10.0, 10.0]
    assert field(items, "category") == [2, 4, 2, 3]  # dress, shirt, dress, hat


def test_impressions_name_the_kinds_of_feedback_they_have(tmp_path):
    rows = [
        impression("f1", "ann", "v-red", 1, 5, 8.0, liked=True),
        impression("f1", "ann", "v-blue", 2, 5, 1.0, liked=None),
    ]

    feedback = load_dataset("impressions", write_shop(tmp_path, *rows)).log.feedback

    assert feedback.kinds == ("liked",)
    assert feedback.explicit.tolist() == [[True], [False]]


def test_impressions_without_products_have_no_category(tmp_path):
    folder = write_shop(tmp_path, impression("f1", "ann", "v-red", 1, 5, 8.0))
    (folder / "products.parquet").unlink()

    assert [f.name for f in load_dataset("impressions", folder).items.fields] == ["video", "duration"]


def test_impressions_of_unknown_videos_are_refused_when_they_are_many(tmp_path):
    folder = write_shop(tmp_path, impression("f1", "ann", "v-old", 1, 5, 8.0))

    with pytest.raises(TableError, match="1 because video_id names no video of the catalogue"):
        load_dataset("impressions", folder)


def test_impressions_reached_without_a_watch_time_are_faulty(tmp_path):
    folder = write_shop(tmp_path, impression("f1", "ann", "v-red", 1, 5, None))

    with pytest.raises(TableError, match="reached without a watch time"):
        load_dataset("impressions", folder)


def test_impressions_nobody_reached_are_refused(tmp_path):
    folder = write_shop(tmp_path, impression("f1", "ann", "v-red", 1, 5, None, reached=False))

    with pytest.raises(TableError, match="no row that was watched"):
        load_dataset("impressions", folder)


def test_a_slot_given_twice_is_refused(tmp_path):
    rows = [impression("f1", "ann", "v-red", 1, 5, 8.0), impression("f1", "ann", "v-blue", 1, 5, 1.0)]

    with pytest.raises(TableError, match="1 rows repeat the feed_id and position of another"):
        load_dataset("impressions", write_shop(tmp_path, *rows))


def test_watch_times_as_texts_are_refused_with_their_cure(tmp_path):
    folder = write_shop(tmp_path, impression("f1", "ann", "v-red", 1, 5, "8 seconds"))

    with pytest.raises(TableError, match="column watch_time_s is String, not a number") as error:
        load_dataset("impressions", folder)
    assert ".cast(pl.Float64)" in error.value.cure


def test_impressions_without_a_column_name_it(tmp_path):
    folder = write_shop(tmp_path, impression("f1", "ann", "v-red", 1, 5, 8.0))
    file = folder / "impressions.parquet"
    pl.read_parquet(file).drop(C.REACHED).write_parquet(file)

    with pytest.raises(TableError, match=r"impressions\.parquet has no column reached"):
        load_dataset("impressions", folder)


def test_shop_without_a_feed_log_says_so(tmp_path):
    folder = write_shop(tmp_path, impression("f1", "ann", "v-red", 1, 5, 8.0))
    (folder / "impressions.parquet").unlink()

    with pytest.raises(TableError, match=r"no table .*impressions\.parquet, so there is no watch time"):
        load_dataset("impressions", folder)
