"""The page of checkpoints headless: table, card, what is brought, renamed and deleted; an ONNX pair on every page."""

import io
import json
import zipfile
from pathlib import Path

import graphs
import pytest
import torch
from pages import set_apart, visited
from streamlit.testing.v1 import AppTest

import vaecore
from app import session, shelf, shelf_page
from app.plain import plain
from vaecore import checkpoints, imports
from vaecore.shelf import pack

PAGE = "views/checkpoints.py"
PAGES = ("views/posterior.py", "views/unsure.py", "views/between.py", "views/prior.py")


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shared")
    torch.manual_seed(0)
    metrics = {"evaluation": {"ELBO": -20.5, "protocol": "few"}, "training": {"epochs": 3, "seconds": 90.0}}
    vaecore.save(vaecore.build("vae", (1, 8, 8), 2), folder / "alpha", dataset="digits", metrics=metrics)
    vaecore.save(vaecore.build("rme", (1, 8, 8), 3, components=2), folder / "beta", dataset="digits")
    return folder


@pytest.fixture(scope="module")
def brought(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX pair, a checkpoint like any other."""
    torch.manual_seed(0)
    pair = graphs.small_pair()
    options = {"likelihood": "gaussian", "output": "mean", "scale": 0.3}
    return imports.from_onnx(*pair, tmp_path_factory.mktemp("brought"), "pair", dataset="digits", **options)


@pytest.fixture(autouse=True)
def _surroundings(shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_apart(tmp_path, shipped, monkeypatch)


def opened(page: str = PAGE, **address: str) -> AppTest:
    app = visited(page, address)
    assert not app.exception, app.exception
    return app


def said(app: AppTest) -> str:
    """All that the page says in words."""
    kinds = (app.markdown, app.error, app.info, app.warning, app.success, app.caption)
    return "\n".join(element.value for kind in kinds for element in kind)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("model.safetensors", b"\x02" + b"\x00" * 7 + b"{x", "model.safetensors does not hold valid JSON"),
        ("metrics.json", b'{"training": {"epochs": "many"}}', "training.epochs: input should be a valid integer"),
        ("metrics.json", b"[" * 100_000, "metrics.json does not hold valid JSON"),
        ("config.json", b"{}", "must hold exactly the keys"),
    ],
)
def test_a_broken_file_is_one_entry_with_a_sentence(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    broken = vaecore.save(vaecore.build("vae", (1, 8, 8), 2, net="small"), session.runs_folder() / "broken")
    (broken / name).write_bytes(content)
    found = session.checkpoints()
    assert sentence in found["broken"].problem
    assert shelf.table([entry for entry in found.values() if not entry.problem])["name"] == ["alpha", "beta"]
    assert plain(sentence) in said(opened())


def press(app: AppTest, key: str) -> AppTest:
    app.button(key=key).click().run()
    assert not app.exception, app.exception
    return app


def own(name: str, shipped: Path) -> Path:
    """A copy of alpha as if it was trained here."""
    vae = vaecore.load(shipped / "alpha")
    return vaecore.save(vae, session.ROOT / "runs" / name, dataset="digits")


def test_the_table_says_what_is_there() -> None:
    table = opened().dataframe[0].value
    assert table["name"].tolist() == ["alpha", "beta"]
    assert table["kind"].tolist() == ["VAE", "RME(2)"]
    assert table["D"].tolist() == [2, 3]
    assert table["ELBO"].tolist()[0] == -20.5
    assert table["minutes"].tolist()[0] == 1.5
    assert table["from"].tolist() == ["shared", "shared"]
    assert table["weights"].tolist()[0] == 50_501


def test_the_card_and_the_zip_are_the_chosen_ones() -> None:
    app = opened(checkpoint="beta")
    assert "RME(2) of 3 latent dimensions on digits" in said(app)
    assert "library_name" not in said(app)
    assert app.get("download_button")[0].proto.label == "Download as a zip"
    assert "neither renamed nor deleted" in said(app)
    with zipfile.ZipFile(io.BytesIO(shelf.pack(session.checkpoints()["beta"])())) as archive:
        assert "beta/config.json" in archive.namelist()


def test_a_row_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    """AppTest cannot click a row: what the click calls is called."""
    state = {"shelf_table": {"selection": {"rows": [1], "columns": []}}}
    monkeypatch.setattr(shelf_page.st, "session_state", state)
    shelf_page.chosen(list(session.checkpoints().values()))
    assert state["checkpoint"] == "beta"


def test_what_was_trained_into_the_folder_that_the_environment_names_is_ours_too(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAESCOPE_RUNS", str(tmp_path / "elsewhere"))
    vaecore.save(vaecore.load(shipped / "alpha"), tmp_path / "elsewhere" / "mine", dataset="digits")
    app = opened(checkpoint="mine")
    assert app.dataframe[0].value["from"].tolist() == ["trained here", "shared", "shared"]
    app.text_input(key="shelf_name_mine").set_value("other").run()
    press(app, "shelf_rename")
    assert (tmp_path / "elsewhere" / "other" / "config.json").is_file()


def test_what_was_trained_here_is_renamed_and_deleted(shipped: Path) -> None:
    own("mine", shipped)
    app = opened(checkpoint="mine")
    assert app.dataframe[0].value["from"].tolist() == ["trained here", "shared", "shared"]
    app.text_input(key="shelf_name_mine").set_value("other").run()
    press(app, "shelf_rename")
    assert "mine is called other now" in said(app)
    assert app.selectbox(key="checkpoint").value == "other"
    press(app, "shelf_delete")
    assert "other is deleted" in said(app)
    assert list((session.ROOT / "runs").iterdir()) == []
    assert app.selectbox(key="checkpoint").value == "alpha"


def test_a_wrong_name_is_a_sentence(shipped: Path) -> None:
    own("mine", shipped)
    app = opened(checkpoint="mine")
    app.text_input(key="shelf_name_mine").set_value("../x").run()
    assert "cannot be called" in said(press(app, "shelf_rename"))
    with pytest.raises(ValueError, match="neither trained nor brought here"):
        shelf.remove(session.checkpoints()["alpha"])


def test_a_zip_is_brought_and_chosen(shipped: Path) -> None:
    app = opened()
    assert app.button(key="bring_take_zip").disabled
    app.file_uploader[0].upload("anything.zip", pack(shipped / "beta")).run()
    app.text_input(key="bring_name").set_value("guest").run()
    press(app, "bring_take_zip")
    assert "guest is here" in said(app)
    assert app.selectbox(key="checkpoint").value == "guest"
    assert checkpoints.digest(session.ROOT / "brought" / "guest") == checkpoints.digest(shipped / "beta")
    assert "Brought from elsewhere" in said(app)
    assert session.checkpoints()["guest"].label == "RME(2)"


@pytest.mark.parametrize(
    ("content", "sentence"), [(b"junk", "no zip file"), (b"PK\x05\x06" + bytes(18), "no config.json")]
)
def test_what_is_no_checkpoint_is_refused(content: bytes, sentence: str) -> None:
    app = opened()
    app.file_uploader[0].upload("x.zip", content).run()
    press(app, "bring_take_zip")
    assert "Not taken" in said(app)
    assert sentence in said(app).replace("\\", "")
    assert not (session.ROOT / "brought").exists()


def test_markup_in_a_strangers_file_is_shown_as_it_is(shipped: Path) -> None:
    app = opened()
    config = json.loads((shipped / "alpha" / "config.json").read_text()) | {"recipe": "![x](http://a.b/c.png)"}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.safetensors", (shipped / "alpha" / "model.safetensors").read_bytes())
    app.file_uploader[0].upload("x.zip", packed.getvalue()).run()
    press(app, "bring_take_zip")
    assert "![x](" not in said(app)
    assert "x" in app.error[0].value


def test_two_files_are_brought(shipped: Path) -> None:
    app = opened()
    app.segmented_control(key="bring_way").set_value("files").run()
    for uploader, name in enumerate(("model.safetensors", "config.json")):
        app.file_uploader[uploader].upload(name, (shipped / "alpha" / name).read_bytes()).run()
    press(app, "bring_take_files")
    assert app.selectbox(key="checkpoint").value == "digits-vae-2d"


def test_a_pair_is_brought_with_its_shapes_shown() -> None:
    app, (encoder, decoder) = opened(), graphs.small_pair()
    app.segmented_control(key="bring_way").set_value("onnx").run()
    app.file_uploader[0].upload("e.onnx", encoder).run()
    app.file_uploader[1].upload("d.onnx", b"junk").run()
    assert "decoder.onnx is not an ONNX file" in said(app).replace("\\", "")
    app = opened()
    app.segmented_control(key="bring_way").set_value("onnx").run()
    app.file_uploader[0].upload("e.onnx", encoder).run()
    app.file_uploader[1].upload("d.onnx", decoder).run()
    shapes = app.dataframe[1].value
    assert shapes["takes"].tolist() == ["x [N, 1, 8, 8]", "z [N, 2]"]
    app.selectbox(key="bring_p").set_value("gaussian").run()
    app.selectbox(key="bring_output").set_value("mean").run()
    app.selectbox(key="bring_dataset").set_value("digits").run()
    press(app, "bring_take_pair")
    folder = session.ROOT / "brought" / "digits-onnx-2d"
    assert checkpoints.read_config(folder)["options"] == {"likelihood": "gaussian", "output": "mean", "scale": 1.0}
    assert session.checkpoints()["digits-onnx-2d"].label == "ONNX pair"


def test_the_way_of_least_change_is_not_offered_for_a_pair(brought: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAESCOPE_CHECKPOINTS", str(brought.parent))
    app = opened("views/between.py", checkpoint="pair", path="smoothest")
    assert "there is only linear, spherical, highest" in said(app)
    ways = app.segmented_control(key="between_path")
    assert "pair is an ONNX pair, which gives no gradients" in ways.help
    assert not app.error


@pytest.mark.parametrize("page", PAGES)
def test_a_pair_is_on_every_page_or_the_page_says_why(
    page: str, brought: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAESCOPE_CHECKPOINTS", str(brought.parent))
    app = opened(page, checkpoint="pair")
    assert not app.error, app.error[0].value


def test_the_posterior_of_a_pair_is_exact(brought: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAESCOPE_CHECKPOINTS", str(brought.parent))
    app = opened("views/posterior.py", checkpoint="pair", image="3")
    panel = [element.proto.body for element in app.get("html") if "data-pick" in element.proto.body][0]
    assert "amortization gap" in panel


def test_the_card_is_the_hubs(shipped: Path) -> None:
    """The front matter between two lines of dashes: known keys, words that YAML reads as words, and lists of them."""
    for dataset in (None, "digits", "no", "1e5"):
        from vaecore.cards import model_card

        config = checkpoints.read_config(shipped / "alpha") | {"dataset": dataset}
        lines = model_card(config, {}, 5).split("\n")
        front = lines[1 : lines.index("---", 1)]
        assert lines[0] == "---"
        for line in front:
            key, value = line.split(": ", 1)
            assert key in ("library_name", "license", "tags", "datasets")
            words = value[1:-1].split(", ") if key in ("tags", "datasets") else [value]
            assert all(word.strip('"').replace("_", "").isalnum() for word in words)
            assert all(word.startswith('"') or word[0].isalpha() and word != "no" for word in words)
