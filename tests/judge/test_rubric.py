"""The rubric is data: what ships is whole, and a file that is not is refused in one sentence."""

import json
from pathlib import Path

import pytest

from judge.rubric import LABELS, SCORES, load_rubric
from retrieval.errors import UserFacingError

CATEGORIES = [
    {"label": label, "score": score, "definition": f"what {label} is", "evidence": f"what shows {label}"}
    for label, score in zip(LABELS, SCORES, strict=True)
]
WHOLE = {"version": "mine", "role": "A judge.", "attitude": "Severe.", "categories": CATEGORIES}


def written(folder: Path, data: object) -> str:
    path = folder / "rubric.json"
    path.write_text(json.dumps(data))
    return str(path)


@pytest.mark.parametrize("name", ["1", "pairs-1"])
def test_the_shipped_rubrics_define_every_category(name: str):
    rubric = load_rubric(name)

    assert rubric.version == name
    assert {c.label: c.score for c in rubric.categories} == dict(zip(LABELS, SCORES, strict=True))
    assert all(c.definition and c.evidence for c in rubric.categories)


def test_a_rubric_of_ones_own_is_read_from_a_file(tmp_path: Path):
    rubric = load_rubric(written(tmp_path, WHOLE))

    assert (rubric.version, rubric.categories[0].definition) == ("mine", "what excellent_match is")


def test_another_order_is_another_rubric_with_the_same_categories():
    rubric = load_rubric()

    turned = rubric.ordered([4, 3, 2, 1, 0])

    assert turned.categories == rubric.categories[::-1]
    assert turned.fingerprint != rubric.fingerprint
    assert turned.ordered([4, 3, 2, 1, 0]).fingerprint == rubric.fingerprint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"categories": CATEGORIES[:4]}, "has no category no_match"),
        ({"categories": [*CATEGORIES, CATEGORIES[0]]}, "has 6 categories, not 5"),
        ({"categories": [{**CATEGORIES[0], "score": 4}, *CATEGORIES[1:]]}, "gives excellent_match a score of 4, not 5"),
        ({"categories": [{"label": "good_match"}, *CATEGORIES[1:]]}, "lacks"),
        ({"categories": [{**CATEGORIES[0], "score": "high"}, *CATEGORIES[1:]]}, "a score that is not a number"),
        ({"categories": None}, "lacks"),
        ({"role": None}, "lacks a role"),
    ],
)
def test_a_faulty_rubric_is_refused_with_its_fault(tmp_path: Path, change: dict[str, object], message: str):
    with pytest.raises(UserFacingError, match=message):
        load_rubric(written(tmp_path, {**WHOLE, **change}))


def test_a_file_that_is_no_json_is_refused(tmp_path: Path):
    (tmp_path / "rubric.json").write_text("{")

    with pytest.raises(UserFacingError, match="is not JSON"):
        load_rubric(str(tmp_path / "rubric.json"))


def test_a_rubric_that_is_not_there_names_those_that_are():
    with pytest.raises(UserFacingError, match=r"There is no rubric 99.*\n.*ships: 1, pairs-1"):
        load_rubric("99")


def test_no_name_leads_out_of_the_folder_of_rubrics(tmp_path: Path):
    with pytest.raises(UserFacingError, match="There is no rubric"):
        load_rubric("../rubrics/absent")
