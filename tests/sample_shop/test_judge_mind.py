"""Training reads prompts in pieces and pictures in batches: both are held to the real processor and the real model."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from judge.prompt import Line, make_prompt
from judge.rubric import PAIRS, load_rubric
from sample_shop.catalogue import FACTORS, LEVELS
from sample_shop.judge_eyes import SEEN_LEVELS, level_shares, plain
from sample_shop.judge_mind import MindTraining, Scaffold, SeenShop
from sample_shop.judge_questions import Question, ShopFacts, ask, ask_pairs, factor_parts
from sample_shop.judge_reader import Piece, Reader, reason_text
from sample_shop.judge_sheets import BLANKS, Draw, Sheets, lay_out, load_sheets
from sample_shop.judge_thinking import joined, think
from sample_shop.relevance import WEIGHTS, matches
from sample_shop.small_judge import (
    FRAME_CELLS,
    PHOTO_CELLS,
    JudgeShape,
    patches,
    see,
)
from sample_shop.train_judge import new_model, rubrics

SHAPE = JudgeShape(
    width=48, layers=3, heads=2, shared_heads=2, inner=64, eye_width=40, eye_layers=2, eye_heads=2, eye_inner=48
)
RUBRIC = load_rubric()


@pytest.fixture(scope="module")
def made():
    torch.manual_seed(0)
    return new_model(SHAPE)


@pytest.fixture(scope="module")
def reader(made) -> Reader:
    return Reader(made[1], RUBRIC, load_rubric(PAIRS))


@pytest.fixture(scope="module")
def shop() -> SeenShop:
    """Twenty products and ten videos of random looks."""
    rng = np.random.default_rng(0)
    codes = np.stack([rng.integers(n, size=20) for n in LEVELS], axis=1)
    shown = np.where(rng.random((10, 4)) < 0.5, rng.integers(20, size=(10, 4)), -1)
    shown[:, 0] = rng.integers(20, size=10)
    shown = -np.sort(-shown, axis=1)
    histories = np.array([[3, 1, 4, *[-1] * 9], [5, 9, 2, 6, *[-1] * 8]])
    facts = ShopFacts(
        codes, shown, rng.uniform(3, 20, 10), [f"Product {i}" for i in range(20)], [f"Video {i}" for i in range(10)],
        histories,
    )  # fmt: skip
    return SeenShop(
        facts, torch.randn(20, 12, SHAPE.width), torch.randn(2, 10, 60, SHAPE.width),
        torch.randn(BLANKS, 12, SHAPE.width), torch.randn(BLANKS, 60, SHAPE.width),
    )  # fmt: skip


@pytest.fixture(scope="module")
def facts(shop: SeenShop) -> ShopFacts:
    return shop.facts


def whole(pieces: list[Piece]) -> tuple[list[int], torch.Tensor]:
    """Pieces one after another."""
    starts = np.cumsum([0, *(piece.ends for piece in pieces[:-1])]).tolist()
    ids = [token for piece in pieces for token in piece.ids]
    return ids, torch.cat([piece.places + start for piece, start in zip(pieces, starts, strict=True)], dim=1)


def test_pieces_are_the_processors_tokens_and_places(made, reader: Reader):
    model, processor = made
    prompt = make_prompt(RUBRIC, [Line("Red dress by Alder"), Line("Product")], "New in: red dress")
    frames = np.zeros((8, 448, 252, 3), np.uint8)
    metadata = {"total_num_frames": 8, "fps": 8 / 9.3, "frames_indices": list(range(8))}
    inputs = processor(
        text=[processor.apply_chat_template(prompt.messages, add_generation_prompt=True)],
        images=[np.zeros((640, 480, 3), np.uint8)] * 2, videos=[frames], return_tensors="pt", do_sample_frames=False,
        video_metadata=[metadata],
    )  # fmt: skip

    ids, places = whole(
        [
            reader.instructions(range(5)),
            reader.history(["Red dress by Alder", "Product"]),
            reader.candidate("New in: red dress", 9.3),
        ]
    )

    assert ids == inputs["input_ids"][0].tolist()
    expected, _ = model.model.get_rope_index(
        inputs["input_ids"], inputs["mm_token_type_ids"], inputs["image_grid_thw"], inputs["video_grid_thw"],
        inputs["second_per_grid_ts"],
    )  # fmt: skip
    assert torch.equal(places, expected[:, 0])


def test_a_query_and_a_product_are_read_as_the_processor_does(made, reader: Reader):
    _, processor = made
    prompt = make_prompt(load_rubric(PAIRS), [], "Product", query="red dress", still=True)
    text = processor.apply_chat_template(prompt.messages, add_generation_prompt=True)
    inputs = processor(text=[text], images=[np.zeros((640, 480, 3), np.uint8)], return_tensors="pt")

    pieces = [reader.instructions(range(5), True), reader.history([], "red dress"), reader.product("Product")]

    assert whole(pieces)[0] == inputs["input_ids"][0].tolist()


def test_reading_in_parts_gives_the_models_own_states(made, reader: Reader, shop: SeenShop):
    model, _ = made
    mind, embed = model.model.language_model, model.model.get_input_embeddings()
    rng = np.random.default_rng(1)
    training = MindTraining(model, Scaffold(SHAPE.width), reader, [shop])
    sheet = lay_out(reader, shop.facts, [ask(shop.facts, rng, 3, longest) for longest in (2, 4)], rng)

    with torch.no_grad():
        rubric = training.instructions(sheet)
        histories, videos = training.embedded(sheet, shop)
        _, keys = think(mind, histories, sheet.histories, rubric)
        states, _ = think(mind, videos, sheet.followed, joined(rubric, keys), sheet.answers[:, None])
        for row in range(6):
            user, last = row // 3, int(sheet.answers[row]) + 1
            n = int(sheet.histories.present[user].sum())
            hidden = torch.cat([embed(sheet.instructions.ids)[0], histories[user, :n], videos[row, :last]])
            told = (sheet.instructions.places[:, 0], sheet.histories.places[:, user, :n])
            places = torch.cat([*told, sheet.followed.places[:, row, :last]], dim=1)
            alone = mind(inputs_embeds=hidden[None], position_ids=places[:, None], use_cache=False)
            assert_allclose(mind.norm(states[-1][row, 0]), alone.last_hidden_state[0, -1], atol=1e-4)


def test_pictures_in_a_batch_are_seen_as_the_model_sees_each(made):
    model, processor = made
    photos = np.random.default_rng(2).integers(0, 255, (3, 112, 84, 3)).astype(np.uint8)
    inputs = processor.image_processor(images=list(photos), return_tensors="pt")
    pixels = torch.from_numpy(photos).permute(0, 3, 1, 2)[:, None].float().div(255).expand(-1, 2, -1, -1, -1)

    with torch.no_grad():
        ours = see(model.model.visual, patches(pixels), PHOTO_CELLS)
        theirs = model.model.visual(inputs["pixel_values"], grid_thw=inputs["image_grid_thw"]).pooler_output

    assert_allclose(patches(pixels).reshape(-1, 1176), inputs["pixel_values"], atol=1e-5)
    assert_allclose(ours.reshape(theirs.shape), theirs, atol=1e-4)


def test_frames_become_the_size_that_the_processor_makes(made):
    frames = np.zeros((8, 448, 252, 3), np.uint8)
    grid = made[1].video_processor(videos=[frames], return_tensors="pt", do_sample_frames=False)["video_grid_thw"]

    assert grid.tolist() == [[4, 2 * FRAME_CELLS[0], 2 * FRAME_CELLS[1]]]
    assert plain(torch.zeros(1, 2, 3, 160, 96, dtype=torch.uint8), FRAME_CELLS).shape == (1, 2, 3, 140, 84)


def test_the_parts_of_a_match_add_up_to_the_planted_match(facts: ShopFacts):
    history = facts.codes[[3, 1, 4]]
    padded_history = np.full((1, 12, 6), -1)
    padded_history[0, :3] = history

    parts = factor_parts(history, facts.video_codes)

    assert_allclose(
        parts @ np.array([WEIGHTS[name] for name in FACTORS]), matches(padded_history, facts.video_codes)[0]
    )


def test_shares_of_levels_count_each_garment_alike():
    codes = np.array([[0, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0], [-1] * 6])

    shares = level_shares(codes)

    assert shares[0].item() == 1.0  # both are of the first kind
    assert shares[SEEN_LEVELS[0] : SEEN_LEVELS[0] + 2].tolist() == [0.5, 0.5]
    assert shares.sum().item() == pytest.approx(5.0)


@pytest.mark.parametrize("pairs", [0.0, 1.0])
def test_a_step_reaches_the_language_model_and_no_other_part(made, reader: Reader, shop: SeenShop, pairs):
    model, processor = made
    training = MindTraining(model, Scaffold(SHAPE.width), reader, [shop])
    sheets = Sheets(processor, rubrics(), False, [shop.facts], Draw(users=2, k=3, pairs=pairs, lengths=(3,)))

    losses = training.losses(next(load_sheets(sheets, processes=0)))
    torch.stack(list(losses.values())).sum().backward()

    assert all(torch.isfinite(loss) for loss in losses.values())
    assert all(p.grad is not None for p in training.mind.parameters())
    assert all(p.grad is None for p in model.model.visual.parameters())
    model.zero_grad()


def test_brief_reading_gives_each_picture_one_token(made, facts: ShopFacts):
    model, processor = made
    brief = Reader(processor, *rubrics(), brief=True)
    rng = np.random.default_rng(3)

    sheet = lay_out(brief, facts, [ask(facts, rng, 2, 3)], rng, reasons=True)

    assert int((sheet.histories.ids == model.config.image_token_id).sum()) == 3
    assert int((sheet.followed.ids == model.config.video_token_id).sum()) == 2 * 4


def test_a_blank_candidate_is_no_match_and_shows_nothing(made, reader: Reader, shop: SeenShop):
    model, _ = made
    rng = np.random.default_rng(5)
    questions = [ask(shop.facts, rng, 4, 3)]
    training = MindTraining(model, Scaffold(SHAPE.width), reader, [shop])

    sheet = lay_out(reader, shop.facts, questions, rng, blank=1.0)

    assert sheet.grades.tolist() == [1, 1, 1, 1]
    assert sheet.common.sum() == 0
    assert sheet.contents[:, 33:].sum() == 0  # of the videos
    assert sheet.contents[:, :33].sum() > 0  # of the history
    assert training.embedded(sheet, shop)[1].isfinite().all()
    tokens = training.embedded(sheet, shop)[1][0][sheet.followed.ids[0] == model.config.video_token_id]
    assert_allclose(tokens.detach(), shop.blank_clips[sheet.blanks[0]])


def test_sheets_drawn_ahead_are_the_same_questions(made, facts: ShopFacts):
    sheets = Sheets(made[1], rubrics(), True, [facts], Draw(users=2, k=3, seed=6))

    here, ahead = (next(load_sheets(sheets, processes)) for processes in (0, 1))

    assert torch.equal(here.followed.ids, ahead.followed.ids)
    assert torch.equal(here.grades, ahead.grades)


def test_what_is_asked_is_drawn_evenly_over_grades(facts: ShopFacts):
    rng = np.random.default_rng(4)

    asked = [ask_pairs(facts, rng, 40, 3) for _ in range(30)]

    counts = np.bincount(np.concatenate([q.grades for q in asked]), minlength=6)[1:]
    present = counts[counts > 0]
    assert present.min() > 0.4 * present.mean()


def test_a_reason_names_what_fits():
    assert reason_text(np.zeros(6)) == " fits in nothing."
    assert isinstance(Question([], [], [], [], np.zeros(0), np.zeros(0)).still, bool)
