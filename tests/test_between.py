"""The page of interpolations headless: pairs that share a latent space or not, kinds of ways, rows, links, absences."""

import base64
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from pages import set_apart, visited
from PIL import Image
from streamlit.testing.v1 import AppTest

import vaecore
from app import between, between_chosen, between_priors, between_words, figures_between, holes, session
from vaecore import paths


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For D = 2 and 3 a standard VAE, the same with a post-hoc prior, and a joint one; a flow q; one without images."""
    folder, train = tmp_path_factory.mktemp("shelf"), vaecore.load_dataset("dynamic_digits", "train").first(400)
    torch.manual_seed(0)
    for latent in (2, 3):
        start, options = folder / f"plain-{latent}", {"likelihood": "bernoulli", "net": "small"}
        vae = vaecore.build("vae", (1, 8, 8), latent, **options)
        vaecore.fit(vae, "vae", train, epochs=3, folder=start, seed=0)
        for name, training, begun in (("after", "post-hoc", start), ("joint", "joint", None)):
            vae = vaecore.build("rnvp-p", (1, 8, 8), latent, training=training, depth=2, **options)
            vaecore.fit(vae, "rnvp-p", train, epochs=3, folder=folder / f"{name}-{latent}", start=begun, seed=0)
    flow = vaecore.build("rnvp-q", (1, 8, 8), 3, depth=2, net="small")
    vaecore.save(flow, folder / "flow-3", dataset="dynamic_digits")
    pixels = vaecore.build("pixelvae", (1, 8, 8), 2, prior="rnvp", depth=1)
    vaecore.save(pixels, folder / "pixels-2", dataset="dynamic_digits")
    absent = vaecore.build("rnvp-p", (1, 28, 28), 2, depth=2, net="small")
    vaecore.save(absent, folder / "absent", dataset="mnist")
    return folder


@pytest.fixture(autouse=True)
def surroundings(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_apart(tmp_path, shelf, monkeypatch)


def opened(**address: str | list[str]) -> AppTest:
    return sound(visited("views/between.py", address))


def sound(app: AppTest) -> AppTest:
    assert not app.exception, app.exception
    assert not app.error, app.error[0].value
    return app


def bodies(app: AppTest) -> str:
    return " ".join(element.proto.body for element in app.get("html"))


def pairs(app: AppTest) -> list[str]:
    return re.findall(r"data-pair='([^']+)'", bodies(app))


def strips(app: AppTest) -> list[tuple[str, float]]:
    return [(name, float(v)) for name, v in re.findall(r"data-prior='([^']+)' data-valley='([^']+)'", bodies(app))]


def entry(name: str) -> holes.Entry:
    return holes.entry(session.checkpoints()[name])


def test_the_page_opens_with_a_learned_prior_and_the_standard_one_it_stands_on() -> None:
    app = opened()
    assert app.selectbox[0].value == "plain-2"
    assert app.multiselect[0].value == ["after-2", "joint-2"]
    assert 1 <= len(pairs(app)) <= 4
    assert len(strips(app)) == 3 * len(pairs(app))
    assert len(app.get("plotly_chart")) == 3
    for chart in app.get("plotly_chart"):
        ways = re.findall(r"Way \d, [^:]+: log p\(z\) \S+ \S+ \S+, lowest \S+, (?:valley|no valley)", chart.proto.alt)
        assert len(ways) == chart.proto.alt.count("Way ") > 0
    assert bodies(app).count("class='dreams'") == 3


def test_a_post_hoc_pair_shares_one_way_and_a_joint_one_has_its_own() -> None:
    app = opened(checkpoint="plain-3", rows="5-9")
    assert [name for name, _ in strips(app)] == ["plain-3", "after-3", "joint-3"]
    assert bodies(app).count("class='frames'") == 2
    assert bodies(app).count("class='few'") == 2
    assert bodies(app).count("class='end'") == 4
    assert len(app.get("plotly_chart")) == 0
    # Each prior chooses its own highest pass.
    assert bodies(opened(checkpoint="plain-3", rows="5-9", path="highest")).count("class='frames'") == 3


def test_numbers_are_the_librarys() -> None:
    app = opened(checkpoint="joint-3", rows="5-9,7-3", **{"with": "none"})
    vae, x = vaecore.load(entry("joint-3").checkpoint.folder), vaecore.load_dataset("dynamic_digits", "test").images
    with torch.no_grad():
        z = vae.posterior(x).mean
        for place, (i, j) in enumerate(((5, 9), (7, 3))):
            log_p = vae.prior().log_prob(paths.refined(paths.linear(z[i], z[j])))
            assert strips(app)[place] == ("joint-3", pytest.approx(float(paths.valley(log_p)), abs=0.011))


@pytest.mark.parametrize("kind", between.KINDS)
def test_every_kind_of_way_is_the_librarys_and_never_worse_than_the_straight_line(kind: str) -> None:
    for name in ("joint-2", "joint-3"):
        one, vae = entry(name), vaecore.load(entry(name).checkpoint.folder)
        way, straight = (torch.from_numpy(between.path(one, (5, 9), each)) for each in (kind, "linear"))
        assert torch.equal(way[[0, -1]], straight[[0, -1]])
        with torch.no_grad():
            if kind == "highest":
                lowest = [paths.lowest(vae.prior(), each) for each in (way, straight)]
                assert lowest[0] >= lowest[1] - 2 * paths.ROUNDING
            if kind == "smoothest":
                found, before = (paths.energy(vae.likelihood(each).mean) for each in (way, straight))
                assert found <= before
            if kind == "spherical":
                assert torch.equal(way, paths.spherical(straight[0], straight[-1]))
        assert kind in opened(checkpoint=name, path=kind, rows="5-9").session_state["between_path"]


def test_rows_are_added_sorted_and_removed() -> None:
    app = opened(checkpoint="plain-3", rows="5-9")
    app.text_input(key="between_text").set_value("1, 2, 3").run()
    assert pairs(sound(app)) == ["1-2", "2-3", "5-9"]
    app.button(key="between_sort").click().run()
    depths = [valley for name, valley in strips(sound(app)) if name == "after-3"]
    assert depths == sorted(depths)
    app.button(key="remove-2-3").click().run()
    assert set(pairs(sound(app))) == {"1-2", "5-9"}
    app.text_input(key="between_text").set_value("1, 355").run()
    assert "0 to 354" in app.warning[0].value
    assert set(pairs(app)) == {"1-2", "5-9"}
    for pair in ("1-2", "5-9"):
        app.button(key=f"remove-{pair}").click().run()
    assert pairs(sound(app)) == []
    assert "Choose two images" in app.info[0].value


def test_pairs_are_searched() -> None:
    app = opened(checkpoint="joint-2", rows="5-9")
    app.button(key="between_find_valley").click().run()
    assert len(pairs(sound(app))) == 4
    deep = [valley for name, valley in strips(app) if name == "joint-2"][:3]
    app.button(key="between_find_smooth").click().run()
    assert len(pairs(sound(app))) == 7
    smooth = [valley for name, valley in strips(app) if name == "joint-2"][:3]
    assert max(deep) <= min(smooth)
    app.button(key="between_find_valley").click().run()
    assert len(pairs(sound(app))) == between_chosen.MOST


def test_two_clicks_make_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    state = {}
    monkeypatch.setattr(between_chosen.st, "session_state", state)
    for click in (12, "nonsense", -1, 355, None):
        between_chosen.choose(click, 355, [(5, 9)])
        assert state == {"between_from": 12, "between_clicked": 12}
    between_chosen.choose(40, 355, [(5, 9)])
    assert state == {"between_from": None, "between_clicked": 40, "between_rows": [(12, 40), (5, 9)]}
    for _ in range(2):  # the same image twice: never mind
        between_chosen.choose(8, 355, [(5, 9)])
    assert state["between_from"] is None
    assert state["between_rows"] == [(12, 40), (5, 9)]


def test_a_link_opens_the_same_and_nonsense_is_said() -> None:
    app = opened(checkpoint="plain-2", rows="5-9,1-2", image="7", seed="3", path="spherical", **{"with": "joint-2"})
    assert pairs(app) == ["5-9", "1-2"]
    assert any("From test image 7" in caption.value for caption in app.caption)
    assert any(caption.value == "seed 3" for caption in app.caption)
    assert app.session_state["between_path"] == "spherical"
    for address, words in (
        ({"rows": "5-5"}, "rows are pairs"),
        ({"rows": "5-355"}, "from 0 to 354"),
        ({"rows": "<b>"}, "rows are pairs"),
        ({"image": "-1"}, "a whole number from 0 to 354"),
        ({"seed": "x"}, "a whole number"),
        ({"path": "winding"}, "linear, spherical"),
    ):
        app = opened(checkpoint="plain-3", **{"rows": "5-9", **address})
        assert words in app.warning[0].value


def test_others_are_drawn_by_a_seed() -> None:
    app = opened(checkpoint="joint-3", rows="5-9")
    first = re.findall(r"<figure class='dreams'>.*?</figure>", bodies(app))
    app.button(key="between_redraw").click().run()
    assert re.findall(r"<figure class='dreams'>.*?</figure>", bodies(sound(app))) != first
    again = opened(checkpoint="joint-3", rows="5-9", seed="1")
    assert re.findall(r"<figure class='dreams'>.*?</figure>", bodies(again)) != first


def test_the_nearest_training_images_are_grey_and_nearest() -> None:
    found, train = between_priors.samples(entry("joint-3"), 0), training()
    assert found.means.shape == (6, 5, 1, 8, 8)
    distances = ((found.means[:, -1, None] - train[None]) ** 2).sum((2, 3, 4))
    assert found.indices == distances.argmin(1).tolist()
    assert (found.nearest == train[found.indices]).all()
    assert len(np.unique(found.nearest)) > 2


def test_what_is_drawn_pixel_after_pixel_tells_how_far_it_is_and_is_kept() -> None:
    shares: list[float] = []
    found = between_priors.samples(entry("pixels-2"), 5, shares.append)
    assert shares == [row / 8 for row in range(1, 9)]
    assert between_priors.samples(entry("pixels-2"), 5, shares.append) is found
    assert len(shares) == 8


def training() -> np.ndarray:
    return vaecore.load_dataset("dynamic_digits", "train").grey.numpy()


def test_one_standard_prior_alone() -> None:
    app = opened(checkpoint="plain-3", **{"with": "none"})
    assert {name for name, _ in strips(app)} == {"plain-3"}
    assert all(valley == 0 for _, valley in strips(app))
    assert app.button(key="between_find_valley").disabled
    assert "cannot see one" in " ".join(element.value for element in app.markdown)
    assert any('choose one at "Compare with"' in caption.value for caption in app.caption)


def test_without_any_learned_prior(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(shelf / "plain-3", tmp_path / "lone" / "plain-3")
    monkeypatch.setenv("VAESCOPE_CHECKPOINTS", str(tmp_path / "lone"))
    app = opened()
    assert {name for name, _ in strips(app)} == {"plain-3"}
    assert any("no such checkpoint of this data set with D = 3" in caption.value for caption in app.caption)


def test_flows_offer_the_first_thousand_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(between, "FEW", 50)
    between.few_codes.clear()
    app = opened(checkpoint="flow-3", **{"with": "after-3"})
    assert "first 50 test images" in app.info[0].value
    assert all(max(map(int, pair.split("-"))) < 50 for pair in pairs(app))
    between.few_codes.clear()


def test_a_decoder_that_draws_pixel_after_pixel() -> None:
    app = opened(checkpoint="pixels-2", rows="5-9", path="smoothest", **{"with": "none"})
    assert "linear, spherical, highest" in app.warning[0].value
    assert app.session_state["between_path"] == "linear"
    assert len(strips(app)) == 1


def test_without_images_the_ways_are_drawn_all_the_same() -> None:
    app = opened(checkpoint="absent")
    assert "not on this computer" in app.info[0].value
    assert len(pairs(app)) > 0
    assert "class='end'" not in bodies(app)
    assert any("training images" in caption.value for caption in app.caption)


def test_without_any_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAESCOPE_CHECKPOINTS", str(tmp_path))
    assert "no checkpoint yet" in opened().info[0].value


def pixels(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))


def test_the_strip_lies_under_the_images() -> None:
    """Each image's colour is that of its own step, and lighter is likelier."""
    for learned, ramp in figures_between.RAMPS.items():
        strip = pixels(figures_between.strip(np.linspace(-10, 0, 4 * 8 + 1), 5, (-10, 0), learned))
        assert strip.shape == (1, 5 * 8, 3)
        for step, colour in enumerate(ramp):  # as many colours as steps: the middle of an image has its own
            middle = strip[0, [8 * step + 3, 8 * step + 4]].mean(0) / 255
            assert middle == pytest.approx(figures_between.rgb(colour), abs=0.04)
        light = strip[0].astype(int).sum(1)
        assert (np.diff(light) >= 0).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_mosaic_has_clear_gaps(channels: int) -> None:
    images = np.random.default_rng(0).random((2, 3, channels, 8, 8)).astype(np.float32)
    found = pixels(figures_between.mosaic(images))
    assert found.shape == (2 * 33 - 1, 3 * 33 - 1, 4)
    assert (found[32, :, 3] == 0).all()
    assert (found[:, 65, 3] == 0).all()
    tile = found[33:65:4, 66:98:4]
    assert (tile[..., 3] == 255).all()
    assert tile[..., 0] == pytest.approx(255 * images[1, 2, 0], abs=0.51)
    assert tile[..., 2] == pytest.approx(255 * images[1, 2, -1], abs=0.51)


def test_the_plane_shows_the_ways_under_their_numbers() -> None:
    app = opened(checkpoint="joint-2", path="highest", rows="5-9,1-2", **{"with": "none"})
    figure = json.loads(app.get("plotly_chart")[0].proto.spec)
    assert [trace["text"] for trace in figure["data"] if "text" in trace] == [["1"], ["2"]]
    assert figure["data"][0]["type"] == "contour"


def test_sentences() -> None:
    one, other = entry("plain-3"), entry("after-3")
    names = {"plain-3": "VAE", "after-3": "learned"}
    said = between_words.lesson({"plain-3": [0.0, 0.0], "after-3": [-3.0, -0.01]}, [one, other], names, "linear")
    assert said.startswith(
        "On 2 ways (straight line) N(0, I) of VAE sees no valley, and learned sees one, 3.0 nats deep."
    )
    assert between_words.strip(np.array([-1.0, -4.0, -2.0]), -2.5)[1] == "valley −2.5 nats"
    assert between_words.strip(np.array([-1.0, -1.5, -2.0]), 0.0)[1] == "no valley"
