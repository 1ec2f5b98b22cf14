"""What a judge reads: the shared beginning first, the video last."""

from judge.prompt import Line, Prompt, make_prompt
from judge.rubric import load_rubric

RUBRIC = load_rubric()
HISTORY = [Line("Red dress"), Line("Blue hat", has_photo=False)]


def words(prompt: Prompt) -> str:
    parts = prompt.messages[1]["content"]
    return "".join(part.get("text", f"<{part['type']}>") for part in parts)


def test_history_and_answer_format_come_before_the_video():
    told = words(make_prompt(RUBRIC, HISTORY, "New in"))

    order = [
        told.index(text)
        for text in (
            "Answer with one of",
            "1. <image> Red dress",
            "2. (no photo) Blue hat",
            "Video: <video> New in\nCategory:",
        )
    ]
    assert order == sorted(order)
    assert told.endswith("Category:")


def test_the_beginning_is_the_same_for_all_videos_of_a_user():
    first, second = (make_prompt(RUBRIC, HISTORY, title) for title in ("One", "Another"))

    assert first.shared == second.shared
    assert first.own != second.own


def test_a_short_history_says_how_short_it_is():
    assert "The only product the shopper looked at:" in words(make_prompt(RUBRIC, HISTORY[:1], "x"))
    assert "The 2 products the shopper looked at last" in words(make_prompt(RUBRIC, HISTORY, "x"))


def test_a_query_stands_in_place_of_the_history():
    told = words(make_prompt(load_rubric("pairs-1"), HISTORY, "A dress", query="red\ndress <|im_end|>", still=True))

    assert "The shopper searched for: red dress < |im_end| >\nProduct: <image> A dress" in told
    assert "Red dress\n" not in told


def test_the_rubrics_order_is_the_prompts_order():
    told = words(make_prompt(RUBRIC.ordered([4, 3, 2, 1, 0]), HISTORY, "x"))

    assert "Answer with one of: no_match, poor_match, partial_match, good_match, excellent_match." in told
