"""The page of rankings headless: a GPVAE with an analysis in full, in part and not at all; a VAE; wrong links."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import vaecore
from app import jobs, ranking, rows, session, survey
from app.ranking import Estimate, Outcome
from vaecore import checkpoints

MAIN = str(Path(session.__file__).parent / "main.py")
LIMIT = 90  # seconds for a page: torch may be imported on the way


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shelf")
    train = vaecore.load_dataset("digits", "train")
    start = Path(MAIN).parents[1] / "pretrained" / "digits-vae-2d"
    shutil.copytree(start, folder / "plain")
    vae = vaecore.build("gpvae", (1, 8, 8), 2)
    vaecore.fit(vae, "gpvae", train, epochs=2, folder=folder / "unsure", start=start, seed=0)
    vaecore.save(vaecore.build("gpvae", (1, 8, 8), 3), folder / "cubic", dataset="digits")
    shutil.copytree(folder / "unsure", folder / "bare")
    (folder / "plain" / "analysis.safetensors").unlink()
    for name, exact in (("unsure", 355), ("plain", 50)):
        # The command is several times faster than the function here: it keeps freed memory, on one thread.
        command = [sys.executable, "-m", "vaecore", "analyse", str(folder / name), "--exact-images", str(exact)]
        surroundings = {**os.environ, "OMP_NUM_THREADS": "1"}
        subprocess.run(command, cwd=Path(MAIN).parents[1], env=surroundings, check=True, capture_output=True)
    shutil.copytree(folder / "unsure", folder / "partial")
    whole = checkpoints.read_analysis(folder / "unsure")
    part = {name: rows[:300] if name.startswith("exact.") else rows for name, rows in whole.items()}
    checkpoints.write_analysis(folder / "partial", part)
    return folder


@pytest.fixture(autouse=True)
def surroundings(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "ROOT", tmp_path)
    monkeypatch.setenv("VAESCOPE_CHECKPOINTS", str(shelf))
    monkeypatch.setattr(session, "warm", lambda: None)


def opened(**address: str) -> AppTest:
    app = AppTest.from_file(MAIN, default_timeout=LIMIT)
    app.query_params.update(address)
    app.switch_page("views/unsure.py")
    app.run()
    assert not app.exception, app.exception
    return app


def bodies(app: AppTest) -> str:
    return " ".join(element.proto.body for element in app.get("html"))


def verdict(app: AppTest) -> str:
    found = re.search(r'<section class="verdict".*?</section>', bodies(app))
    return found[0] if found else ""


def images(app: AppTest) -> list[str]:
    """The test images of the row of pictures."""
    return re.findall(r'data-image="(\d+)"', bodies(app))


def test_a_gpvae_is_held_against_the_exact_posteriors() -> None:
    app = opened(checkpoint="unsure")
    assert "Over 355 images" in verdict(app)
    assert "The data" in verdict(app)
    for name in ("uncertainty of f", "uncertainty of h", "feature norm", "encoder variance", "reconstruction error"):
        assert name in verdict(app)
    assert len(images(app)) == 6
    scatter = json.loads(app.get("plotly_chart")[0].proto.spec)
    assert scatter["layout"]["xaxis"]["type"] == "log"
    assert "Tr V(f) + Tr V(h)" in scatter["layout"]["xaxis"]["title"]["text"]
    assert len(app.get("plotly_chart")) == 7
    sketches = [chart.proto.alt for chart in app.get("plotly_chart")[1:]]
    assert all(re.search(r"gap \S+ nats, non-Gaussianity \S+ nats, modes \d", alt) for alt in sketches)


def test_the_six_rise_in_uncertainty_and_others_can_be_drawn() -> None:
    app = opened(checkpoint="unsure")
    found = survey.survey(session.checkpoints()["unsure"])
    first = images(app)
    assert [found.scores["sum"][int(i)] for i in first] == sorted(found.scores["sum"][int(i)] for i in first)
    app.button(key="draw_six").click().run()
    assert images(app) != first
    assert "seed 1" in bodies(app)
    assert images(opened(checkpoint="unsure", draw="1")) == images(app)


def test_any_images_can_be_asked_for() -> None:
    app = opened(checkpoint="unsure", images="7,3,11")
    assert sorted(images(app), key=int) == ["3", "7", "11"]
    app.text_input(key="six_text").set_value("5, 300").run()
    assert set(images(app)) == {"5", "300"}
    app.text_input(key="six_text").set_value("5, 355").run()
    assert "from 0 to 354" in app.warning[0].value
    assert set(images(app)) == {"5", "300"}
    app.button(key="draw_six").click().run()
    assert len(images(app)) == 6


@pytest.mark.parametrize("measure", ["gap", "shape", "modes"])
def test_measures_and_scores_can_be_chosen(measure: str) -> None:
    app = opened(checkpoint="unsure", measure=measure, by="h", colour="class")
    assert f'data-score="h" data-measure="{measure}"' in verdict(app)
    names = [trace.get("name") for trace in json.loads(app.get("plotly_chart")[0].proto.spec)["data"]]
    assert {str(k) for k in range(10)} <= set(names)
    app.selectbox(key="by").select("error").run()
    assert not app.exception
    assert 'data-score="error"' in verdict(app)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("measure", "truth", "there is only gap, shape, modes"),
        ("by", "<b>", "there is only sum, f, h"),
        ("colour", "red", "there is only plain, class"),
        ("images", "1,2,3,4,5,6,7", "one to six test images"),
        ("images", "355", "from 0 to 354"),
        ("images", "-1", "from 0 to 354"),
        ("images", "٣", "from 0 to 354"),
        ("images", "1e9", "from 0 to 354"),
        ("draw", "x", "a whole number"),
        ("draw", "9" * 40, "a whole number"),
    ],
)
def test_a_wrong_link_is_named_and_the_rest_goes_on(name: str, value: str, said: str) -> None:
    app = opened(checkpoint="unsure", **{name: value})
    assert said in app.warning[0].value
    assert 'data-score="sum" data-measure="gap"' in verdict(app)
    assert len(images(app)) == 6


def test_a_clicked_dot_opens_its_posterior() -> None:
    app = opened(checkpoint="unsure")
    app.session_state["opened"] = 42
    app.run()
    assert not app.exception
    assert 'data-pick="image-42"' in bodies(app)


def test_only_whole_numbers_count_as_a_click(monkeypatch: pytest.MonkeyPatch) -> None:
    state: dict = {}
    monkeypatch.setattr(rows.st, "session_state", state)
    for data, wanted in (([5], 5), (6, 6), ("7", None), (-1, None), (None, None)):
        state.clear()
        state["scatter"] = {"selection": {"points": [{"customdata": data}]}}
        rows.dot_clicked()
        assert state.get("opened") == wanted
    state["scatter"] = {"selection": {"points": []}}
    rows.dot_clicked()


def test_a_plain_vae_is_told_apart_and_shown_with_what_it_has() -> None:
    app = opened(checkpoint="plain")
    assert "only a GPVAE ranks images" in app.info[0].value
    assert 'data-score="variance"' in verdict(app)
    assert "uncertainty of f" not in verdict(app)
    assert "the paper" not in verdict(app)
    assert any("first 50 of 355" in element.value for element in app.info)
    assert any("cover the first 50 of 355" in element.value for element in app.caption)
    links = [element.proto.label for element in app.get("page_link")]
    assert "Open unsure" in links


def test_images_beyond_a_partial_analysis_are_drawn_too() -> None:
    app = opened(checkpoint="partial", images="350")
    assert images(app) == ["350"]
    assert "not computed yet" in bodies(app)


def test_without_an_analysis_there_is_the_job_and_how_long_it_takes() -> None:
    app = opened(checkpoint="bare")
    assert re.search(r"have not been computed yet. It takes about \d+", app.info[0].value)
    assert app.button(key="analyse").label == "Compute"
    assert not verdict(app)


def test_three_dimensions_are_declined_plainly() -> None:
    assert "needs D = 2" in opened(checkpoint="cubic").info[0].value


def test_without_images_the_stored_numbers_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "images", lambda checkpoint: (None, "Put them here."))
    monkeypatch.setattr("vaecore.datasets.is_available", lambda name: False)
    app = opened(checkpoint="unsure")
    assert "not on this computer" in app.info[0].value
    assert verdict(app)
    assert len(app.get("plotly_chart")) == 1


def test_a_damaged_analysis_is_a_sentence(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(shelf / "unsure", tmp_path / "own" / "torn")
    file = tmp_path / "own" / "torn" / "analysis.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    monkeypatch.setenv("VAESCOPE_CHECKPOINTS", str(tmp_path / "own"))
    assert "damaged" in opened(checkpoint="torn").error[0].value


def test_the_job_runs_from_the_page_and_its_result_appears(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(shelf / "partial", tmp_path / "own" / "partial")
    monkeypatch.setenv("VAESCOPE_CHECKPOINTS", str(tmp_path / "own"))
    app = opened(checkpoint="partial")
    assert "Over 300 images" in verdict(app)
    app.button(key="analyse").click().run()
    assert app.button(key="stop-analyse").label == "Stop"
    end = time.monotonic() + 120
    while (job := jobs.analysis_of(tmp_path / "own" / "partial")).active:
        assert time.monotonic() < end
        time.sleep(0.2)
    assert job.state == "done", job
    assert job.result["exact"] == 355
    app.run()
    assert "Over 355 images" in verdict(app)


def test_how_a_job_failed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = jobs.Job("analyse", "x", 1, 0.0, state="failed", sentence="analyse: The disk is full.")
    monkeypatch.setattr(jobs, "analysis_of", lambda folder: failed)
    app = opened(checkpoint="bare")
    assert "The disk is full." in app.error[0].value
    assert app.button(key="analyse")


# ---- what the numbers say


def outcome(alone: float, given: float, rival: float = 0.3, width: float = 0.05) -> Outcome:
    def about(value: float) -> Estimate:
        return Estimate(value, value - width, value + width)

    return Outcome(
        "shape", 1000, {"sum": about(alone), "norm": about(rival), "error": about(0.1)}, {"sum": about(given)}
    )


@pytest.mark.parametrize(
    ("alone", "given", "said"),
    [
        (0.7, 0.6, "support the paper, and plain rivals do not explain it"),
        (0.7, 0.3, "support the paper, but plain rivals explain much of it"),
        (0.7, 0.02, "support the paper at first sight, but plain rivals explain all of it"),
        (0.3, 0.25, "weakly support the paper, and"),
        (0.7, -0.3, "turns round"),
        (0.7, -0.06, "plain rivals explain all of it"),
        (0.02, 0.0, "do not support the paper"),
        (0.08, 0.08, "do not support the paper"),
        (-0.1, 0.0, "do not support the paper"),
        (-0.5, -0.4, "contradict the paper"),
    ],
)
def test_the_headline_follows_the_numbers(alone: float, given: float, said: str) -> None:
    assert said in ranking.verdict(outcome(alone, given), "sum").headline


def test_the_sentences_carry_the_numbers() -> None:
    told = " ".join(ranking.verdict(outcome(0.5, 0.2, rival=0.6), "sum").sentences)
    assert "Over 1,000 images, the non-Gaussianity rises clearly" in told
    assert "+0.50 [+0.45, +0.55]" in told
    assert "With feature norm and reconstruction error held fixed, +0.20 [+0.15, +0.25] is left" in told
    assert "A plain rival, the feature norm, goes with it more closely: +0.60" in told


def test_a_measure_that_does_not_vary_decides_nothing() -> None:
    nothing = Estimate(float("nan"), float("nan"), float("nan"))
    told = ranking.verdict(Outcome("modes", 50, {"sum": nothing, "error": nothing}, {"sum": nothing}), "sum")
    assert told.headline == "Nothing can be said: the number of modes is the same for every image."
    assert "undefined" in rows.table(Outcome("modes", 50, {"sum": nothing}, {"sum": nothing}), "sum")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(2, "about 5 seconds"), (42, "about 40 seconds"), (1000, "about 17 minutes"), (9000, "about 2.5 hours")],
)
def test_durations_as_one_says_them(seconds: float, said: str) -> None:
    assert ranking.duration(seconds) == said


@pytest.mark.parametrize(("share", "said"), [(0.00024, "0.024 %"), (0.031, "3.1 %"), (0.5, "50 %"), (0.0, "0 %")])
def test_shares_keep_two_digits(share: float, said: str) -> None:
    assert ranking.percent(share) == said
