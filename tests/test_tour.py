"""The guided tour: its links, its banner, and what its sentences say, held against the shipped checkpoints."""

import math
import re

import pytest
from pages import LIMIT, MAIN
from streamlit.testing.v1 import AppTest

from app import between, between_chosen, holes, session, survey, tour
from app.learned_clusters import Grouping, grouped
from app.session import Checkpoint, Pick
from app.tour import STEPS

TITLES = ["Encoder and posterior", "Two gaps", "Uncertainty", "Prior holes", "Interpolation", "Clusters"]


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "warm", lambda: None)


def shipped(name: str) -> Checkpoint:
    return session.checkpoints()[name]


def opened(view: str, **address: str | list[str]) -> AppTest:
    app = AppTest.from_file(MAIN, default_timeout=LIMIT)
    app.query_params.update(address)
    app.switch_page(f"views/{view}.py")
    app.run()
    assert not app.exception, app.exception
    return app


def test_six_ideas_in_order_each_in_three_sentences() -> None:
    assert [step.title for step in STEPS] == TITLES
    for step in STEPS:
        assert all(len(re.findall(r"[.?!](?:\s|$)", sentence)) == 1 for sentence in step.sentences), step.title


def test_every_link_names_checkpoints_that_ship() -> None:
    found = session.checkpoints()
    for step in STEPS:
        for address in (step.address, step.more.address):
            assert not found[address["checkpoint"]].problem
            assert all(not found[name].problem for name in address.get("with", []))


def test_home_and_menu_lead_to_the_tour() -> None:
    app = opened("tour")
    assert [element.value for element in app.subheader] == [f"{k}. {title}" for k, title in enumerate(TITLES, 1)]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_step_sets_its_page_up_and_stays_in_the_address(number: int) -> None:
    step = STEPS[number - 1]
    app = opened(step.view, **step.address, tour=str(number))
    assert not app.warning
    assert not app.error
    assert f"Step {number} of 6: {step.title}" in app.markdown[0].value
    assert app.query_params["tour"] == str(number)
    assert all(app.query_params[name] in (value, [value]) for name, value in step.address.items())


@pytest.mark.parametrize("text", ["0", "7", "x", "m", "9" * 50])
def test_a_wrong_step_is_named(text: str) -> None:
    app = opened("tour", tour=text)
    assert "steps 1 to 6" in app.warning[0].value
    assert "tour" not in app.query_params


def look(address: dict) -> session.Look:
    one = shipped(address["checkpoint"])
    return session.look(one.digest, Pick("image", int(address["image"])), one)


def test_step_1_the_encoder_is_right() -> None:
    assert look(STEPS[0].address).gap < 0.05


def test_step_1_on_mnist_half_of_the_images_lose_more_than_7_nats() -> None:
    one = shipped(STEPS[0].more.address["checkpoint"])
    stored = session.analysis(one.digest, one.folder)
    gap = stored["exact.approximation"] + stored["exact.amortization"]
    assert float(gap[1280]) < 0.05
    assert float(gap.median()) > 7


def test_what_a_step_shows_besides_has_its_own_sentence() -> None:
    step = STEPS[1]
    app = opened(step.view, **step.more.address, tour="2m")
    assert app.markdown[0].value == f"**Step 2 of 6: Two gaps (Image 169).** {step.more.sentence}"
    assert app.query_params["tour"] == "2m"


def test_step_2_nearly_all_of_the_gap_is_amortization_and_image_169_has_four_modes() -> None:
    found, other = look(STEPS[1].address), look(STEPS[1].more.address)
    assert (found.modes, other.modes) == (2, 4)
    assert found.gap == pytest.approx(37, abs=0.5)
    assert found.approximation == pytest.approx(0.1, abs=0.05)
    assert (other.gap, other.approximation) == pytest.approx((1.5, 0.7), abs=0.06)


def test_step_3_uncertainty_goes_very_weakly_with_the_gap() -> None:
    found = survey.outcome(shipped(STEPS[2].address["checkpoint"]), "gap").alone["sum"]
    assert found.value == pytest.approx(0.15, abs=0.02)


def test_step_4_the_marked_place_is_the_lowest_that_the_prior_likes() -> None:
    entry = holes.entry(shipped(STEPS[3].address["checkpoint"]))
    z = holes.deepest(entry)
    assert STEPS[3].address["z"] == ",".join(f"{part:g}" for part in z)
    assert holes.log_prior(entry, z) - holes.place(entry, z).log_q == pytest.approx(math.log(3), abs=0.1)
    assert holes.place(entry, z).effective == pytest.approx(60, abs=5)


def test_step_5_valleys_of_the_learned_prior_are_halved_over_the_highest_pass() -> None:
    plain, learned = (holes.entry(shipped(name)) for name in (tour.PLAIN, tour.LEARNED))
    assert plain.body == learned.body
    for pair in between_chosen.parsed(STEPS[4].address["rows"], 355):
        assert between.depth(between.log_prior(plain, pair, "linear"))[0] > -0.01
        straight = between_chosen.depth_of(learned, pair, "linear")
        assert straight == pytest.approx(-0.8, abs=0.07)
        assert between_chosen.depth_of(learned, pair, "highest") > 0.5 * straight - 0.01


def test_step_6_clusters_name_two_thirds_and_with_k_30_three_quarters() -> None:
    one = shipped(STEPS[5].address["checkpoint"])
    few, many = (grouped(one, Grouping(k, 0), lambda share: None).accuracy["majority"] for k in (10, 30))
    assert 2 / 3 < few < 0.75 < many
