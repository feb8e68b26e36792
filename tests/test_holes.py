"""The page of priors headless: standard, post-hoc and joint side by side; one z; links; what cannot be shown."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from pages import set_apart, visited
from streamlit.testing.v1 import AppTest

import vaecore
from app import figures, figures_holes, holes, holes_words, session
from app.holes_words import Said
from app.numbers import nats
from app.plain import quoted
from vaecore import aggregate


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For D = 2 and 3 a standard VAE, the same with a post-hoc prior, and a joint one; and what does not fit."""
    folder = tmp_path_factory.mktemp("shelf")
    torch.manual_seed(0)
    for latent in (2, 3):
        plain = made("vae", latent)
        after = made("rnvp-p", latent, training="post-hoc", depth=2)
        after.encoder.load_state_dict(plain.encoder.state_dict())
        after.decoder.load_state_dict(plain.decoder.state_dict())
        for name, vae in (("plain", plain), ("after", after), ("joint", made("rnvp-p", latent, depth=2))):
            vaecore.save(vae, folder / f"{name}-{latent}", dataset="digits")
    vaecore.save(vaecore.build("iaf", (1, 8, 8), 2), folder / "flow", dataset="digits")
    vaecore.save(made("vampprior", 2), folder / "vamp", dataset="digits")
    vaecore.save(vaecore.build("sa", (1, 8, 8), 2), folder / "steps", dataset="digits")
    vaecore.save(vaecore.build("vae", (1, 28, 28), 2), folder / "absent", dataset="mnist")
    return folder


def made(recipe: str, latent: int, **options: str | float) -> vaecore.VAE:
    """A VAE that was not trained, but whose posteriors and prior are not all alike."""
    vae = vaecore.build(recipe, (1, 8, 8), latent, likelihood="bernoulli", net="small", **options)
    with torch.no_grad():
        for parameter in vae.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return vae


@pytest.fixture(autouse=True)
def surroundings(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_apart(tmp_path, shelf, monkeypatch)


def opened(**address: str | list[str]) -> AppTest:
    app = visited("views/prior.py", address)
    assert not app.exception, app.exception
    assert not app.error, app.error[0].value
    return app


def bodies(app: AppTest) -> str:
    return " ".join(element.proto.body for element in app.get("html"))


def shown(app: AppTest) -> list[str]:
    """The checkpoints that have a row of low posterior samples."""
    return re.findall(r"class='line' data-name='([^']+)'", bodies(app))


def chart(app: AppTest, key: str) -> dict:
    return next(json.loads(c.proto.spec) for c in app.get("plotly_chart") if c.proto.id.endswith(f"-{key}"))


def entry(name: str) -> holes.Entry:
    return holes.entry(session.checkpoints()[name])


def test_the_three_priors_stand_side_by_side() -> None:
    app = opened(checkpoint="plain-3")
    assert shown(app) == ["plain-3", "after-3", "joint-3"]
    assert app.multiselect[0].value == ["after-3", "joint-3"]
    for measure in ("log_p", "elbo"):
        rows = [chart(app, f"{measure}-{name}") for name in shown(app)]
        assert len({tuple(row["layout"]["xaxis"]["range"]) for row in rows}) == 1
        assert len({tuple(row["layout"]["yaxis"]["range"]) for row in rows}) == 1
    assert "The very same z, images x and pictures as VAE" in bodies(app)
    said = " ".join(element.value for element in app.markdown)
    assert "**post-hoc RNVP p(z), K=2**" in said
    assert "**joint RNVP p(z), K=2** draws z from its own prior" in said


def test_the_page_opens_with_a_vae_that_has_learned_priors_beside_it() -> None:
    assert opened().selectbox[0].value == "plain-2"


def test_a_post_hoc_pair_shares_samples_images_and_pictures() -> None:
    plain, after, joint = (entry(f"{name}-3") for name in ("plain", "after", "joint"))
    assert [plain.kind, after.kind, joint.kind] == ["standard", "post-hoc", "joint"]
    assert plain.body == after.body != joint.body
    for each in (plain, after, joint):
        holes.ranking(each, 4, lambda share: None)
    assert (holes.lows(plain, 4) == holes.lows(after, 4)).all()
    one, other = holes.judged(plain, 4), holes.judged(after, 4)
    assert (one.means == other.means).all()
    assert (one.log_p != other.log_p).all()
    # The same x and the same draws: the ELBOs differ by log p at these draws alone.
    vae, second = (vaecore.load(each.checkpoint.folder) for each in (plain, after))
    z = torch.from_numpy(holes.lows(plain, 4))
    assert torch.equal(aggregate.judge(vae, z, seed=4).images, aggregate.judge(second, z, seed=4).images)


def test_the_ranking_is_the_librarys() -> None:
    plain, shares = entry("joint-3"), []
    holes.ranking(plain, 11, shares.append)
    assert shares == pytest.approx(np.arange(0, 1, 0.1))
    vae, train = vaecore.load(plain.checkpoint.folder), vaecore.load_dataset("digits", "train")
    found = aggregate.low_posterior(vae, vaecore.evaluation.encode(vae, train.images), seed=11)
    assert holes.lows(plain, 11) == pytest.approx(found.z.numpy())
    found = aggregate.judge(vae, found.z, samples=holes.AVERAGED, seed=11)
    assert holes.judged(plain, 11).elbo == pytest.approx(found.elbo.numpy(), abs=1e-3)


def test_codes_outlive_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = entry("plain-3")
    holes._coded.clear()
    loc, _ = holes.codes(plain)
    holes._coded.clear()
    monkeypatch.setattr(holes, "encode", lambda *_: pytest.fail("The codes were kept"))
    assert torch.equal(holes.codes(plain)[0], loc)
    holes._coded.clear()


def test_a_prior_of_another_kind_is_its_own_source() -> None:
    app = opened(checkpoint="vamp", **{"with": "plain-2"})
    assert shown(app) == ["vamp", "plain-2"]
    assert entry("vamp").kind == "learned"
    assert "z from vamp&#x27;s own prior" in bodies(app)


def test_a_marked_sample_stands_beside_its_grid() -> None:
    assert bodies(opened(checkpoint="plain-2", z="5")).count('class="marked"') == 3
    assert 'class="marked"' not in bodies(opened(checkpoint="plain-2", z="0,0"))


def test_one_z_is_the_formula() -> None:
    plain, z = entry("plain-2"), (0.4, -0.3)
    place = holes.place(plain, z)
    loc, scale = holes.codes(plain)
    q = torch.distributions.Independent(torch.distributions.Normal(loc.double(), scale.double()), 1)
    log_pairs = q.log_prob(torch.tensor(z, dtype=torch.float64))
    weight = log_pairs.softmax(0)
    x = vaecore.load_dataset("digits", "train").images
    assert place.log_q == pytest.approx(float(log_pairs.logsumexp(0) - np.log(len(loc))))
    assert place.wanted == pytest.approx(torch.einsum("i,ichw->chw", weight.float(), x).numpy(), abs=1e-5)
    assert place.effective == pytest.approx(float(1 / weight.square().sum()))
    assert [w for _, w in place.nearest] == pytest.approx(weight.sort(descending=True)[0][:5].tolist())
    assert holes.log_prior(plain, z) == pytest.approx(-np.log(2 * np.pi) - 0.125, abs=1e-5)


def test_the_map_holds_densities_that_integrate_to_one() -> None:
    for name in ("plain-2", "after-2", "joint-2"):
        field = holes.field(entry(name))
        cell = float(np.diff(field.axes[0]).mean() * np.diff(field.axes[1]).mean())
        assert np.exp(field.log_p).sum() * cell == pytest.approx(1, abs=0.02)
        assert np.exp(field.log_q).sum() * cell == pytest.approx(1, abs=0.02)
        z = holes.deepest(entry(name))
        at = [np.abs(axis - part).argmin() for axis, part in zip(field.axes, z, strict=True)]
        assert holes.place(entry(name), z).log_q == pytest.approx(field.log_q[*at], abs=0.02)


def test_a_place_in_the_plane_can_be_asked_for_and_changed() -> None:
    app = opened(checkpoint="plain-2", z="0.5,-1.25")
    assert 'data-z="0.500,-1.250"' in bodies(app)
    assert "what the data ask for" in bodies(app)
    app.session_state["prior_place"] = ("low", 3)
    app.run()
    low = holes.lows(entry("plain-2"), 0)[3]
    assert f'data-z="{low[0]:.3f},{low[1]:.3f}"' in bodies(app)
    assert "low posterior sample 3 of N(0, I)" in bodies(app)


def test_the_map_of_another_checkpoint() -> None:
    app = opened(checkpoint="plain-2", map="joint-2", z="0,0")
    assert "log p(z), joint RNVP p(z), K=2" in bodies(app)
    assert "log p(z), N(0, I)" not in bodies(app)
    app.get("button_group")[0].set_value("after-2").run()
    assert not app.exception
    assert "log p(z), post-hoc RNVP p(z), K=2" in bodies(app)
    assert "log p(z), N(0, I)" in bodies(app)


def test_more_dimensions_show_each_sample_of_the_grid() -> None:
    app = opened(checkpoint="plain-3", z="17")
    assert bodies(app).count('class="look place"') == 2
    assert "low posterior sample 17 of N(0, I)" in bodies(app)
    assert "low posterior sample 17 of joint-3&#x27;s own prior" in bodies(app)


def test_others_can_be_drawn() -> None:
    app = opened(checkpoint="plain-3")
    before = bodies(app)
    app.button(key="prior_redraw").click().run()
    assert not app.exception
    assert app.session_state["prior_seed"] == 1
    assert bodies(app) != before
    assert bodies(opened(checkpoint="plain-3", seed="1")) == bodies(app)


def test_alone_or_with_whom_the_link_says() -> None:
    assert shown(opened(checkpoint="joint-3", **{"with": "none"})) == ["joint-3"]
    assert shown(opened(checkpoint="joint-3", **{"with": ["after-3"]})) == ["joint-3", "after-3"]
    app = opened(checkpoint="plain-3", **{"with": ["joint-2", "after-3"]})
    assert "'joint-2'" in app.warning[0].value
    assert shown(app) == ["plain-3", "after-3"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("z", "100"),
        ("z", "-1"),
        ("z", "0.1,0.2,0.3"),
        ("z", "nan,0"),
        ("z", "1e9,0"),
        ("z", "<b>"),
        ("seed", "-1"),
        ("seed", "1e9"),
        ("seed", "٣"),
        ("map", "joint-3"),
    ],
)
def test_a_wrong_link_is_named_and_the_rest_goes_on(name: str, value: str) -> None:
    app = opened(checkpoint="plain-2", **{name: value})
    assert quoted(value, 30) in app.warning[0].value
    assert shown(app) == ["plain-2", "after-2", "joint-2"]


@pytest.mark.parametrize(("name", "said"), [("flow", "no diagonal Gaussian"), ("steps", "refined image by image")])
def test_what_cannot_be_summed_is_left_out_with_the_reason(name: str, said: str) -> None:
    app = opened(checkpoint=name, **{"with": ["plain-2"]})
    assert said in app.info[0].value
    assert shown(app) == ["plain-2"]
    assert shown(opened(checkpoint=name, **{"with": "none"})) == []


def test_without_training_images_there_is_a_sentence() -> None:
    app = opened(checkpoint="absent")
    assert "not on this computer" in app.info[0].value
    assert any("train-images-idx3-ubyte" in element.value for element in app.markdown)
    assert app.button(key="download").label == "Download mnist"


def test_no_checkpoint_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VAESCOPE_CHECKPOINTS", str(tmp_path / "none"))
    assert "python -m vaecore train" in opened().info[0].value


def test_long_comparisons_of_pairs_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holes, "pace", lambda *_: 40.0)
    monkeypatch.setattr(holes, "pairs_known", lambda entry: False)
    app = opened(checkpoint="plain-3")
    assert "about 80 seconds" in app.button(key="pairs").label
    assert "moments" not in bodies(app)
    app.button(key="pairs").click().run()
    assert "class='moments'" in bodies(app)
    assert "VAE = post-hoc RNVP p(z), K=2" in bodies(app)


# ---- what the numbers say


def said(kind: str, log_p: float, elbo: float, source: str = "one") -> Said:
    noise = np.linspace(-1, 1, 100)
    return Said(kind, kind, source, log_p + noise, elbo + noise)


@pytest.mark.parametrize(
    ("log_p", "elbo", "wanted"),
    [
        (
            -20,
            -92,
            ["100 of 100", "15.0 nats lower", "as the paper finds", "2.0 nats lower in the median, as"],
        ),
        (-5.2, -90, ["hardly different (0.20 nats lower)", "here that is not so", "where the paper finds it slightly"]),
        (-1, -90, ["0 of 100", "4.0 nats higher", "here that is not so"]),
    ],
)
def test_a_post_hoc_prior_is_held_against_the_paper(log_p: float, elbo: float, wanted: list[str]) -> None:
    lesson = holes_words.lessons([said("standard", -5, -90), said("post-hoc", log_p, elbo)])[0]
    assert all(part in lesson for part in wanted), lesson


@pytest.mark.parametrize(
    ("log_p", "elbo", "verdict"),
    [(0, -80, "Both are higher, as"), (0, -95, "only one is"), (-9, -95, "neither is"), (-5, -90, "neither is")],
)
def test_a_joint_prior_is_held_against_the_paper(log_p: float, elbo: float, verdict: str) -> None:
    rows = [said("joint", log_p, elbo, "two"), said("standard", -5, -90)]
    assert verdict in holes_words.lessons(rows)[0]


def test_without_a_standard_prior_nothing_is_compared() -> None:
    assert "standard prior" in holes_words.lessons([said("joint", 0, 0)])[0]
    assert "learned prior" in holes_words.lessons([said("standard", 0, 0)])[0]


@pytest.mark.parametrize("z", ["0.4,-0.3", "2.5,2.5"])
def test_the_maps_tooltip_and_the_panel_are_told_the_same(z: str) -> None:
    app = opened(z=z)
    sent = [json.loads(element.proto.json or "{}") for element in app.get("bidi_component")]
    (log_q, log_p), told = next(data["log"] for data in sent if "log" in data), bodies(app)
    panel = re.findall(r"<dt>(log [qp]\(z\))[^<]*<b>([^<]+)</b></dt><dd>([^<]*)</dd>", told)
    assert panel[0][:2] == ("log q(z)", nats(log_q))
    assert panel[1][:2] == ("log p(z)", nats(log_p))
    assert f"log q(z) lies {nats(abs(log_q - log_p))} nats" in panel[1][2]


@pytest.mark.parametrize(
    ("log_q", "log_p", "wanted"),
    [
        (-9.0, -2.0, "A hole: N(0, I) gives this z 7.0 nats more"),
        (-4.0, -2.0, "N(0, I) gives this z 2.0 nats more"),
        (-1, -5, "Overfull: N(0, I) gives this z 4.0 nats less"),
        (-3, -3.4, "right here to within 0.40 nats"),
    ],
)
def test_one_z_in_a_sentence(log_q: float, log_p: float, wanted: str) -> None:
    assert wanted in holes_words.verdict(log_q, log_p, "N(0, I)")


def test_a_coarse_grid_is_named() -> None:
    assert holes_words.between_nodes(0.05, 0.2) == ""
    assert "coarser (0.08) than most posteriors are wide (0.03)" in holes_words.between_nodes(0.08, 0.03)


def test_widths_compare_only_after_regularised_training() -> None:
    good, bad = (np.zeros(3), np.ones(3)), (np.zeros(3), np.array([1.0, 1.0, 2.0]))
    assert "as this one has" in holes_words.comparable({"a": good})
    assert "as all of these have" in holes_words.comparable({"a": good, "c": good})
    assert "not so of b" in holes_words.comparable({"a": good, "b": bad})


# ---- pictures


def test_the_map_is_symmetric_around_zero_and_fades() -> None:
    axis = np.linspace(-6, 6, 121)
    x, y = np.meshgrid(axis, axis, indexing="ij")
    log_p = -0.5 * (x**2 + y**2) - np.log(2 * np.pi)
    seen = figures_holes.visible(log_p, log_p)
    assert seen[[60, 90], 60] == pytest.approx([1, 1])  # 0 and 3 sd
    assert seen[100, 60] == pytest.approx(0, abs=0.01)  # 4 sd
    difference = np.where(x > 0, 1.0, -3.0)
    assert figures_holes.limit(difference, seen) == 4
    assert figures_holes.limit(100 * difference, seen) == figures_holes.LIMITS[-1]
    image = figures_holes.shade(np.array([[-9.0, 0.0], [9.0, 0.0]]), np.ones((2, 2)), 4.0)
    wanted = [figures_holes.EVEN, figures_holes.EVEN, figures_holes.HOLE, figures_holes.FULL]  # z2 upwards, z1 across
    assert image[:3].reshape(3, 4).T == pytest.approx(np.array([figures_holes.rgb(colour) for colour in wanted]))
    assert (image[3] == 1).all()


def test_histograms_share_their_axis_and_lose_nobody() -> None:
    rng = np.random.default_rng(0)
    groups = [rng.normal(size=100), np.append(rng.normal(5, 2, 99), -1e6)]
    ends = figures_holes.span(groups)
    assert -10 < ends[0] < -1
    assert ends[1] < 15
    assert [figures_holes.counts(values, ends).sum() for values in groups] == [100, 100]
    figure = figures_holes.histogram(groups[1], ends, 30, figures.PURPLE, "log p(z), nats")
    assert sum(figure.data[0].y) == 100


def test_priors_have_their_colours() -> None:
    found = figures_holes.styles(["standard", "post-hoc", "joint", "joint", "standard"])
    assert [style.colour for style in found] == [figures.GREY, *[figures.PURPLE] * 3, figures.GREY]
    assert len(set(found)) == 5
