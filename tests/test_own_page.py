"""The posterior page with images of the visitor's own, headless: what links carry, uploads, samples, neighbours."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from models import perturbed
from pages import set_apart, visited
from PIL import Image, ImageDraw
from streamlit.testing.v1 import AppTest

import vaecore
from app import holes, own, own_looks, session
from app.session import Pick
from vaecore.exact import split_gap

VIEW = "views/posterior.py"


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shelf")
    torch.manual_seed(0)
    for name, dataset in (("alpha", "digits"), ("beta", "digits"), ("binary", "dynamic_digits")):
        vaecore.save(vaecore.build("vae", (1, 8, 8), 2, net="small"), folder / name, dataset=dataset)
    vaecore.save(vaecore.build("vae", (1, 28, 28), 2, net="small"), folder / "larger", dataset="mnist")
    return folder


@pytest.fixture(autouse=True)
def _surroundings(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_apart(tmp_path, shelf, monkeypatch)


def packed(seed: int = 0) -> str:
    return own.packed(np.random.default_rng(seed).integers(0, 256, (1, 8, 8)).astype(np.uint8))


def opened(**address: str | list[str]) -> AppTest:
    app = visited(VIEW, {"checkpoint": "alpha", **address})
    assert not app.exception, app.exception
    return app


def html(app: AppTest, mark: str) -> str:
    return " ".join(element.proto.body for element in app.get("html") if mark in element.proto.body)


def file() -> bytes:
    picture, content = Image.new("RGB", (200, 160), "white"), io.BytesIO()
    ImageDraw.Draw(picture).line([(60, 30), (140, 30), (90, 130)], fill="navy", width=18)
    picture.save(content, "PNG")
    return content.getvalue()


@pytest.mark.parametrize("kind", session.OWN)
def test_a_link_carries_the_very_image(kind: str) -> None:
    text = packed()
    app = opened(**{kind: text})
    assert f'data-pick="{kind}-{own.mark(text)}"' in html(app, "data-pick")
    assert app.query_params[kind] == text
    checkpoint = session.checkpoints()["alpha"]
    pick = Pick(kind, own.mark(text), text)
    sent = own.unpacked(text, (1, 8, 8)) / np.float32(255)
    assert session.look(checkpoint.digest, pick, checkpoint).original == pytest.approx(sent)
    assert "as the model saw it" in html(app, "data-steps")


@pytest.mark.parametrize("text", ["nonsense", "A" * 9000, own.packed(np.zeros((1, 28, 28), np.uint8))])
def test_a_link_that_does_not_fit_is_named(text: str) -> None:
    app = opened(drawing=text)
    assert "The link carries" in app.warning[0].value
    assert 'data-pick="image-0"' in html(app, "data-pick")


def test_an_empty_canvas_says_what_to_do_and_has_a_link() -> None:
    app = opened(drawing=own.NOTHING)
    assert "Draw something" in app.info[0].value
    assert app.query_params["drawing"] == own.NOTHING
    assert not html(app, "data-pick")


def test_a_drawing_is_fitted_to_another_checkpoint() -> None:
    app = opened(drawing=packed())
    app.selectbox[0].select("larger").run()
    assert not app.exception
    assert 'data-pick="drawing-' in html(app, "data-pick")
    assert own.unpacked(app.query_params["drawing"], (1, 28, 28)).any()


def test_an_upload_shows_its_steps_and_they_can_be_switched() -> None:
    app = opened(upload=own.NOTHING)
    app.file_uploader[0].upload("seven.png", file()).run()
    assert not app.exception
    assert all(said in html(app, "data-steps") for said in ("grey", "inverted", "centred", "8 x 8 pixels"))
    before = app.query_params["upload"]
    box = next(box for box in app.checkbox if box.label.startswith("Cropped"))
    box.uncheck().run()
    assert "centred" not in html(app, "data-steps")
    assert app.query_params["upload"] != before
    again = opened(upload=app.query_params["upload"])
    assert html(again, "data-pick") == html(app, "data-pick")


def test_a_hostile_upload_gets_a_sentence() -> None:
    app = opened(upload=own.NOTHING)
    app.file_uploader[0].upload("seven.png", b"<script>").run()
    assert "not a picture" in app.error[0].value
    app.file_uploader[0].upload("seven.png", file()).run()
    assert not app.error
    assert 'data-pick="upload-' in html(app, "data-pick")


def test_binary_data_ask_for_binary_pixels() -> None:
    app = visited(VIEW, {"checkpoint": "binary", "upload": own.NOTHING})
    app.file_uploader[0].upload("seven.png", file()).run()
    levels = own.unpacked(app.query_params["upload"], (1, 8, 8))
    assert set(np.unique(levels)) == {0, 255}
    assert any("trained on binary pixels" in element.value for element in app.caption)


def test_a_sample_of_the_prior_has_its_true_z() -> None:
    app = opened(prior="11")
    assert 'data-pick="prior-11"' in html(app, "data-pick")
    assert "true z" in app.get("plotly_chart")[0].proto.spec
    checkpoint = session.checkpoints()["alpha"]
    look = session.look(checkpoint.digest, Pick("prior", 11), checkpoint)
    other = session.look(checkpoint.digest, Pick("prior", 12), checkpoint)
    assert (look.truth != other.truth).all()
    assert app.number_input[0].value == 11


def test_samples_of_the_prior_are_distributed_as_it_is() -> None:
    checkpoint = session.checkpoints()["alpha"]
    z = np.stack([session.origin(checkpoint, Pick("prior", seed)) for seed in range(400)])
    assert z.mean(0) == pytest.approx([0, 0], abs=0.2)
    assert z.std(0) == pytest.approx([1, 1], abs=0.15)


@pytest.mark.parametrize("seed", ["-1", "x", "9" * 12])
def test_a_wrong_seed_is_named(seed: str) -> None:
    assert "numbered from 0" in opened(prior=seed).warning[0].value


def test_an_image_is_taken_by_its_number() -> None:
    app = opened(image="3")
    app.number_input[0].set_value(17).run()
    assert 'data-pick="image-17"' in html(app, "data-pick")


def test_another_source_and_back_keeps_what_was_brought() -> None:
    text = packed()
    app = opened(drawing=text)
    app.segmented_control[0].set_value("prior").run()
    assert 'data-pick="prior-0"' in html(app, "data-pick")
    app.segmented_control[0].set_value("drawing").run()
    assert app.query_params["drawing"] == text


def test_guests_look_at_the_same_drawing() -> None:
    app = opened(drawing=packed(), **{"with": ["beta"]})
    assert "data-name='beta'" in html(app, "class='beside'")


def test_the_nearest_training_codes_are_the_nearest() -> None:
    app = opened(drawing=packed())
    checkpoint, text = session.checkpoints()["alpha"], packed()
    look = session.look(checkpoint.digest, Pick("drawing", own.mark(text), text), checkpoint)
    found = own_looks.nearest(checkpoint, look)
    train, vae = vaecore.load_dataset("digits", "train"), vaecore.load(checkpoint.folder)
    with torch.no_grad():
        apart = [float((vae.posterior(x[None]).mean[0] - torch.from_numpy(look.q_loc)).norm()) for x in train.images]
    assert found.split == "training"
    assert found.distances == pytest.approx(sorted(apart)[: own_looks.NEAREST], abs=1e-4)
    assert [apart[index] for index in found.indices] == pytest.approx(found.distances, abs=1e-4)
    assert found.labels == train.labels[found.indices].tolist()
    assert "training image" in html(app, "class='near'")


def test_a_test_image_is_not_its_own_neighbour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_looks, "QUICK", 0)
    holes._coded.clear()  # an earlier test may have encoded the training images
    checkpoint = session.checkpoints()["beta"]
    session.prepared(checkpoint)
    found = own_looks.nearest(checkpoint, session.look(checkpoint.digest, Pick("image", 5), checkpoint))
    assert found.split == "test"
    assert 5 not in found.indices


def test_the_map_is_told_at_once_where_the_encoder_puts_a_drawing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, pick = drawn_under(tmp_path, monkeypatch)
    look = session.look(checkpoint.digest, pick, checkpoint)
    told = own_looks.encoded(checkpoint.digest, pick, checkpoint)
    assert told["here"] == pytest.approx(look.q_loc.tolist())
    assert told["spread"] == pytest.approx(look.q_scale.tolist())


def test_a_drawing_is_integrated_within_the_error_that_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faster than a test image is: against the library's own tolerance."""
    checkpoint, pick = drawn_under(tmp_path, monkeypatch)
    found = session.look(checkpoint.digest, pick, checkpoint)
    exact = split_gap(
        session.model(checkpoint.digest, checkpoint.folder),
        session.image(checkpoint, pick),
        session.overview(checkpoint.digest, checkpoint),
        tolerance=0.001,
    )
    assert found.log_evidence == pytest.approx(float(exact.log_evidence), abs=found.error)
    assert found.gap == pytest.approx(float(exact.total), abs=found.gap_error)
    assert found.error < 5 * session.QUICK


def drawn_under(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[session.Checkpoint, Pick]:
    vaecore.save(perturbed("vae", "small", "bernoulli"), folder / "moved", dataset="digits")
    monkeypatch.setenv("VAESCOPE_CHECKPOINTS", str(folder))
    checkpoint, text = session.checkpoints()["moved"], packed(3)
    session.prepared(checkpoint)
    return checkpoint, Pick("drawing", own.mark(text), text)


def test_what_the_canvas_sends_becomes_the_pick() -> None:
    app = opened(drawing=own.NOTHING)
    drawing = np.zeros((own.DRAWN, own.DRAWN), np.uint8)
    drawing[20:90, 50:60] = 255
    app.session_state["own_drawing"] = own.drawn(base64.b64encode(drawing.tobytes()).decode())
    app.run()
    levels = own.unpacked(app.query_params["drawing"], (1, 8, 8))[0]
    assert (levels[:, 3:5].min(), levels[:, [0, 7]].max()) == (pytest.approx(255, abs=200), 0)
