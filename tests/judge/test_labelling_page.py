"""The labelling page in a real browser: keys, progress, undo, and going on after it was closed."""

from contextlib import contextmanager

import polars as pl
import pytest

from tests.judge.test_labelling import running_page
from tests.judge.webdriver import running_browser

N_ITEMS = 4  # two shoppers, two videos each
FOCUSED = "return document.activeElement.innerText"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with running_browser(tmp_path_factory.mktemp("profile")) as running:
        yield running


@contextmanager
def sitting(browser, folder):
    """One sitting of a grader: the page is opened, and its process ended at the end."""
    with running_page(folder) as (address, process):
        browser.open(address)
        yield
        process.terminate()
        process.wait(20)


def wait_until(browser, n_answered):
    """Wait until so many are answered, and the page takes the next key."""
    browser.wait_for("count", f"{n_answered} of {N_ITEMS}")
    browser.wait_until_true("return document.body.ariaBusy === 'false'")


def grades(folder):
    return pl.read_parquet(folder / "human.parquet")["grade"].to_list()


def test_a_grader_grades_by_keys_undoes_closes_and_goes_on(browser, tmp_path):
    with sitting(browser, tmp_path):
        wait_until(browser, 0)
        browser.press("5")
        wait_until(browser, 1)
        browser.press("s")
        wait_until(browser, 2)
        browser.press("u")
        wait_until(browser, 1)
        browser.press("p")
        wait_until(browser, 2)
    assert grades(tmp_path) == [5, 3]

    with sitting(browser, tmp_path):
        wait_until(browser, 2)
        browser.press("n")
        wait_until(browser, 3)
        browser.press("s")
        browser.wait_for("done-words", "3 graded, 1 skipped by anna. All is saved; you may close this page.")
    assert grades(tmp_path) == [5, 3, 1, None]

    table = pl.read_parquet(tmp_path / "human.parquet")
    assert table["grader"].unique().to_list() == ["anna"]
    assert (table["seconds"] > 0).all()
    assert browser.console() == []


def test_arrows_go_back_to_an_answer_and_choose_a_grade(browser, tmp_path):
    with sitting(browser, tmp_path):
        wait_until(browser, 0)
        first = browser.text("video-title")
        browser.press("2")
        wait_until(browser, 1)
        browser.press("left")
        browser.wait_for("video-title", first)
        wait_until(browser, 1)
        pressed = browser.run("return document.querySelector('.categories [aria-pressed=true]').dataset.score")
        browser.press("down", "down")
        chosen = browser.run(FOCUSED)
        browser.press("enter")
        browser.wait_for("said", "4 · Good match")

    assert pressed == "2"
    assert chosen.startswith("4")
    assert grades(tmp_path) == [4]


def test_arrows_never_show_what_is_not_due_yet(browser, tmp_path):
    with sitting(browser, tmp_path):
        wait_until(browser, 0)
        first = browser.text("video-title")
        browser.press("right")
        wait_until(browser, 0)

        assert browser.text("video-title") == first


def test_frames_play_by_themselves_until_they_are_paused(browser, tmp_path):
    shown = "return document.getElementById('frame').alt"
    with sitting(browser, tmp_path):
        wait_until(browser, 0)
        browser.press(" ")
        browser.run("document.querySelectorAll('#strip button')[5].click()")

        assert browser.run(shown) == "Frame 6 of 8, at 5.5 seconds"
        assert browser.text("play").startswith("Play")


def test_all_is_seen_at_once_and_every_picture_has_words(browser, tmp_path):
    with sitting(browser, tmp_path):
        wait_until(browser, 0)
        without = browser.run("return [...document.images].filter(image => !image.alt).length")
        n_pictures = browser.run("return document.querySelectorAll('#products img').length")
        overflow = browser.run("return document.documentElement.scrollWidth - innerWidth")

    assert (without, n_pictures, overflow) == (0, 12, 0)


def test_a_page_whose_server_is_gone_says_so_and_keeps_the_item(browser, tmp_path):
    with running_page(tmp_path) as (address, process):
        browser.open(address)
        wait_until(browser, 0)
        process.kill()
        process.wait(20)
        browser.press("5")
        browser.wait_for(
            "alert", "Nothing was saved. The server does not answer: start lookreel judge label again.Reload"
        )

        assert browser.text("count") == f"0 of {N_ITEMS}"
        browser.console()  # the failed request
