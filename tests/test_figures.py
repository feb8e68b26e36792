"""Known answers of the drawing code, and which file may know what."""

import ast
import base64
import io
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest
from scipy.interpolate import RegularGridInterpolator

from app import figures
from app.numbers import nats, significant

APP = Path(__file__).resolve().parents[1] / "app"


def test_contours_lie_at_the_drops() -> None:
    log_density = np.array([[0.0, -1.0, -2.0, -4.0], [-8.0, -16.0, -32.0, -1e9]])
    assert figures.heights(log_density + 123.0).ravel() == pytest.approx([1, 0, -1, -2, -3, -4, -5, -6])


def test_contours_survive_what_is_not_a_number() -> None:
    assert figures.heights(np.array([0.0, -np.inf, np.nan])) == pytest.approx([1, -6, -6])


def test_contour_trace_has_one_level_for_each_drop() -> None:
    axes = (np.linspace(-1, 1, 4), np.linspace(-2, 2, 5))
    trace = figures.contours(axes, np.zeros((4, 5)))
    assert np.asarray(trace.z).shape == (5, 4)  # rows are z2
    levels = np.arange(trace.contours.start, trace.contours.end + 0.5, trace.contours.size)
    assert 2.0**-levels == pytest.approx(sorted(figures.DROPS, reverse=True))


def test_ellipse_is_that_many_standard_deviations_away() -> None:
    loc, scale = np.array([1.0, -2.0]), np.array([0.5, 3.0])
    x, y = figures.ellipse(loc, scale, 2)
    assert ((x - 1) / 0.5) ** 2 + ((y + 2) / 3) ** 2 == pytest.approx(np.full(len(x), 4.0))
    assert (x[0], y[0]) == pytest.approx((x[-1], y[-1]))


def test_outlines_hold_three_separate_curves() -> None:
    gaussian = figures.encoder(np.array([1.0, 2.0]), np.array([0.1, 0.2]))
    line = figures.outlines(gaussian, side=2.0)[1]
    x, y = np.asarray(line.x), np.asarray(line.y)
    assert np.isnan(x).sum() == np.isnan(y).sum() == 3
    assert (np.nanmin(x), np.nanmax(x)) == pytest.approx((0.7, 1.3))
    assert (np.nanmin(y), np.nanmax(y)) == pytest.approx((1.4, 2.6), abs=1e-3)


def interpolated(trace: go.Contour, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """What a contour trace holds at points: linear along either axis."""
    return RegularGridInterpolator((np.asarray(trace.y), np.asarray(trace.x)), np.asarray(trace.z))(np.stack([y, x], 1))


def density(log_q: Callable[[np.ndarray, np.ndarray], np.ndarray], reach: float = 4.5) -> figures.Density:
    axes = np.linspace(-4, 6, 121), np.linspace(-5, 4, 101)
    return figures.Density("q", axes, log_q(*np.meshgrid(*axes, indexing="ij")), np.zeros(2), reach, figures.ORANGE)


def test_a_gaussians_density_lines_are_its_ellipses() -> None:
    loc, scale = np.array([1.0, -0.5]), np.array([1.2, 0.8])
    shape = density(lambda x, y: 7 - 0.5 * (((x - loc[0]) / scale[0]) ** 2 + ((y - loc[1]) / scale[1]) ** 2))
    line = figures.density_lines(shape)[1]
    levels = line.contours
    assert tuple(np.arange(levels.start, levels.end + 0.5, levels.size)) == figures.SIGMAS
    for k in figures.SIGMAS:
        assert interpolated(line, *figures.ellipse(loc, scale, k)) == pytest.approx(np.full(73, k), abs=0.01)
    box, ellipses = shape.box(), figures.encoder(loc, scale).box()
    assert box == pytest.approx(ellipses, abs=0.1)  # a cell


def test_a_tilted_gaussians_lines_hold_what_its_sigmas_do() -> None:
    covariance = np.array([[1.0, 0.6], [0.6, 0.8]])
    precision, root = np.linalg.inv(covariance), np.linalg.cholesky(covariance)
    shape = density(lambda x, y: -0.5 * np.einsum("iab,ij,jab->ab", np.stack([x, y]), precision, np.stack([x, y])))
    angle = np.linspace(0, 2 * np.pi, 50)
    for k in figures.SIGMAS:
        x, y = k * root @ np.stack([np.cos(angle), np.sin(angle)])
        assert interpolated(figures.density_lines(shape)[1], x, y) == pytest.approx(np.full(50, k), abs=0.03)


def test_mass_far_below_the_peak_gets_a_line_of_its_own() -> None:
    def log_q(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.logaddexp(-0.5 * (x**2 + y**2) / 0.01 - np.log(0.01), -0.5 * ((x - 2) ** 2 + y**2) / 0.5 - np.log(5))

    near, far = density(log_q), density(log_q, reach=9.0)
    assert len(figures.density_lines(near)) + 1 == len(figures.density_lines(far))
    extra = figures.density_lines(far)[1]
    assert extra.contours.start == extra.contours.end == pytest.approx(18**0.5)
    assert near.box()[1] < 1 < 3 < far.box()[1]


def test_each_system_has_a_style_of_its_own() -> None:
    assert len(set(figures.SYSTEMS.values())) == len(figures.SYSTEMS)
    assert not {colour for colour, _ in figures.SYSTEMS.values()} & {figures.BLUE, figures.GREEN, figures.GREY}
    assert "dash" not in figures.DASHES  # the best Gaussian's
    assert figures.styles(list(figures.SYSTEMS)) == list(figures.SYSTEMS.values())


def test_checkpoints_of_one_system_share_its_colour_and_differ_by_their_dash() -> None:
    first, second, third = figures.styles(["rme", "rme", "me"])
    assert first[0] == second[0] == third[0]
    assert len({first, second, third}) == 3


def test_share_outside_the_frame_counts_by_weight() -> None:
    z, weight = np.array([[0.0, 0.0], [0.9, 0.9], [5.0, 0.0]]), np.array([0.5, 0.3, 0.2])
    assert figures.outside(z, weight, (-1, 1, -1, 1)) == pytest.approx(0.2)


def test_a_path_joins_all_stages_and_numbers_those_that_stand_apart() -> None:
    places = np.array([[0.0, 0.0], [0.001, 0.0], [0.5, 0.5], [0.501, 0.5]])
    path = figures.Path(places, np.array([4.0, 3.0, 2.0, 1.0]), np.zeros(4))
    line = figures.path_lines(path, side=1.0)[1]
    assert list(line.text) == ["0", "", "2", ""]
    assert list(line.x) == list(places[:, 0])
    assert line.customdata[0] == "the encoder's mean: 4.0 nats"
    assert line.customdata[3] == "after step 3: 1.0 nats"


def test_a_small_figure_has_no_legend_and_says_its_title() -> None:
    axes = (np.linspace(-1, 1, 4), np.linspace(-1, 1, 4))
    figure = figures.posterior_figure(axes, np.zeros((4, 4)), [], "RME(5)", notes=["a", "b"], small=True)
    assert figure.layout.showlegend is False
    assert figure.layout.title.text == "RME(5)"
    assert [note.text for note in figure.layout.annotations] == ["a<br>b"]


def test_frame_is_square_and_holds_what_is_near() -> None:
    bulk = (0.0, 1.0, 0.0, 0.5)
    low, high, bottom, top = figures.square_frame(bulk, [(0.5, 1.5, 0.0, 0.2), (50.0, 51.0, 0.0, 1.0)])
    assert high - low == pytest.approx(top - bottom)
    assert low < 0
    assert 1.5 < high < 2  # the near box is inside, the far one is not


def test_grid_is_finest_where_the_spans_are() -> None:
    points = figures.axis_points(-1.0, 1.0, [(0.0, 0.1)], 41)
    assert (points[0], points[-1], len(points)) == pytest.approx((-1, 1, 41))
    steps = np.diff(points)
    assert (steps > 0).all()
    inside = (points[:-1] > 0) & (points[1:] < 0.1)
    assert steps[inside].max() < steps[~inside].max() / 5


def test_png_holds_the_pixels() -> None:
    image = np.array([[[0.0, 0.5], [1.0, 2.0]]])
    content = figures.png(image)
    assert struct.unpack(">II", content[16:24]) == (2, 2)
    start = content.index(b"IDAT") + 4
    assert zlib.decompressobj().decompress(content[start:]) == bytes([0, 0, 128, 0, 255, 255])


def test_png_is_read_by_others() -> None:
    from PIL import Image

    pixels = np.random.default_rng(0).random((3, 4, 5))
    read = np.asarray(Image.open(io.BytesIO(figures.png(pixels))))
    assert read == pytest.approx(np.round(pixels * 255).transpose(1, 2, 0))


def test_packed_numbers_are_little_endian() -> None:
    assert base64.b64decode(figures.packed(np.array([[1.0, 2.0]]), "f4")) == struct.pack("<2f", 1, 2)


def test_figure_has_equal_axes_and_names_the_image() -> None:
    axes = (np.linspace(-1, 1, 4), np.linspace(-1, 1, 4))
    figure = figures.posterior_figure(axes, np.zeros((4, 4)), [], "Test image 3", np.array([0.1, 0.2]))
    assert figure.layout.yaxis.scaleanchor == "x"
    assert figure.layout.title.text == "Test image 3"
    assert [note.text for note in figure.layout.annotations[1:]] == ["32", "16", "8", "4", "2", "1"]


@pytest.mark.parametrize("small", [True, False])
@pytest.mark.parametrize("table", [True, False])
def test_plotly_finds_nothing_wrong_in_the_picture(small: bool, table: bool) -> None:
    """The page leaves its checks out: they raise for what it does not know, and give the very same figure."""
    axes, log_density = (np.linspace(-1, 1, 9), np.linspace(-1, 1, 9)), -np.add.outer(np.arange(9.0), np.arange(9.0))
    shapes = [
        figures.encoder(np.zeros(2), np.ones(2)),
        figures.best(np.zeros(2), np.ones(2)),
        figures.Density("q", axes, log_density, np.zeros(2), 4.0, figures.ORANGE),
    ]
    path = figures.Path(np.eye(2), np.ones(2), np.zeros(2))
    figure = figures.posterior_figure(
        axes, log_density if table else None, shapes, "x", np.zeros(2), path, ["a note"], small
    )
    checked = go.Figure(json.loads(figure.to_json()))
    assert json.loads(checked.to_json()) == json.loads(figure.to_json())


PLAIN = ("vaecore.text", "vaecore.threads", "app.numbers")  # words, numbers and threads, which know no model


def imports(file: Path) -> set[str]:
    """The top-level packages that a file imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module not in PLAIN:
            found.add((node.module or "").split(".")[0])
    return found


def test_figures_know_neither_torch_nor_streamlit() -> None:
    assert not imports(APP / "figures.py") & {"torch", "streamlit", "vaecore", "app"}


# What asks the library and keeps the answers; all others show them.
BESIDE_SESSION = (
    "session health survey holes between between_priors training shelf learned learned_clusters learned_colours "
    "learned_later learned_map learned_selection own_looks owners bounds serving pad pad_decoder visits wrong "
    "main jobs job_files"
).split()
ALL_FILES = sorted(set(APP.rglob("*.py")), key=str)


@pytest.mark.parametrize("file", ALL_FILES, ids=lambda file: str(file.relative_to(APP)))
def test_only_the_files_beside_session_cache_and_know_the_library(file: Path) -> None:
    if file.parent != APP or file.stem not in BESIDE_SESSION:
        assert "cache_" not in file.read_text()
        assert not imports(file) & {"torch", "vaecore"}


def test_streamlit_reads_the_configuration_at_the_top() -> None:
    root = APP.parent
    assert (root / ".streamlit" / "config.toml").read_text() == (root / "streamlit_config.toml").read_text()


# ---- a whole test set, ranked


def test_the_trend_follows_the_medians() -> None:
    rng = np.random.default_rng(0)
    x = rng.permutation(np.linspace(1, 100, 2000))
    found = figures.trend(x, 3 * x + rng.normal(size=2000))
    assert found[:, 2] == pytest.approx(3 * found[:, 0], abs=1)
    assert (np.diff(found[:, 0]) > 0).all()
    assert (found[:, 1] < found[:, 2]).all()
    assert (found[:, 2] < found[:, 3]).all()
    assert len(figures.trend(x[:10], x[:10])) == 1


def test_the_ranking_names_its_axes_and_keeps_zero_on_the_logarithmic_one() -> None:
    x, y = np.geomspace(1e-8, 1e-6, 50), np.concatenate([[0.0], np.geomspace(1e-5, 10, 49)])
    indices, labels = np.arange(50) * 2, np.arange(50) % 3
    figure = figures.ranking_figure(x, y, indices, None, ("uncertainty", "gap, nats"), ringed={1: 4, 2: 9})
    assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == ("uncertainty", "gap, nats")
    assert min(figure.data[0].y) == pytest.approx(figures.FLOOR)
    # Pointed at, a dot says its own numbers as the panels do, not where it is drawn.
    assert figure.data[0].text[0] == "0.00000001, 0.00 nats"
    assert list(figure.data[0].text) == [f"{significant(a)}, {nats(b)} nats" for a, b in zip(x, y, strict=True)]
    assert list(figure.data[-1].customdata) == [8, 18]
    assert list(figure.data[-1].text) == ["1", "2"]
    classes = figures.ranking_figure(x, y, indices, labels, ("u", "g"))
    assert [trace.name for trace in classes.data[:3]] == ["0", "1", "2"]
    assert list(classes.data[1].customdata) == indices[labels == 1].tolist()


def test_counts_are_jittered_about_themselves() -> None:
    modes = np.repeat([1.0, 2.0], 20)
    figure = figures.ranking_figure(np.geomspace(1, 9, 40), modes, np.arange(40), None, ("u", "modes"), counts=True)
    assert set(figure.data[0].text[:20]) == {f"{significant(x)}, 1" for x in np.geomspace(1, 9, 40)[:20]}
    drawn = np.asarray(figure.data[0].y)
    assert np.abs(drawn - modes).max() <= 0.3
    assert len(set(drawn.tolist())) == 40
    assert figure.layout.yaxis.type is None


def test_ticks_of_a_logarithmic_axis() -> None:
    assert figures.log_marks(-8, -5) == pytest.approx([1e-8, 1e-7, 1e-6, 1e-5])
    assert figures.log_marks(-0.02, 0.8) == pytest.approx([1, 2, 5])
    assert [figures.power(mark) for mark in (1e-6, 2e-6, 0.5, 20.0)] == [
        "10<sup>\N{MINUS SIGN}6</sup>",
        "2·10<sup>\N{MINUS SIGN}6</sup>",
        "0.5",
        "20",
    ]


def test_the_second_grid_crowds_every_mode() -> None:
    line = np.linspace(-1, 1, 32)
    first, second = np.meshgrid(line, line, indexing="ij")
    wells = [((first - a) ** 2 + second**2) / (2 * 0.03**2) for a in (-0.6, 0.6)]  # half a cell wide
    axes = figures.focused((line, line), np.logaddexp(-wells[0], -wells[1] - 3), 40)
    assert all((axis[0], axis[-1], len(axis)) == pytest.approx((-1, 1, 40)) for axis in axes)
    near = [np.abs(axes[0] - a) < 0.15 for a in (-0.6, 0.6)]
    assert min(mask.sum() for mask in near) >= 8
    assert (np.abs(axes[1]) < 0.15).sum() >= 15
    flat = figures.crowded(line, np.zeros(32), 5)
    assert flat == pytest.approx(np.linspace(-1, 1, 5))


def test_a_sketch_has_contours_dots_and_an_outline() -> None:
    axes, dots = (np.linspace(-1, 1, 4), np.linspace(-2, 2, 5)), np.zeros((7, 2))
    gaussian = figures.encoder(np.zeros(2), np.full(2, 0.2))
    with_outline = figures.sketch_figure(axes, np.zeros((4, 5)), dots, gaussian)
    assert [trace.type for trace in with_outline.data] == ["contour", "scatter", "scatter"]
    assert with_outline.data[2].marker.color == figures.VERMILLION
    assert figures.sketch_figure(axes, np.zeros((4, 5)), dots, None).data[1].marker.color == figures.ORANGE
    assert [drop for drop, _ in figures.swatches()] == sorted(figures.DROPS, reverse=True)
