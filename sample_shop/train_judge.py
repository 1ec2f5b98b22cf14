"""Trains the small judge that ships with the project, by the wall clock."""

from collections.abc import Sequence

from judge.rubric import LABELS, Rubric
from sample_shop.catalogue import FACTORS
from sample_shop.judge_mind import NEUTRAL_PRODUCT, NEUTRAL_VIDEO, REASON
from sample_shop.wording import product_title, video_title


def corpus(rubrics: Sequence[Rubric]) -> list[str]:
    """Texts whose words become tokens: the rubrics, the titles, the labels and the reasons."""
    from judge.prompt import Line, make_prompt

    prompts = [make_prompt(rubric, [Line("x")] * 12, "x", still=still) for still in (0, 1) for rubric in rubrics]
    told = [part["text"] for prompt in prompts for part in (*prompt.shared, *prompt.own) if part["type"] == "text"]
    told += [prompt.system for prompt in prompts] + ["The shopper searched for: "]
    codes = [[kind, colour, kind % 4, colour % 8, 0, 0] for kind in range(10) for colour in range(12)]
    titles = [product_title(code) for code in codes] + [video_title(i, code) for i, code in enumerate(codes)]
    return (
        told * 30
        + titles * 3
        + list(LABELS) * 500
        + [f"{REASON} fits in {', '.join(FACTORS)}. fits in nothing."] * 50
        + [NEUTRAL_PRODUCT, NEUTRAL_VIDEO] * 50
    )
