"""The page of health headless: measured and kept, two side by side, wrong links, what is absent, and the HTML file."""

import json
import re
import time
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from pages import refused, set_apart, visited
from streamlit.testing.v1 import AppTest

import vaecore
from app import figures_health, health, health_picture, health_report, health_rows, health_table, jobs, session
from app.jobs import Job
from vaecore import health as measure
from vaecore.shelf import pack

TINY = measure.Sizes(images=20, samples=5, compared=20, draws=4, codes=60, exact=2, prior=50, worst=3)

ANALYSIS = {f"exact.{name}": torch.rand(50) for name in ("log_evidence", "approximation", "amortization")}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of digits: a flat one, one of five dimensions with a dangerous name, one whose prior is learned, all measured;
    one that is not, and one of MNIST."""
    folder = tmp_path_factory.mktemp("shelf")
    torch.manual_seed(0)
    test, train = (vaecore.load_dataset("digits", split).images for split in ("test", "train"))
    for name, recipe, latent, more in (
        ("plain", "vae", 2, {}),
        ("<b>deep", "vae", 5, {}),
        ("joint", "rnvp-p", 2, {"depth": 2}),
        ("new", "vae", 3, {}),
    ):
        vae = vaecore.build(recipe, (1, 8, 8), latent, net="small", **more).eval()
        vaecore.save(vae, folder / name, dataset="digits")
        if name != "new":
            given = {"train": train} if name == "plain" else {"analysis": ANALYSIS}  # a learned prior's takes long
            measure.keep(folder / name, measure.report(vae, test, sizes=TINY, **given))
    vaecore.save(vaecore.build("vae", (1, 28, 28), 2, net="small"), folder / "absent", dataset="mnist")
    return folder


@pytest.fixture(autouse=True)
def surroundings(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_apart(tmp_path, shelf, monkeypatch)


def opened(**address: str | list[str]) -> AppTest:
    app = visited("views/health.py", {"checkpoint": "plain", **address})
    assert not app.exception, app.exception
    return app


def bodies(app: AppTest) -> str:
    return " ".join(element.proto.body for element in app.get("html"))


def chart(app: AppTest) -> dict:
    return json.loads(app.get("plotly_chart")[0].proto.spec)


def test_a_checkpoint_has_its_report() -> None:
    app = opened()
    assert not app.error
    assert not app.warning
    text = bodies(app)
    found = health.health(session.checkpoints()["plain"])
    assert found.complete
    for row in found.rows:
        assert f"<th scope='row'>{health_table.escape(row['name'])}</th>" in text
        assert health_table.value(row) in text
        for said in ("usual", "source", "sentence", "on"):
            assert row[said]
            assert health_table.escape(row[said]) in text
    assert {row["name"] for row in found.rows} >= {"ELBO", "exact gap", "overfitting", "low posterior share"}
    assert not [button for button in app.button if button.key.startswith(("stop-", "health_again"))]
    assert len(chart(app)["data"]) == 1
    assert [image["image"] for image in found.report["worst images"]] == list(found.worst)
    assert f"test image {found.worst[0]}" in text
    assert any(button.label == "Download the report" for button in app.get("download_button"))


def test_two_stand_side_by_side_under_one_cursor() -> None:
    app = opened(**{"with": "<b>deep"})
    assert not app.error
    drawing = chart(app)
    assert drawing["layout"]["hovermode"] == "x unified"
    assert [len(bars["x"]) for bars in drawing["data"]] == [2, 5]
    assert "<th scope='col'>&lt;b&gt;deep</th>" in bodies(app)
    assert "<b>deep</th>" not in bodies(app)
    assert "<i class='of'>&lt;b&gt;deep:</i> " in bodies(app)
    assert app.query_params["with"] in ("<b>deep", ["<b>deep"])


def test_a_learned_prior_has_no_kl_by_dimension_and_says_why() -> None:
    app = opened(checkpoint="joint")
    assert any("not N(0, I)" in info.value for info in app.info)
    assert not app.get("plotly_chart")


def test_other_images_are_drawn_and_stand_in_the_address() -> None:
    app = opened(draw="4")
    before = re.findall(r"test image (\d+)", bodies(app))
    app.button(key="health_redraw").click().run()
    assert not app.exception
    assert re.findall(r"test image (\d+)", bodies(app)) != before
    assert app.query_params["draw"] in ("5", ["5"])


@pytest.mark.parametrize(("name", "value"), [("draw", "-1"), ("with", "nobody"), ("checkpoint", "nothing")])
def test_a_wrong_link_is_named_and_the_page_goes_on(name: str, value: str) -> None:
    app = opened(**{name: value})
    assert any(value in warning.value for warning in app.warning)
    assert "mutual information" in bodies(app)


def test_without_images_it_says_so() -> None:
    app = opened(checkpoint="absent")
    assert any("nothing to measure" in info.value for info in app.info)
    assert not app.get("download_button")


class Reader(HTMLParser):
    """All tags, and what their attributes fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.tags, self.fetched = [], []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [value for name, value in attrs if name in ("src", "href", "xlink:href", "data", "srcset")]


def test_the_file_needs_nothing_else_and_escapes_a_name() -> None:
    known = session.checkpoints()
    found = [health.health(known[name]) for name in ("<b>deep", "joint")]
    text, reader = health_report.page(found, (0, 1, 2)), Reader()
    reader.feed(text)
    assert "<b>deep" not in text
    assert "&lt;b&gt;deep" in text
    assert not re.search(r"https?://|url\(|@import|<script", text)
    assert "not complete" not in text
    assert reader.fetched
    assert all(value.startswith(("data:image/png;base64,", "data:image/svg+xml;base64,")) for value in reader.fetched)
    assert reader.tags.count("rect") == 5
    assert reader.tags.count("img") == 3 + 3 + 3 + 5 + 1
    assert all(one.protocol in text for one in found)
    assert "python -m vaecore health joint --seed 0" in text
    assert str(found[1].checkpoint.folder.parent) not in text
    assert health_rows.file_name(found) == "health--b-deep-joint.html"
    for row in found[1].rows:
        assert health_table.escape(row["sentence"]) in text


def test_bars_below_the_axis_are_drawn_at_its_end_and_said_as_they_are() -> None:
    figure = figures_health.kl_figure([("one", [0.0, 2.0])])
    assert list(figure.data[0].y) == [figures_health.LEAST, 2.0]
    assert list(figure.data[0].customdata) == [0.0, 2.0]
    assert figure.layout.shapes[0].y0 == figures_health.ACTIVE


# ---- q(z) beside the prior


def test_the_plane_and_the_dimensions_are_pictured_and_told() -> None:
    known = session.checkpoints()
    plane, deep = (health.health(known[name]) for name in ("plain", "<b>deep"))
    both = health_picture.whole([plane, deep])
    assert both.count("<img") == 1 + 5
    assert "z1: " in both
    mean, variance = (plane.report[f"{name} of q(z)"] for name in ("mean", "variance"))
    assert f"the means {mean[0]:.2f} and {mean[1]:.2f} and the variances {variance[0]:.2f}" in both
    first = deep.report["picture"]["dimensions"][0]
    assert f"mean {first['mean']:.2f} and sd {first['sd']:.2f}" in both
    assert "<b>deep" not in both


def test_two_planes_have_one_frame() -> None:
    """The same z is at the same place in both: a grid that is moved moves what is drawn, not the frame."""
    one = health.health(session.checkpoints()["plain"])
    picture = one.report["picture"]
    moved = [[z + 2 for z in axis] for axis in picture["axes"]]
    other = replace(one, report={**one.report, "picture": {**picture, "axes": moved}})
    ticks = [
        re.findall(r"<text x='(.*?)' y='315' text-anchor='middle'>(.*?)</text>", b64decode(code).decode())
        for code in re.findall(r"base64,(.*?)'", health_picture.whole([one, other]))
    ]
    assert len(ticks) == 2
    assert ticks[0] == ticks[1] != []


def test_two_share_the_panels_of_their_dimensions() -> None:
    deep = health.health(session.checkpoints()["<b>deep"])
    panels = re.findall(r"<figcaption>(z\d): (.*?) in common", health_picture.whole([deep, deep]))
    assert len(panels) == health_picture.MOST // 2
    assert all(shared.count("%") == 2 for _, shared in panels)


# ---- measured by a job, and kept


def running(state: str, **more: object) -> Job:
    return Job("health", "x", 1, 0.0, state=state, step=3, steps=10, **more)


def with_job(monkeypatch: pytest.MonkeyPatch, job: Job | None) -> list[str]:
    """The page finds this job; the names of those that it begins anew."""
    begun = []

    def begin(checkpoint: session.Checkpoint) -> Job:
        begun.append(checkpoint.name)
        return running("running")

    monkeypatch.setattr(health, "job", lambda _: job)
    monkeypatch.setattr(health, "begin", begin)
    monkeypatch.setattr(jobs, "find", lambda *_: running("running"))
    return begun


def test_a_link_begins_no_measurement_and_shows_first_numbers_and_a_press_begins_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun = with_job(monkeypatch, None)
    app = opened(checkpoint="new")
    assert begun == []
    assert any("not measured yet" in info.value for info in app.info)
    assert "Not complete. So far:" in bodies(app)
    assert "<th scope='row'>ELBO</th>" in bodies(app)
    assert "100 images, K = 10" in bodies(app)
    assert "mutual information" not in bodies(app)
    button = app.button(key="health_again_0")
    assert button.label == "Measure it"
    monkeypatch.setattr(health, "job", lambda _: running("running") if begun else None)
    button.click().run()
    assert begun == ["new"]
    assert any(button.key == "stop-health" for button in app.button)


@pytest.mark.parametrize(("state", "label"), [("stopped", "Go on"), ("failed", "Try again")])
def test_a_job_that_was_stopped_or_failed_waits_for_a_button(
    state: str, label: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = with_job(monkeypatch, running(state, sentence="health: The disk is full."))
    app = opened(checkpoint="new")
    assert begun == []
    assert ("The disk is full" in " ".join(error.value for error in app.error)) == (state == "failed")
    button = app.button(key="health_again_0")
    assert button.label == label
    button.click().run()
    assert begun == ["new"]


def test_a_checkpoint_that_was_deleted_and_came_again_has_no_job_behind_it(shelf: Path) -> None:
    config, before = shelf / "new" / "config.json", health.target(session.checkpoints()["new"])
    assert health.target(session.checkpoints()["new"]) == before
    content = config.read_bytes()
    config.unlink()
    time.sleep(0.01)
    config.write_bytes(content)
    assert health.target(session.checkpoints()["new"]) != before


def test_where_no_more_jobs_may_run_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "begin", refused)
    app = opened(checkpoint="new")
    app.button(key="health_again_0").click().run()
    assert any("shall not be measured" in info.value for info in app.info)
    assert app.button(key="health_again_0").label == "Measure it"
    assert "<th scope='row'>ELBO</th>" in bodies(app)


def test_a_spoilt_report_is_measured_again(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = with_job(monkeypatch, None)
    file = shelf / "plain" / measure.name()
    whole = file.read_text()
    try:
        file.write_text(json.dumps({**json.loads(whole), "digest": "another"}))
        opened().button(key="health_again_0").click().run()
        assert begun == ["plain"]
    finally:
        file.write_text(whole)


def test_an_analysis_that_knows_more_images_gives_the_exact_gap(shelf: Path) -> None:
    from vaecore.checkpoints import write_analysis

    file = write_analysis(shelf / "plain", {"test.loc": torch.zeros(355, 2), **ANALYSIS})
    try:
        found = {row["name"]: row for row in health.health(session.checkpoints()["plain"]).rows}["exact gap"]
        assert found["on"] == "50 images"
        total = ANALYSIS["exact.approximation"] + ANALYSIS["exact.amortization"]
        assert found["value"] == pytest.approx(float(total.mean()))
    finally:
        file.unlink()


def test_the_job_itself_measures_and_keeps(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way, in a process of its own; then a new session sees it at once."""
    monkeypatch.undo()
    set_apart(shelf.parent, shelf, monkeypatch)
    monkeypatch.setattr(health, "begin", BEGIN)
    app = opened(checkpoint="new")
    app.button(key="health_again_0").click().run()
    assert any(button.key == "stop-health" for button in app.button)
    checkpoint, end = session.checkpoints()["new"], time.monotonic() + 60
    while (job := health.job(checkpoint)).active and time.monotonic() < end:
        time.sleep(0.2)
    assert job.state == "done", job
    assert job.step == job.steps
    monkeypatch.setattr(health, "begin", refused)
    again = opened(checkpoint="new")
    assert not again.info
    assert "<th scope='row'>low posterior share</th>" in bodies(again)
    assert "Not complete" not in bodies(again)


BEGIN = health.begin


# ---- dropped here


def test_a_checkpoint_is_dropped_and_opens_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = with_job(monkeypatch, None)
    vae = vaecore.build("vae", (1, 8, 8), 4, net="small")
    content = pack(vaecore.save(vae, tmp_path / "mine", dataset="digits"))
    app = opened()
    app.file_uploader[0].upload("mine.zip", content).run()
    app.text_input(key="bring_name").input("dropped").run()
    app.button(key="bring_take_zip").click().run()
    assert not app.exception
    assert any("dropped is here" in success.value for success in app.success)
    assert app.selectbox(key="checkpoint").value == "dropped"
    assert begun == []
    assert app.button(key="health_again_0").label == "Measure it"
    assert app.query_params["checkpoint"] in ("dropped", ["dropped"])
    assert "<b>dropped</b>. Not complete" in bodies(app)


def test_what_is_no_checkpoint_is_named_here() -> None:
    app = opened()
    app.file_uploader[0].upload("notes.zip", b"no zip at all").run()
    app.button(key="bring_take_zip").click().run()
    assert any("Not taken" in error.value for error in app.error)
    assert app.selectbox(key="checkpoint").value == "plain"
