"""The page of codes headless: maps, selections, clusters, probes, pictures, links, and what is not there."""

import base64
import re
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from models import collapsed
from pages import LIMIT, MAIN, set_apart, visited
from streamlit.testing.v1 import AppTest

import vaecore
from app import (
    figures_learned,
    jobs,
    learned,
    learned_chosen,
    learned_clusters,
    learned_map,
    learned_widgets,
    learned_words,
    session,
)
from app.learned_chosen import Selection
from app.learned_clusters import Grouping
from app.learned_colours import Colour, measured, painted
from app.learned_map import View
from vaecore import checkpoints, embedding, evaluation
from vaecore.learned import cluster_accuracy, kmeans, label_clusters


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of dynamic digits: two of five dimensions, trained a little, one flat, a GPVAE, a refined one; one of MNIST."""
    folder, train = tmp_path_factory.mktemp("shelf"), vaecore.load_dataset("dynamic_digits", "train").first(300)
    torch.manual_seed(0)
    small = {"likelihood": "bernoulli", "net": "small"}
    for name, recipe, latent, more in (
        ("deep", "vae", 5, {}),
        ("joint", "rnvp-p", 5, {"depth": 2}),
        ("flat", "vae", 2, {}),
    ):
        vae = vaecore.build(recipe, (1, 8, 8), latent, **small, **more)
        vaecore.fit(vae, recipe, train, epochs=1, folder=folder / name, seed=0)
    for name, recipe, dataset, shape in (
        ("gp", "gpvae", "dynamic_digits", (1, 8, 8)),
        ("refined", "sa", "dynamic_digits", (1, 8, 8)),
        ("absent", "vae", "mnist", (1, 28, 28)),
    ):
        vaecore.save(vaecore.build(recipe, shape, 3, net="small"), folder / name, dataset=dataset)
    collapsed(folder / "same", "dynamic_digits", 5)
    return folder


@pytest.fixture(autouse=True)
def surroundings(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_apart(tmp_path, shelf, monkeypatch)


def opened(whole: bool = True, **address: str | list[str]) -> AppTest:
    app = visited("views/learned.py", {"checkpoint": "deep", **address})
    return finished(app) if whole else sound(app)


def finished(app: AppTest, patience: float = 60) -> AppTest:
    """Once all that is computed in threads of its own is there."""
    end = time.monotonic() + patience
    while waiting(sound(app)) and time.monotonic() < end:
        time.sleep(0.1)
        app.run()
    assert not waiting(app)
    return sound(app)


def waiting(app: AppTest) -> bool:
    return bool(app.get("progress"))


def sound(app: AppTest) -> AppTest:
    assert not app.exception, app.exception
    return app


def bodies(app: AppTest) -> str:
    return " ".join(element.proto.body for element in app.get("html"))


def entry(name: str) -> session.Checkpoint:
    return session.checkpoints()[name]


def linked(app: AppTest) -> dict:
    return {name: app.query_params[name] for name in app.query_params}


SQUARE = "0_pca_20000.20000~45000.20000~45000.45000~20000.45000"


# ---- the page


@pytest.mark.parametrize("way", ["tsne", "umap"])
def test_codes_that_are_all_the_same_have_reasons_in_place_of_numbers_beside_another_checkpoint(way: str) -> None:
    app = finished(visited("views/learned.py", {"checkpoint": "same", "map": way, "with": "deep"}))
    [error] = [element.value for element in app.error if "t-SNE" in element.value or "UMAP" in element.value]
    assert "The codes are all the same" in error
    assert any("for deep. It takes" in element.value for element in app.info)  # deep's map is offered all the same
    assert any("so that K-means has nothing" in element.value for element in app.error)
    html = bodies(app)
    assert html.count("class='heat'") == 1
    assert "class='dreams'" in html  # samples below are still drawn
    app.button(key="learned_train").click().run()
    finished(app)
    assert any("so that a probe has nothing" in element.value for element in app.error)
    assert "data-name='" in bodies(app).split("class='probes'")[1]


def test_a_map_coloured_by_clusters_says_why_a_checkpoint_has_none() -> None:
    app = opened(checkpoint="same", colour="cluster")
    assert any("so that K-means has nothing" in element.value for element in app.error)
    assert "class='dreams'" in bodies(app)
    assert learned_map.map_of(entry("same"), View(), learned_map.shown([entry("same")], View())).note == (
        "PCA of codes that are all the same"
    )


def test_the_page_shows_maps_clusters_reconstructions_and_samples() -> None:
    app = opened(**{"with": ["joint"]})
    assert not app.error
    said, html = " ".join(element.value for element in app.markdown), bodies(app)
    assert "Enclose points" in said
    assert "10 clusters of" in said
    assert html.count("class='heat'") == 2
    assert html.count("class='dreams'") == 2
    assert html.count("class='groups'") == 1
    assert "The paper clusters MNIST alone" in " ".join(element.value for element in app.caption)
    assert linked(app) == {"checkpoint": "deep", "with": "joint"}


def test_a_first_visit_prefers_more_than_two_dimensions() -> None:
    app = AppTest.from_file(MAIN, default_timeout=LIMIT)
    app.switch_page("views/learned.py")
    app.run()
    assert sound(app).selectbox(key="checkpoint").value in ("deep", "joint", "gp", "refined")


def test_two_dimensions_are_drawn_as_they_are_and_offer_no_map() -> None:
    app = opened(checkpoint="flat", map="umap")
    assert all(control.key != "learned_map" for control in app.get("button_group"))
    loc, _ = learned.coded(entry("flat"), "test")
    found = learned_map.map_of(
        entry("flat"), View(method="umap"), learned_map.shown([entry("flat")], View(method="umap"))
    )
    assert found.source == "z"
    with torch.no_grad():
        data = embedding.gather("dynamic_digits")
        z = vaecore.load(entry("flat").folder).posterior(data.images).mean.numpy()
    np.testing.assert_allclose(loc, z, atol=1e-5)
    slope = 0.94 * 65535 / (z.max(0) - z.min(0)).max()  # one scale for both axes
    middle = (z.max(0) + z.min(0)) / 2
    np.testing.assert_allclose(found.places, (z - middle) * slope + 32767.5, atol=1.5)


def test_a_selection_shows_what_its_images_share_and_their_reconstructions() -> None:
    app = opened(select=SQUARE, **{"with": ["joint", "flat"]})
    count = int(re.search(r"class='common' data-selected='(\d+)'", bodies(app))[1])
    found = learned_map.map_of(entry("deep"), View(), learned_map.shown([entry("deep")], View()))
    x, y = found.places.T.astype(int)
    assert count == int(((x > 20000) & (x < 45000) & (y > 20000) & (y < 45000)).sum()) > 5
    assert bodies(app).count("class='groups'") == 2
    assert linked(app)["select"] == SQUARE
    # The same images whatever is shown: also by label, and under another colour.
    assert f"data-selected='{count}'" in bodies(opened(select=SQUARE, colour="kl", **{"with": ["joint", "flat"]}))


def test_a_label_of_the_legend_selects_its_images() -> None:
    app = opened(select="0_label_3", whole=False)
    known = vaecore.load_dataset("digits", "test").labels
    assert f"data-selected='{int((known == 3).sum())}'" in bodies(app)
    assert "all are 3" in bodies(app)


@pytest.mark.parametrize(
    "text", ["", "x", "9_pca_1.1~2.2~3.1", "0_pca_1.1~2.2", "0_pca_1.1~2.2~3.9999999", "0_label_x"]
)
def test_a_selection_that_cannot_be_read_is_named(text: str) -> None:
    assert learned_chosen.parsed(text) is None
    app = opened(whole=False, select=text)
    assert "cannot be read" in app.warning[0].value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("split", "valid"),
        ("map", "pacmap"),
        ("colour", "red"),
        ("k", "1"),
        ("k", "51"),
        ("kseed", "-1"),
        ("labels", "7"),
    ],
)
def test_a_link_to_what_there_is_not_is_named(name: str, value: str) -> None:
    app = opened(whole=False, **{name: value})
    assert f"{name} {value!r}" in app.warning[0].value
    assert name not in linked(app)


def test_the_address_is_read_and_written() -> None:
    asked = {"split": "all", "colour": "error", "k": "12", "kseed": "3", "draw": "5", "lseed": "2", "labels": "1000"}
    app = opened(**asked)
    assert {name: value for name, value in linked(app).items() if name in asked} == asked
    assert app.number_input(key="learned_k").value == 12


# ---- numbers


def test_clusters_are_the_librarys_and_follow_k_and_seed() -> None:
    app = opened()
    app.number_input(key="learned_k").set_value(6)
    app.number_input(key="learned_kseed").set_value(4)
    app = finished(app.run())
    train, test = embedding.gather("dynamic_digits", "train"), embedding.gather("dynamic_digits", "test")
    with torch.no_grad():
        vae = vaecore.load(entry("deep").folder)
        z, codes = (vae.posterior(part.images).mean.numpy() for part in (train, test))
    fit = kmeans(z, 6, 4)
    found = learned_clusters.clusters(entry("deep"), Grouping(6, 4)).value
    for rule, accuracy in found.accuracy.items():
        named = label_clusters(fit, z, train.labels, rule)
        assert accuracy == pytest.approx(cluster_accuracy(fit.predict(codes), named, test.labels), abs=0.01)
        assert f"<td>{100 * accuracy:.1f}</td>" in bodies(app)
    assert found.confusion.sum() == len(test)
    assert "data-clusters='6'" in bodies(app)


def test_probes_train_when_asked_and_are_in_the_link() -> None:
    app = opened()
    assert "class='probes'" not in bodies(app)
    app.button(key="learned_train").click()
    app = finished(app.run())
    assert "class='probes'" in bodies(app)
    found = learned_clusters.probed(entry("deep"), 100, 0).value
    assert all(0.1 < accuracy < 1 for accuracy in found.values())
    assert f"{100 * found['knn']:.1f} %" in " ".join(element.value for element in app.markdown)
    assert linked(app)["probe"] == "1"


def test_numbers_behind_the_colours() -> None:
    these = learned_map.shown([entry("deep")], View())
    with torch.no_grad():
        x = embedding.gather("dynamic_digits").images
        q = vaecore.load(entry("deep").folder).posterior(x)
        kl = torch.distributions.kl_divergence(
            q, torch.distributions.Independent(torch.distributions.Normal(torch.zeros(5), 1.0), 1)
        )
    opened(colour="kl", whole=False)
    np.testing.assert_allclose(measured(entry("deep"), "kl", "test"), kl, rtol=1e-4)
    spread = measured(entry("deep"), "uncertainty", "test")
    np.testing.assert_allclose(spread, q.variance.log().mean(1), rtol=1e-3)
    opened(checkpoint="gp", colour="uncertainty", whole=False)
    f, h = vaecore.load(entry("gp").folder).encoder.uncertainty(x)
    np.testing.assert_allclose(measured(entry("gp"), "uncertainty", "test"), (f + h).detach(), rtol=1e-3)
    found = painted(entry("deep"), Colour("kl", Grouping()), these)
    assert np.corrcoef(found.values, kl.numpy())[0, 1] > 0.97
    assert found.legend["note"] == "KL(q(z|x) || p(z)), nats"


def test_divergences_without_a_closed_form_tend_to_what_integration_gives() -> None:
    vae = vaecore.build("rnvp-p", (1, 8, 8), 2, depth=2, net="small").eval()
    x = torch.rand(2, 1, 8, 8)
    with torch.no_grad():
        found = evaluation.divergences(vae, x, samples=2_000)
        q, p = vae.posterior(x), vae.prior()
        axis = torch.linspace(-5, 5, 161)
        z = torch.cartesian_prod(axis, axis)
        log_q = q.log_prob(z[:, None])
        truth = (log_q.exp() * (log_q - p.log_prob(z)[:, None])).sum(0) * (axis[1] - axis[0]) ** 2
    torch.testing.assert_close(found, truth, atol=0.06, rtol=0.03)


def test_the_error_colour_is_the_clusters_error() -> None:
    app = opened(colour="error")
    found = learned_clusters.clusters(entry("deep"), Grouping()).value
    these = learned_map.shown([entry("deep")], View())
    wrong = painted(entry("deep"), Colour("error", Grouping()), these).values
    assert 1 - wrong.mean() == pytest.approx(found.accuracy["majority"])
    assert not waiting(app)


def test_images_and_labels_are_numbered_through_the_whole_set() -> None:
    whole = embedding.gather("dynamic_digits", "all")
    rows = np.array([3, 900, 0, len(whole) - 1])
    assert torch.equal(learned.images("dynamic_digits", rows), whole.images[rows])
    assert learned.labels("dynamic_digits", rows).tolist() == whole.labels[rows].tolist()
    tests, others = learned.sizes("dynamic_digits")
    assert learned.rows_of("dynamic_digits", "train")[[0, -1]].tolist() == [tests, tests + others - 1]


# ---- maps by jobs


def test_a_map_that_is_not_there_is_offered_and_a_job_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []
    monkeypatch.setattr(jobs, "start", lambda *of: begun.append(of))
    app = opened(whole=False, map="tsne", **{"with": ["joint", "flat"]})
    assert "has not been computed for deep, joint. It takes about" in app.info[0].value
    app.button(key="learned_embed").click().run()
    kind, target, arguments, _ = begun[0]
    assert kind == "embed"
    assert [Path(part).name for part in arguments[1:3]] == ["deep", "joint"]
    assert arguments[3:] == ["--method", "tsne", "--split", "test", "--points", "2000", "--seed", "0"]


def test_a_map_that_is_kept_is_shown_of_the_same_images_everywhere(shelf: Path) -> None:
    settings, count = embedding.Settings("tsne", "all", 2000, 1), len(embedding.gather("digits", "all"))
    places = {"places": torch.randn(count, 2), "rows": torch.arange(count, dtype=torch.int32)}
    checkpoints.write_kept(shelf / "deep", embedding.name(settings), places)
    app = opened(whole=False, map="tsne", split="all", seed="1")
    assert not app.info
    checkpoint, view = entry("deep"), View("all", "tsne", 2000, 1)
    these = learned_map.shown([checkpoint, entry("flat")], view)
    found = learned_map.map_of(checkpoint, view, these)
    assert len(found.places) == len(these.rows) == sum(learned.sizes("dynamic_digits"))
    mask = learned_chosen.selected(
        Selection(0, "tsne", ((0, 0), (0, 65535), (65535, 65535), (65535, 0))),
        [checkpoint],
        view,
        Colour("label", Grouping()),
        these,
    )
    assert mask.all()
    # Lassoed among few, shown among all: the same images.
    half = Selection(0, "tsne", ((0, 0), (0, 65535), (32768, 65535), (32768, 0)))
    test = View("all", "pca", 2000, 1)
    again = learned_chosen.selected(
        half, [checkpoint], test, Colour("label", Grouping()), learned_map.shown([checkpoint], test)
    )
    assert again.sum() == learned_chosen.within(found.places, half.body).sum()


# ---- what is not there


def test_refined_posteriors_are_refused_in_a_sentence() -> None:
    app = opened(checkpoint="refined", whole=False)
    assert "is refined step by step" in app.error[0].value
    assert "python -m vaecore analyse" in app.error[0].value


def test_without_images_there_is_a_way_to_get_them() -> None:
    app = opened(checkpoint="absent", whole=False)
    assert "not on this computer" in app.info[0].value


# ---- parts


def test_within_is_the_even_odd_rule() -> None:
    rng = np.random.default_rng(0)
    places = rng.integers(0, 65536, (400, 2)).astype(np.uint16)
    polygon = tuple(map(tuple, rng.integers(-5000, 70000, (9, 2)).tolist()))

    def crossings(x: int, y: int) -> int:
        """Of a ray to the right, edge by edge, in floating point."""
        found = 0
        for (xi, yi), (xj, yj) in zip(polygon, polygon[1:] + polygon[:1], strict=True):
            if (yi > y) != (yj > y) and x < xi + (y - yi) * (xj - xi) / (yj - yi):
                found += 1
        return found

    expected = [crossings(int(x), int(y)) % 2 == 1 for x, y in places]
    assert learned_chosen.within(places, polygon).tolist() == expected
    assert 20 < sum(expected) < 380


@pytest.mark.parametrize(
    "said",
    [None, 3, "x", {}, {"panel": 4, "category": 1}, {"panel": True, "category": 1}, {"panel": 0, "category": 999}]
    + [
        {"panel": 0, "polygon": polygon}
        for polygon in ([[0, 0]] * 2, [[0, 0]] * 61, [[0, 0, 0]] * 3, [[0.5, 1]] * 3, "x")
    ],
)
def test_what_a_browser_says_is_not_trusted(said: object) -> None:
    assert learned_chosen.made(said, "pca") is None


def test_a_selection_survives_the_address() -> None:
    for chosen in (Selection(2, "umap", ((1, -2), (3, 4), (5, 70000))), Selection(0, "cluster", 7)):
        assert learned_chosen.parsed(str(chosen)) == chosen
        assert learned_chosen.made(chosen.sent(), chosen.source) == chosen


def test_the_courier_brings_only_images_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    for said, expected in (
        ({"set": "dynamic_digits", "rows": [3, 1, 10**6, -1, True, "x", 1796]}, [3, 1, 1796]),
        ({"set": "mnist", "rows": [3]}, []),
        ({"set": "dynamic_digits", "rows": list(range(500))}, list(range(learned_widgets.FETCHED))),
        ("x", []),
    ):
        monkeypatch.setattr(learned_widgets.st, "session_state", {"learned_want": said})
        assert learned_widgets.wanted("dynamic_digits") == expected


def test_shades_of_one_label_differ_and_words_compare_with_the_paper() -> None:
    shades = [figures_learned.shaded("#3F90DA", step) for step in range(5)]
    assert len(set(shades)) == 5
    assert shades[0] == "#3F90DA"
    assert all(re.fullmatch(r"#[0-9A-F]{6}", shade) for shade in shades)
    for value, sentence in ((0.5, "17.3 points below"), (0.8, "between the two"), (0.95, "3.8 points above")):
        assert sentence in learned_words.clustered({"a": {"majority": value, "closest": 0.2}}, 10, True)
    assert "K = 10, 20 and 30 only" in learned_words.clustered({"a": {"majority": 0.9, "closest": 0.5}}, 11, True)


def test_what_is_sent_to_the_browser_comes_back_whole() -> None:
    mask = np.random.default_rng(0).random(1003) < 0.3
    sent = np.frombuffer(base64.b64decode(learned_widgets.figures.packed(np.packbits(mask), "u1")), np.uint8)
    assert [(sent[i >> 3] >> (7 - (i & 7))) & 1 for i in range(len(mask))] == mask.astype(int).tolist()
