"""Each page headless, with checkpoints of the test's own: good, broken, of another size, without images."""

import shutil
import sys
import threading
from pathlib import Path

import pytest
import torch
from streamlit.testing.v1 import AppTest

import vaecore
from app import session

MAIN = str(Path(session.__file__).parent / "main.py")
LIMIT = 60  # seconds for a page: torch may be imported on the way


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shelf")
    torch.manual_seed(0)
    for name, shape, latent, dataset in (
        ("alpha", (1, 8, 8), 2, "digits"),
        ("beta", (1, 8, 8), 2, "digits"),
        ("cubic", (1, 8, 8), 3, "digits"),
        ("mnist", (1, 28, 28), 2, "mnist"),
        ("nameless", (1, 8, 8), 2, None),
    ):
        vaecore.save(vaecore.build("vae", shape, latent), folder / name, dataset=dataset)
    return folder


@pytest.fixture(autouse=True)
def surroundings(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "ROOT", tmp_path)  # neither pretrained/ nor runs/
    monkeypatch.setenv("VAESCOPE_CHECKPOINTS", str(shelf))
    monkeypatch.setenv("VAESCOPE_DATA", str(tmp_path / "no-data"))
    monkeypatch.setattr(session, "warm", lambda: None)


def opened(page: str = "views/posterior.py", **address: str) -> AppTest:
    app = AppTest.from_file(MAIN, default_timeout=LIMIT)
    app.query_params.update(address)
    app.switch_page(page) if page else None
    app.run()
    assert not app.exception, app.exception
    return app


def panel(app: AppTest) -> str:
    """The numbers' HTML."""
    found = [element.proto.body for element in app.get("html") if "data-pick" in element.proto.body]
    return found[0] if found else ""


def test_home_lists_the_checkpoints() -> None:
    app = opened(page="")
    said = " ".join(element.value for element in app.markdown)
    assert all(f"**{name}**" in said for name in ("alpha", "beta", "cubic", "mnist"))


def test_home_without_checkpoints_says_how_to_train_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VAESCOPE_CHECKPOINTS", str(tmp_path / "none"))
    assert "python -m vaecore train" in opened(page="").info[0].value
    assert "python -m vaecore train" in opened().info[0].value


def test_posterior_shows_picture_and_numbers() -> None:
    app = opened(checkpoint="beta", image="7")
    assert app.selectbox[0].value == "beta"
    assert 'data-pick="image-7"' in panel(app)
    for name in ("log p(x)", "ELBO", "IWAE(100)", "amortization gap", "approximation gap"):
        assert name in panel(app)
    figure = app.get("plotly_chart")[0].proto.spec
    assert "Test image 7" in figure
    assert "best Gaussian" in figure


def test_another_checkpoint_can_be_chosen() -> None:
    app = opened(checkpoint="alpha", image="7")
    before = panel(app)
    app.selectbox[0].select("beta").run()
    assert not app.exception
    assert 'data-pick="image-7"' in panel(app)
    assert panel(app) != before


@pytest.mark.parametrize("image", ["-1", "355", "1e9", "x", "", "٣", "9" * 50])
def test_a_wrong_image_in_the_link_is_named(image: str) -> None:
    app = opened(checkpoint="alpha", image=image)
    assert "numbered from 0 to" in app.warning[0].value
    assert 'data-pick="image-0"' in panel(app)


def test_a_wrong_checkpoint_in_the_link_is_named() -> None:
    app = opened(checkpoint="../../etc")
    assert "../../etc" in app.warning[0].value
    assert app.selectbox[0].value == "alpha"


def test_a_sample_is_the_same_for_the_same_link() -> None:
    first = panel(opened(checkpoint="alpha", sample="3"))
    session.look.clear()
    assert 'data-pick="sample-3"' in first
    assert panel(opened(checkpoint="alpha", sample="3")) == first


def test_three_dimensions_are_declined_plainly() -> None:
    app = opened(checkpoint="cubic")
    assert "needs D = 2" in app.info[0].value
    assert not panel(app)


@pytest.mark.parametrize("name", ["mnist", "nameless"])
def test_without_images_there_are_samples(name: str) -> None:
    app = opened(checkpoint=name, image="5")
    assert "not on this computer" in app.info[0].value
    assert 'data-pick="sample-5"' in panel(app)
    assert "true z" in app.get("plotly_chart")[0].proto.spec


def test_missing_images_say_where_to_put_them_and_can_be_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened(checkpoint="mnist")
    assert any("train-images-idx3-ubyte" in element.value for element in app.markdown)
    monkeypatch.setattr(session, "download", lambda dataset: f"{dataset} could not be downloaded.")
    app.button(key="download").click().run()
    assert "could not be downloaded" in app.error[0].value


def test_a_broken_checkpoint_is_named_and_the_rest_goes_on(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("alpha", "torn", "mixed"):
        shutil.copytree(shelf / "alpha", tmp_path / name)
    (tmp_path / "torn" / "config.json").write_text("{")
    shutil.copy(shelf / "cubic" / "model.safetensors", tmp_path / "mixed" / "model.safetensors")
    monkeypatch.setenv("VAESCOPE_CHECKPOINTS", str(tmp_path))
    app = opened()
    assert "torn" in app.error[0].value
    assert 'data-pick="image-0"' in panel(app)
    app = opened(checkpoint="mixed")
    assert "does not fit its config.json" in app.error[-1].value


def test_equal_names_are_told_apart(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(shelf / "alpha", tmp_path / "more" / "alpha")
    monkeypatch.setenv("VAESCOPE_CHECKPOINTS", f"{shelf}:{tmp_path / 'more'}")
    assert {"alpha", "more/alpha"} <= set(session.checkpoints())


def test_other_images_can_be_drawn() -> None:
    app = opened(checkpoint="alpha")
    app.button(key="redraw").click().run()
    assert not app.exception
    assert any("seed 1" in element.value for element in app.caption)


def test_the_grid_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from vaecore import exact

    session.overview.clear()
    made, whole = [], exact.Overview.__init__
    monkeypatch.setattr(exact.Overview, "__init__", lambda *args, **named: made.append(1) or whole(*args, **named))
    for image in ("1", "2", "3"):
        opened(checkpoint="alpha", image=image)
    assert len(made) == 1


def test_stored_results_are_the_computed_ones() -> None:
    checkpoint = session.checkpoints()["alpha"]
    session.prepared(checkpoint)
    pick = session.Pick("image", 4)
    with session.computing():
        computed = session.computed_gap(checkpoint.digest, session.image(checkpoint, pick), checkpoint)
    rows = {f"exact.{name}": torch.as_tensor(value)[None].repeat_interleave(5, 0) for name, value in computed.items()}
    session.analysis(checkpoint.digest, checkpoint.folder).update(rows)
    stored = session.stored_gap(checkpoint.digest, pick, checkpoint)
    session.stored_analysis.clear()
    assert stored.keys() == computed.keys()
    assert stored["elbo"] == pytest.approx(computed["elbo"], rel=1e-5)
    assert stored["frame"] == pytest.approx(computed["frame"])


def test_two_visitors_at_once_get_the_same_answers() -> None:
    checkpoint, looks = session.checkpoints()["alpha"], []
    session.prepared(checkpoint)
    session.look.clear()

    def visit() -> None:
        looks.append([session.look(checkpoint.digest, session.Pick("image", i), checkpoint).iwae for i in range(5)])

    visitors = [threading.Thread(target=visit) for _ in range(3)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join()
    assert looks[0] == looks[1] == looks[2]


def test_the_first_paint_does_not_wait_for_torch() -> None:
    import subprocess

    code = "import sys; from app import main; sys.exit('torch' in sys.modules)"
    code = code.replace("main", "choices, figures, panels, session, widgets, words")
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(MAIN).parents[1], check=False).returncode == 0
