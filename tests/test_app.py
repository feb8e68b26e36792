"""Each page headless, with checkpoints of the test's own: good, broken, of another size, without images."""

import shutil
import sys
import threading
from pathlib import Path

import pytest
import torch
from models import BINARY, PIXELWISE, SMALL
from pages import set_apart, visited
from streamlit.testing.v1 import AppTest

import vaecore
from app import figures, session
from app.plain import quoted

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


@pytest.fixture(scope="module")
def family(shelf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`alpha` and every system: with a decoder of its own, and, as `with-NAME`, with alpha's."""
    folder, alpha = tmp_path_factory.mktemp("family"), vaecore.load(shelf / "alpha")
    shutil.copytree(shelf / "alpha", folder / "alpha")
    torch.manual_seed(1)
    for name in vaecore.RECIPES:
        vae = vaecore.build(name, (1, 8, 8), **(SMALL[name] if name in BINARY else {}))
        vaecore.save(vae, folder / name, dataset="digits")
        if name in BINARY:  # no other system has a decoder like theirs
            continue
        vae.decoder.load_state_dict(alpha.decoder.state_dict())
        if name in ("sa", "laplace-vae"):
            vae.encoder.load_state_dict(alpha.encoder.state_dict())
        vaecore.save(vae, folder / f"with-{name}", dataset="digits")
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


@pytest.mark.parametrize("page", ["posterior", "unsure", "learned", "prior", "health"])
@pytest.mark.parametrize(("shape", "dataset"), [((1, 9, 9), "digits"), ((1, 8, 8), None)])
def test_images_that_do_not_fit_or_have_no_name_are_not_said_to_be_elsewhere(
    page: str, shape: tuple, dataset: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vaecore.save(vaecore.build("vae", shape, net="dense"), tmp_path / "shelf" / "odd", dataset=dataset)
    set_apart(tmp_path, tmp_path / "shelf", monkeypatch)
    app = visited(f"views/{page}.py", {"checkpoint": "odd"})
    assert not app.exception
    said = " ".join(element.value for kind in (app.info, app.markdown, app.caption, app.error) for element in kind)
    assert "not on this computer" not in said
    assert ("do not fit" in said or "do not have the shape" in said) if dataset else "data set" in said
    assert not [button for button in app.button if "Download" in button.label]


def test_three_dimensions_are_declined_plainly() -> None:
    app = opened(checkpoint="cubic")
    assert "needs D = 2" in app.info[0].value
    assert not panel(app)


@pytest.mark.parametrize(
    ("name", "why"),
    [("mnist", "The images are not on this computer"), ("nameless", "This checkpoint names no data set")],
)
def test_without_images_there_are_samples(name: str, why: str) -> None:
    app = opened(checkpoint=name, image="5")
    assert app.info[0].value.startswith(f"{why}: you see samples")
    assert [button.label for button in app.button if "Download" in button.label] == ["Download mnist"] * (
        name == "mnist"
    )
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


def test_a_stored_image_waits_for_no_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    from vaecore import exact

    checkpoint, pick = session.checkpoints()["beta"], session.Pick("image", 4)
    found = session.computed_gap(checkpoint.digest, session.image(checkpoint, pick), checkpoint)
    rows = {f"exact.{name}": torch.as_tensor(value)[None].repeat_interleave(5, 0) for name, value in found.items()}
    session.analysis(checkpoint.digest, checkpoint.folder).update(rows)
    session.overview.clear()
    session.look.clear()
    made, whole = [], exact.Overview.__init__
    monkeypatch.setattr(exact.Overview, "__init__", lambda *args, **named: made.append(1) or whole(*args, **named))
    opened(checkpoint="beta", image="4")
    assert not made
    opened(checkpoint="beta", image="5")
    session.stored_analysis.clear()
    assert made


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


DIAGONAL = ("vae", "sa", "gpvae", "rnvp-p", "vampprior", "resnet-af")
QUICK = [name for name in vaecore.RECIPES if name not in PIXELWISE]


@pytest.mark.parametrize("name", QUICK)
def test_every_system_has_its_page(name: str, family: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAESCOPE_CHECKPOINTS", str(family))
    app = opened(checkpoint=name, image="3")
    assert not app.error
    assert 'data-pick="image-3"' in panel(app)
    assert ("amortization gap" in panel(app)) == (name in DIAGONAL)
    assert ("gap of the best diagonal Gaussian" in panel(app)) == (name not in DIAGONAL)
    assert ("The 4 steps of the refinement" in beside(app)) == (name in ("sa", "laplace-vae"))
    assert ("refinement" in app.get("plotly_chart")[0].proto.spec) == (name in ("sa", "laplace-vae"))


def beside(app: AppTest) -> str:
    """The HTML of the path and of the table."""
    return " ".join(element.proto.body for element in app.get("html") if "class='beside'" in element.proto.body)


def test_a_shared_decoder_is_overlaid_and_another_stands_beside(family: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAESCOPE_CHECKPOINTS", str(family))
    guests = ["with-rme", "with-gpvae", "iaf"]
    app = opened(checkpoint="alpha", image="3", **{"with": guests})
    assert app.multiselect[0].value == guests
    large, small = (chart.proto.spec for chart in app.get("plotly_chart"))
    assert all(f'"{label}"' in large for label in ("VAE", "RME(5)", "GPVAE"))
    assert "IAF(4)" not in large
    assert "IAF(4): gap" in small
    assert all(f"data-name='{name}'" in beside(app) for name in ("alpha", *guests))
    assert app.query_params["with"] == guests
    app.multiselect[0].unselect("iaf").run()
    assert len(app.get("plotly_chart")) == 1
    assert app.query_params["with"] == guests[:2]


@pytest.mark.parametrize("guest", ["nothing", "cubic", "mnist", "nameless", "<b>"])
def test_a_wrong_guest_in_the_link_is_named(guest: str) -> None:
    app = opened(checkpoint="alpha", image="3", **{"with": [guest, "beta"]})
    assert quoted(guest, 60) in app.warning[0].value
    assert app.multiselect[0].value == ["beta"]
    assert "data-name='beta'" in beside(app)


def test_a_broken_guest_is_named_and_the_rest_goes_on(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("alpha", "beta", "mixed"):
        shutil.copytree(shelf / name.replace("mixed", "alpha"), tmp_path / name)
    shutil.copy(shelf / "cubic" / "model.safetensors", tmp_path / "mixed" / "model.safetensors")
    monkeypatch.setenv("VAESCOPE_CHECKPOINTS", str(tmp_path))
    app = opened(checkpoint="alpha", image="3", **{"with": ["mixed", "beta"]})
    assert "does not fit its config.json" in app.error[0].value
    assert "data-name='beta'" in beside(app)


def test_two_of_one_system_are_told_apart() -> None:
    app = opened(checkpoint="alpha", image="3", **{"with": ["beta"]})
    assert "VAE, beta: gap" in app.get("plotly_chart")[1].proto.spec


def test_guests_look_at_the_very_same_sample(family: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAESCOPE_CHECKPOINTS", str(family))
    found, pick = session.checkpoints(), session.Pick("sample", 3)
    host = found["alpha"]
    looks = [session.guest(found[name], pick, host) for name in ("with-rme", "iaf")]
    own = session.look(host.digest, pick, host)
    assert all((look.original == own.original).all() for look in looks)
    assert looks[0].log_evidence == pytest.approx(own.log_evidence, abs=0.02)
    assert looks[1].log_evidence != pytest.approx(own.log_evidence, abs=0.02)
    assert (session.look(found["iaf"].digest, pick, found["iaf"]).original != own.original).any()


def test_equal_weights_of_two_systems_are_not_confused(family: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAESCOPE_CHECKPOINTS", str(family))
    found = session.checkpoints()
    weights = [found[name].folder / "model.safetensors" for name in ("alpha", "with-sa")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert found["alpha"].digest != found["with-sa"].digest
    assert session.same_posterior(found["alpha"], found["with-sa"])
    assert not session.same_posterior(found["alpha"], found["sa"])


@pytest.mark.parametrize("name", ["sa", "laplace-vae"])
def test_a_path_leads_from_the_encoder_to_q(name: str, family: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAESCOPE_CHECKPOINTS", str(family))
    found, pick = session.checkpoints(), session.Pick("image", 3)
    host, refined = found["alpha"], found[f"with-{name}"]
    path, look = session.path(refined.digest, pick, refined), session.look(refined.digest, pick, refined)
    plain = session.look(host.digest, pick, host)
    assert len(path.gaps) == 5
    assert path.places[0] == pytest.approx(plain.q_loc)
    assert path.gaps[0] == pytest.approx(plain.gap, abs=0.05)
    assert path.places[-1] == pytest.approx(look.q_loc)
    assert path.gaps[-1] == pytest.approx(look.gap, abs=0.02)
    assert session.path(host.digest, pick, host) is None


def test_a_mixtures_sketch_holds_each_component_that_matters() -> None:
    from torch.distributions import Categorical

    from vaecore.distributions import Mixture, diagonal

    loc, log_sd = torch.tensor([[0.0, 0.0], [9.0, -4.0], [40.0, 0.0]]), torch.tensor([0.02, 0.5, 0.1]).log()
    parts = diagonal(torch.cat([loc, 2 * log_sd[:, None].expand(3, 2)], 1)[None])
    drawn = session.sketch(Mixture(Categorical(torch.tensor([[0.7, 0.2999, 0.0001]])), parts))
    left, right, bottom, top = session.outline(drawn).box()
    # The wide one's peak lies 7.3 nats below the narrow one's, and it holds 30 %; the third holds nothing.
    assert drawn.family == "mixture of 3 Gaussians"
    assert drawn.peak == pytest.approx([0, 0], abs=0.02)
    assert left == pytest.approx(-0.08, abs=0.04)
    assert top == pytest.approx(0.08, abs=0.04)
    assert right == pytest.approx(10.5, abs=0.6)
    assert bottom == pytest.approx(-5.5, abs=0.6)
    assert drawn.weight.sum() == pytest.approx(1, abs=1e-4)
    held = [figures.outside(drawn.z, drawn.weight, frame) for frame in ((-1, 1, -1, 1), (-1, 12, -7, 1))]
    assert held == pytest.approx([0.3, 0.0001], abs=1e-3)


def test_a_sketch_of_a_full_covariance_is_its_density() -> None:
    from torch.distributions import MultivariateNormal

    q = MultivariateNormal(torch.tensor([[1.0, -2.0]]), torch.tensor([[[0.09, 0.05], [0.05, 0.04]]]))
    drawn = session.sketch(q)
    assert drawn.reach == pytest.approx(4.5, abs=0.8)
    left, right, bottom, top = session.outline(drawn).box()
    assert (left, right) == pytest.approx((0.1, 1.9), abs=0.07)
    assert (bottom, top) == pytest.approx((-2.6, -1.4), abs=0.05)
    at = torch.tensor([[drawn.axes[0][20], drawn.axes[1][30]]])
    assert drawn.log_density[20, 30] == pytest.approx(float(q.log_prob(at)), rel=1e-5)


def test_the_first_paint_does_not_wait_for_torch() -> None:
    import subprocess

    code = "import sys; from app import main; sys.exit('torch' in sys.modules)"
    code = code.replace("main", "choices, comparison, figures, panels, session, widgets, words")
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(MAIN).parents[1], check=False).returncode == 0
