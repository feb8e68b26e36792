"""Known answers of the drawing code, and which file may know what."""

import ast
import base64
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from app import figures

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


def imports(file: Path) -> set[str]:
    """The top-level packages that a file imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found


def test_figures_know_neither_torch_nor_streamlit() -> None:
    assert not imports(APP / "figures.py") & {"torch", "streamlit", "vaecore", "app"}


@pytest.mark.parametrize("file", sorted(APP.rglob("*.py")), ids=lambda file: file.name)
def test_only_session_and_survey_cache_and_know_the_library(file: Path) -> None:
    if file.name not in ("session.py", "survey.py"):
        assert "cache_" not in file.read_text()
        assert not imports(file) & {"torch", "vaecore"}


def test_streamlit_reads_the_configuration_at_the_top() -> None:
    root = APP.parent
    assert (root / ".streamlit" / "config.toml").read_text() == (root / "streamlit_config.toml").read_text()
