"""Trains the small judge that ships with the project, by the wall clock."""

from judge.rubric import LABELS, Rubric, load_rubric
from sample_shop.catalogue import FACTORS
from sample_shop.judge_mind import NEUTRAL_PRODUCT, NEUTRAL_VIDEO, REASON
from sample_shop.wording import product_title, video_title


def corpus(rubric: Rubric) -> list[str]:
    """Texts whose words become tokens: the rubric, the titles, the labels and the reasons."""
    from judge.prompt import Line, make_prompt

    prompt = make_prompt(rubric, [Line("x")] * 12, "x")
    told = [prompt.system, *(part["text"] for part in (*prompt.shared, *prompt.own) if part["type"] == "text")]
    codes = [[kind, colour, kind % 4, colour % 8, 0, 0] for kind in range(10) for colour in range(12)]
    titles = [product_title(code) for code in codes] + [video_title(i, code) for i, code in enumerate(codes)]
    return (
        told * 30
        + titles * 3
        + list(LABELS) * 500
        + [f"{REASON} fits in {', '.join(FACTORS)}. fits in nothing."] * 50
        + [NEUTRAL_PRODUCT, NEUTRAL_VIDEO] * 50
    )
