"""Text of strangers: no page lets a link's, a folder's, a card's or a run's words through to Markdown unescaped."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from pages import set_apart, visited
from streamlit.testing.v1 import AppTest

import vaecore
from app import figures
from app.plain import JOINER, plain
from vaecore import runs

ROOT = Path(__file__).parents[1]
HOSTILE = "![a](http://evil.org/a.png) [b](http://evil.org) <img src=x> :red[c] $d$ `e` www.evil.org **f** :smile:"
ACTIVE = re.compile(r"!\[|\]\(|<img|:red\[|\$d\$|`e`|\*\*f|https?://|\bwww\.|:smile:")
NAME = "x![a](http:evil) :red[c] $d$ `e` **f** <img src=x> :smile: www.evil.org"  # a folder's: without a slash
VIEWS = sorted(file.stem for file in (ROOT / "app" / "views").glob("[!_]*.py"))


def parameters() -> dict[str, list[str]]:
    """What each page takes from its address, by the tables of docs/links.md."""
    every, own, page = [], {view: [] for view in VIEWS}, ""
    for line in (ROOT / "docs" / "links.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        names = re.findall(r"`(\w+)`", cells[0] if len(cells) == 3 else cells[1] if len(cells) == 4 else "")
        if len(cells) == 3:
            every += names
        elif len(cells) == 4:
            page = cells[0].strip("`") or page
            for view in VIEWS if page.startswith("all") else [page] if page in own else []:
                own[view] += names
    return {view: [*every, *names] for view, names in own.items()}


def texts(app: AppTest) -> list[str]:
    """All that a page hands to Markdown: bodies, labels, helps, and the options that are read as such."""
    found = []
    for element in tree(app.main):
        proto = getattr(element, "proto", None)
        for name in ("body", "label", "help", "text"):
            value = getattr(proto, name, "")
            found += [value] if isinstance(value, str) and not kind(element) else []
        if element.type in ("button_group", "segmented_control", "pills"):
            found += [option.content for option in proto.options]
    return found


def kind(element: object) -> bool:
    """Whether it is none of Markdown's: HTML, code, or a custom widget."""
    return element.type in ("html", "code", "bidi_component", "plotly_chart", "arrow_data_frame", "skeleton")


def tree(block: object) -> list:
    found = []
    for child in block.children.values():
        found += [child, *(tree(child) if hasattr(child, "children") else [])]
    return found


def unescaped(text: str) -> list[str]:
    """What of the hostile texts Markdown would act on: no code between backticks, no backslash, and no joiner in it."""
    return ACTIVE.findall(re.sub(r"\\.|(``+) .*? \1", "", text))


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two VAEs in one folder: a good one, and one whose name and every claim are hostile, and a broken one."""
    folder = tmp_path_factory.mktemp("shelf")
    torch.manual_seed(0)
    for name, recipe, options in (("plain", "vae", {}), (NAME, "rnvp-p", {"depth": 2})):
        vae = vaecore.build(recipe, (1, 8, 8), 2, likelihood="bernoulli", net="small", **options)
        vaecore.save(vae, folder / name, dataset="digits")
    training = dict.fromkeys(("command", "start", "hardware", "versions", "note"), HOSTILE)
    said = {"training": training, "evaluation": {"protocol": HOSTILE, f"| {HOSTILE}": 1.0}, "brought": True}
    (folder / NAME / "metrics.json").write_text(json.dumps(said))
    shutil.copytree(folder / "plain", folder / f"{NAME} broken")
    config = json.loads((folder / "plain" / "config.json").read_text())
    (folder / f"{NAME} broken" / "config.json").write_text(json.dumps({**config, "recipe": HOSTILE}))
    shutil.copytree(folder / "plain", folder / "strange")
    (folder / "strange" / "config.json").write_text(json.dumps({**config, "dataset": HOSTILE}))
    return folder


@pytest.fixture(autouse=True)
def surroundings(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_apart(tmp_path, shelf, monkeypatch)
    monkeypatch.setenv("VAESCOPE_RUNS", str(tmp_path / "runs"))


def clean(app: AppTest) -> None:
    assert not app.exception, app.exception
    found = texts(app)
    assert found
    for text in found:
        assert not unescaped(text), text


@pytest.mark.parametrize("view", VIEWS)
def test_no_parameter_of_a_link_reaches_markdown(view: str) -> None:
    """Each is refused by name on the page, or passed over; all of them at once."""
    names = parameters()[view]
    app = visited(f"views/{view}.py", dict.fromkeys(names, HOSTILE))
    clean(app)
    assert any(r"\!\[a\]" in warning.value for warning in app.warning)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", [NAME, "strange"])
def test_no_folder_and_no_card_reaches_markdown(view: str, name: str) -> None:
    app = visited(f"views/{view}.py", {"checkpoint": name, "with": "plain"})
    clean(app)


def test_no_run_reaches_markdown(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / NAME
    runs.ask(folder, {"recipe": HOSTILE, "dataset": HOSTILE, "latent_dim": HOSTILE, "epochs": 3})
    runs.say_end(runs.partial_of(folder), "failed", HOSTILE)
    app = visited("views/train.py", {"run": NAME})
    clean(app)
    assert any("The run failed" in error.value for error in app.error)


def test_plain_text_stays_readable() -> None:
    assert plain("digits-vae-2d, 12:30, a.b (c) = 1.5") == "digits-vae-2d, 12\\:30, a.b (c) = 1.5"
    assert plain("python -m vaecore train --epochs 3").replace("\\", "") == "python -m vaecore train --epochs 3"
    assert JOINER in plain("http://a.org")
    assert "\n" not in plain("a\n\n# b")
    assert unescaped(HOSTILE)
    assert not unescaped(plain(HOSTILE))


def test_plotly_shows_names_as_they_are() -> None:
    gaussian = figures.encoder(torch.zeros(2).numpy(), torch.ones(2).numpy())
    shape = figures.Gaussian("<a href='http://evil'>%{x}</a>", gaussian.loc, gaussian.scale, figures.ORANGE)
    axes = (torch.linspace(-1, 1, 3).numpy(),) * 2
    figure = figures.posterior_figure(axes, None, [shape], "<b>t</b>", notes=["<i>n</i>"])
    said = [figure.layout.title.text, *(note.text for note in figure.layout.annotations if "n" in note.text)]
    said += [text for trace in figure.data for text in (trace.name, trace.hovertemplate) if text]
    assert any("evil" in text for text in said)
    assert not any(re.search(r"<(?!br>|/?extra)|%\{x\}", text.replace("%{x:.3f}", "")) for text in said), said
