"""What can be carried away: numbers as CSV, the view as one HTML file; and every figure says what it shows."""

import csv
import html
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from pages import set_apart, visited

import vaecore
from app import figures, keep, offline, panels, session, sheet, words
from app.contour_lines import closed_lines
from app.session import Pick

NASTY = "=1+</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shelf")
    torch.manual_seed(0)
    for name, recipe in (("plain", "vae"), ("mixed", "me")):
        vaecore.save(vaecore.build(recipe, (1, 8, 8), 2, net="small"), folder / name, dataset="digits")
    return folder


@pytest.fixture(autouse=True)
def surroundings(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_apart(tmp_path, shelf, monkeypatch)


def entry(name: str, index: int = 7) -> tuple:
    checkpoint = session.checkpoints()[name]
    return checkpoint, session.look(checkpoint.digest, Pick("image", index), checkpoint)


def rows(text: str) -> list[dict]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_csv_holds_the_panels_numbers_with_all_their_digits() -> None:
    entries = [entry("plain"), entry("mixed")]
    text = sheet.numbers(entries)
    found = rows(text)
    assert text.count("\n") == text.count("\r\n") == len(found) + 1
    for checkpoint, look in entries:
        mine = {row["quantity"]: row for row in found if row["checkpoint"] == checkpoint.name}
        assert list(mine) == [number.name for number in words.numbers(look, "")]
        assert float(mine["log p(x)"]["value"]) == look.log_evidence
        assert float(mine["log p(x)"]["error"]) == look.error
        assert float(mine["ELBO"]["value"]) == look.elbo
        for number in words.numbers(look, ""):  # as the panel writes them
            row = mine[number.name]
            assert words.nats(float(row["value"]), float(row["error"] or 0)) == number.value
        assert all(row["unit"] == "nats" and row["definition"] and row["index"] == "7" for row in mine.values())


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", 'a "quoted", name\nof two lines'])
def test_csv_gives_no_formula_to_a_spreadsheet(name: str) -> None:
    checkpoint, look = entry("plain")
    cell = rows(sheet.numbers([(replace(checkpoint, name=name), look)]))[0]["checkpoint"]
    assert cell == (f"'{name}" if name[0] in "=+-@\t" else name)


def test_contour_lines_of_a_cone_and_of_two_peaks() -> None:
    x, y = np.linspace(-2, 2, 41), np.linspace(-2, 2, 33)
    radius = np.hypot(x[:, None], y[None])
    (ring,) = closed_lines((x, y), -radius, -1.0)
    assert np.hypot(*ring.T) == pytest.approx(1, abs=5e-3)
    left, right = np.hypot(x[:, None] - 1, y[None]), np.hypot(x[:, None] + 1, y[None])
    assert len(closed_lines((x, y), -np.minimum(left, right), -0.5)) == 2
    assert len(closed_lines((x, y), radius, 1.0)) == 2  # the hole, and the grid's own edge
    (edge,) = closed_lines((x, y), x[:, None] + 0 * y[None], 1.0)
    assert edge.min(0) == pytest.approx([1, -2])
    assert edge.max(0) == pytest.approx([2, 2])
    assert closed_lines((x, y), radius, 9.0) == []


class Loads(HTMLParser):
    """What a page would load, the images' texts, and its elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.loads, self.events, self.alts, self.pictures = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.loads += [given[name] for name in ("src", "href", "data", "action", "poster", "srcset") if name in given]
        self.events += [name for name in given if name.startswith("on")]
        self.pictures += [tag] if given.get("role") == "img" else []
        if tag == "img" and not (self.pictures and given.get("alt") == ""):  # of several as one, the whole is named
            self.alts.append(given.get("alt"))
        if given.get("role") == "img":
            self.alts.append(given.get("aria-label"))

    def handle_endtag(self, tag: str) -> None:
        if self.pictures and tag == self.pictures[-1]:
            self.pictures.pop()


def test_the_page_is_whole_and_what_strangers_wrote_stays_text() -> None:
    checkpoint, look = entry("plain")
    told = {"training": {"command": f"python {NASTY}"}}
    strange = replace(checkpoint, name=NASTY, dataset=checkpoint.dataset, metrics=told)
    text = offline.page([(strange, look), entry("mixed")], [], {NASTY: NASTY, "mixed": "ME"}, (0.5, -1.0))
    found = Loads(text)
    assert found.loads
    assert all(load.startswith("data:image/png;base64,") for load in found.loads)
    assert found.events == []
    assert found.tags.count("script") == 2
    assert all(found.alts)
    assert not re.search(r"https?://|@import|url\((?!#)", text)
    assert "default-src 'none'" in text
    assert len(text) < 3e6
    data = json.loads(re.search(r"id='view'>(.*?)</script>", text, re.DOTALL)[1])
    assert data["pinned"] == [0.5, -1.0]
    said = html.unescape(text)
    for number in words.numbers(look, ""):
        assert number.value in said
        assert number.meaning in said
    assert f"python {NASTY}" in said
    assert panels.spoken([(strange, look), entry("mixed")]) in said


def test_checkpoints_that_stand_alone_have_pictures_and_rows_of_their_own() -> None:
    text = offline.page([entry("plain")], [entry("mixed")], {"plain": "VAE", "mixed": "ME(5)"})
    found, look = Loads(text), entry("mixed")[1]
    gap = words.nats(look.gap, look.gap_error)
    assert found.tags.count("svg") == 2
    assert any(f"ME(5): gap {gap} nats" in html.unescape(alt) for alt in found.alts)
    assert text.count("<tr data-name=") == 2
    assert words.nats(look.log_evidence, look.error) in text
    ids = re.findall(r" id='([^']+)'", text)
    assert len(ids) == len(set(ids)) >= 7
    assert all(f"url(#{clip})" in text for clip in ids if clip.endswith("-frame"))


def test_the_best_gaussian_is_green_and_dashed_in_every_picture_and_key() -> None:
    plain, mixed = entry("plain"), entry("mixed")
    line = next(trace.line for trace in figures.outlines(figures.best(np.zeros(2), np.ones(2)), 6.0) if trace.line.dash)
    assert (line.dash, line.color) == ("dash", figures.GREEN)
    for entries, names in (([plain], None), ([plain, mixed], {"plain": "VAE", "mixed": "ME(5)"})):
        axes, log_density, shapes, _ = panels.drawing(entries, names)
        app = figures.posterior_figure(axes, log_density, shapes, "")
        greens = [one.line.dash for one in app.data if one.name == "best Gaussian" and one.mode == "lines"]
        assert set(greens) == {"dash"}
    (style,) = set(re.findall(rf"border-left: 4px (\w+) {figures.GREEN}", panels.rows(plain[1], figures.ORANGE)))
    assert style == "dashed"
    # In the file: the picture, its key, and the small picture of a checkpoint apart.
    text = offline.page([plain], [mixed], {"plain": "VAE", "mixed": "ME(5)"})
    lines = re.findall(rf"<path d='[^']+' stroke='{figures.GREEN}' stroke-width='2.2'([^/]*)/>", text)
    assert lines == [" stroke-dasharray='9 6'"] * 2
    assert set(re.findall(rf"border-top: 3px (\w+) {figures.GREEN}", text)) == {"dashed"}


def test_names_of_files_are_harmless() -> None:
    assert keep.file_name("runs/../a b<c>-image-7") == "runs-..-a-b-c--image-7"
    assert keep.file_name("...") == "view"


PAGES = ("home", "tour", "posterior", "unsure", "learned", "between", "prior", "health", "train", "checkpoints")


@pytest.mark.parametrize("page", PAGES)
def test_every_figure_says_what_it_shows(page: str) -> None:
    address = {"checkpoint": "plain", "image": "7", "with": "mixed"} if page == "posterior" else {"checkpoint": "plain"}
    app = visited(f"views/{page}.py", address)
    assert not app.exception
    charts = app.get("plotly_chart")
    assert page != "posterior" or len(charts) == 2
    for chart in charts:
        assert len(chart.proto.alt) > 15, chart.proto.spec[:200]
        said = re.sub(r"drops of 1, 2, 4, 8, 16 and 32 nats|[Ii]mage \d+", "", chart.proto.alt)
        assert re.search(r"\d", said), chart.proto.alt  # its main numbers
    for element in app.get("html"):
        alts = Loads(element.proto.body).alts
        assert all(alts), element.proto.body[:200]
