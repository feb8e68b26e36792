"""The page "Train one", headless: forms, runs of several visitors, what becomes of a run; real trainings of digits."""

import io
import json
import os
import signal
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

import vaecore
from app import figures_training, jobs, session, train_words, training
from app.plain import plain as escaped
from app.plain import quoted
from vaecore import runs, standing

MAIN = str(Path(session.__file__).parent / "main.py")
ASKED = {"recipe": "vae", "dataset": "digits", "latent_dim": 2, "epochs": 3, "batch_size": 128, "seed": 0}
ASKED |= {"learning_rate": None, "start": None, "options": {"net": "small", "likelihood": "bernoulli"}}


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(session, "ROOT", tmp_path)
    monkeypatch.setenv("VAESCOPE_RUNS", str(tmp_path / "runs"))
    monkeypatch.delenv("VAESCOPE_CHECKPOINTS", raising=False)
    monkeypatch.setenv("VAESCOPE_DATA", str(tmp_path / "no-data"))
    monkeypatch.setattr(session, "warm", lambda: None)
    monkeypatch.setattr(training, "estimate", lambda asked: 100.0)
    monkeypatch.setattr(jobs, "NICE", 0)
    (tmp_path / "runs").mkdir()
    yield
    for job in jobs.every():
        if jobs.alive(job):
            os.killpg(job.pid, signal.SIGKILL)
    for burying in [thread for thread in threading.enumerate() if thread.name == "bury"]:
        burying.join(20)


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, list[str]]]:
    """Runs are asked for, but no process is started: which ones would have been."""
    made: list[tuple[Path, list[str]]] = []
    monkeypatch.setattr(jobs, "train", lambda folder, arguments, owner: made.append((folder, arguments)))
    return made


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was trained to its end by the command line."""
    from vaecore.__main__ import main

    folder = tmp_path_factory.mktemp("made") / "finished"
    command = ["train", "vae", "--epochs", "3", "--folder", str(folder), "--device", "cpu"]
    assert main([*command, "--option", "likelihood=bernoulli"]) == 0
    return folder


def opened(**address: str) -> AppTest:
    app = AppTest.from_file(MAIN, default_timeout=60)
    app.query_params.update(address)
    app.switch_page("views/train.py")
    app.run()
    assert not app.exception, app.exception
    return app


def copied(trained: Path, name: str = "finished") -> Path:
    import shutil

    return Path(shutil.copytree(trained, session.runs_folder() / name))


def button(app: AppTest, key: str):  # noqa: ANN201
    return next(found for found in app.button if found.key == key)


def until(folder: Path, *states: str, patience: float = 240) -> standing.Standing:
    end = time.monotonic() + patience
    while (one := training.standing(folder)).state not in states:
        assert time.monotonic() < end, (one, [job.sentence for job in jobs.every()])
        time.sleep(0.1)
    return one


def test_an_odd_line_of_anybodys_log_is_a_sentence_in_its_row_alone() -> None:
    for name, line in (("good", {}), ("odd", {"epochs": "many"})):
        runs.ask(session.runs_folder() / name, ASKED)
        epoch = {"event": "epoch", "epoch": 1, "epochs": 3, "step": 9, "train_elbo": -30.0, "valid_elbo": None} | line
        (runs.partial_of(session.runs_folder() / name) / runs.LOG).write_text(json.dumps(epoch))
    rows = " / ".join(caption.value for caption in opened().caption)
    wrong = "metrics.jsonl, line 1: epochs: input should be a valid integer; it is 'many'."
    assert rows.count(escaped(wrong)) == 1
    assert rows.count(escaped("D = 2: x")[:-1]) == 2
    assert "after 1 of 3 epoch" in rows
    assert any(escaped(wrong) in error.value for error in opened(run="odd").error)


def test_the_form_is_made_from_the_recipes_options(begun: list) -> None:
    app = opened()
    for name, system in training.systems().items():
        next(box for box in app.selectbox if box.key == "train_recipe").select(name).run()
        assert not app.exception
        keys = {widget.key for kind in (app.selectbox, app.number_input) for widget in kind}
        for option in system.options:
            assert any((key or "").startswith(f"train_{name}_{option.name}") for key in keys), option.name
    assert not begun


def test_start_begins_what_was_asked(begun: list) -> None:
    app = opened()
    next(box for box in app.selectbox if box.key == "train_recipe").select("iaf").run()
    next(box for box in app.number_input if box.key == "train_iaf_steps").set_value(2).run()
    next(box for box in app.number_input if box.key == "train_digits_epochs").set_value(7).run()
    assert "Estimate: about 2 minutes" in " ".join(caption.value for caption in app.caption)
    button(app, "train_start").click().run()
    assert not app.exception
    [(folder, given)] = begun
    assert folder.name == "digits-iaf-2d"
    assert given[:2] == ["train", "iaf"]
    assert "--option=steps=2" in given
    assert given[given.index("--epochs") + 1] == "7"
    assert standing.read(folder).asked["options"]["steps"] == 2
    assert [box.value for box in app.text_input if "Name" in box.label] == ["digits-iaf-2d-2"]


@pytest.mark.parametrize("name", ["../x", "", "a/b", ".hidden", "x.partial", "a" * 61, "-n"])
def test_a_name_that_cannot_be_is_said(begun: list, name: str) -> None:
    with pytest.raises(ValueError, match="A name has"):
        training.begin(name, ASKED)
    assert not begun
    assert not list(session.runs_folder().iterdir())


@pytest.mark.parametrize(
    "wrong",
    [{"recipe": "--help"}, {"dataset": "nothing"}, {"epochs": 10**9}, {"epochs": 1.5}, {"seed": -1}, {"latent_dim": 0}]
    + [{"learning_rate": -1.0}, {"options": {"net": "huge"}}, {"options": {"x": 1}}, {"options": []}],
)
def test_what_cannot_be_asked_begins_nothing(begun: list, wrong: dict) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        training.begin("fine", ASKED | wrong)
    assert not begun
    assert not list(session.runs_folder().iterdir())


def test_a_name_that_is_taken_is_said(begun: list) -> None:
    training.begin("mine", ASKED)
    with pytest.raises(ValueError, match="taken by an unfinished run"):
        training.begin("mine", ASKED)
    assert len(begun) == 1


def test_a_finished_run_is_shown_and_played(trained: Path) -> None:
    copied(trained)
    app = opened(run="finished")
    charts = [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]
    assert [len(chart["data"]) for chart in charts[:2]] == [2, 2]
    assert len(charts) == 4
    assert "samples of the prior" in str([html.proto.body[:2000] for html in app.get("html")])
    slider = app.select_slider[0]
    assert slider.value == 3
    slider.set_value(1).run()
    assert not app.exception
    assert any(caption.value == "Pictures of epoch 1." for caption in app.caption)
    button(app, "train_play").click().run()
    assert not app.exception


def test_it_is_a_checkpoint_on_every_page(trained: Path) -> None:
    copied(trained, "new one".replace(" ", "-"))
    app = AppTest.from_file(MAIN, default_timeout=60)
    app.switch_page("views/posterior.py")
    app.run()
    assert "new-one" in next(box for box in app.selectbox if box.key == "checkpoint").options[0]


def test_it_can_be_renamed_zipped_and_deleted_after_a_question(trained: Path, tmp_path: Path) -> None:
    folder = copied(trained)
    with zipfile.ZipFile(io.BytesIO(training.zipped(folder))) as archive:
        archive.extractall(tmp_path / "out")
    assert vaecore.load(tmp_path / "out" / "finished").config == vaecore.load(folder).config
    back = vaecore.imports.from_zip(training.zipped(folder), tmp_path / "brought")  # what one page gives another takes
    assert vaecore.checkpoints.digest(back) == vaecore.checkpoints.digest(folder)
    app = opened(run="finished")
    next(box for box in app.text_input if box.key == "train_new_name_finished").set_value("better").run()
    button(app, "train_rename").click().run()
    assert not app.exception
    assert not folder.exists()
    assert (session.runs_folder() / "better" / "config.json").exists()
    assert any(header.value == "better" for header in app.subheader)
    button(app, "train_delete").click().run()
    assert not app.exception
    assert list(session.runs_folder().iterdir()) == []


def test_what_was_not_trained_here_is_not_touched(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAESCOPE_CHECKPOINTS", str(trained.parent))
    app = opened(run="finished")
    assert not [found for found in app.button if found.key in ("train_delete", "train_rename")]
    for act in (lambda: training.delete(trained), lambda: training.rename(trained, "x")):
        with pytest.raises(ValueError, match="not trained here"):
            act()
    assert (trained / "config.json").exists()


def test_failed_and_interrupted_runs_say_so_and_a_wrong_link_too(begun: list) -> None:
    folder = training.begin("lost", ASKED)
    runs.say_end(runs.partial_of(folder), "failed", "[Errno 28] No space left on device")
    app = opened(run="nowhere")
    assert "'nowhere', which is not here" in app.warning[0].value
    assert "No space left on device" in app.error[0].value
    button(app, "train_resume").click().run()
    assert not app.exception
    assert len(begun) == 2
    assert begun[0] == begun[1]


def test_a_run_to_its_end_in_two_visits(tmp_path: Path) -> None:
    """With a real process: paused in the middle, seen by another visitor, resumed, finished."""
    folder = training.begin("real", ASKED | {"epochs": 400})
    other = training.begin("second", ASKED | {"epochs": 2})
    until(folder, "running")
    until(other, "waiting")
    app = opened(run="real")
    assert any("waiting for a free place" in caption.value for caption in app.caption)
    end = time.monotonic() + 240
    while not training.standing(folder).epochs:
        assert time.monotonic() < end
        time.sleep(0.1)
    button(app, "train_pause").click().run()
    assert not app.exception
    paused = until(folder, "stopped")
    assert 0 < len(paused.epochs) < 400
    assert "paused after" in train_words.line(paused)
    visitor = opened(run="second")
    assert until(other, "done").state == "done"
    visitor.run()
    assert not visitor.exception
    app.run()
    button(app, "train_keep").click().run()
    assert not app.exception
    assert training.standing(folder).state == "done"
    assert len(vaecore.checkpoints.read_metrics(folder)["history"]) == len(training.standing(folder).epochs)
    assert vaecore.load(folder).config["recipe"] == "vae"


def test_the_estimate_is_near_what_a_training_takes() -> None:
    from vaecore.pace import seconds_for

    torch.manual_seed(0)
    train = vaecore.load_dataset("digits", "train")

    def ratio(recipe: str) -> float:
        vae = vaecore.build(recipe, (1, 8, 8), 2, net="small")
        told = seconds_for(vae, recipe, train, 4, 128)
        return told / sum(event["seconds"] for event in vaecore.fit(vae, recipe, train, epochs=4, device="cpu"))

    for recipe in ("vae", "rme"):
        # Other processes may come and go between the two measurements: one undisturbed pair of three is enough.
        assert any(0.25 < ratio(recipe) < 4 for _ in range(3))


def test_curves_show_where_they_end() -> None:
    column = np.array([-500.0, -60.0, -40.0, -35.0, -33.0, -32.0, -31.5, -31.2, -31.1, -31.0, -31.0, -31.0])
    low, high = figures_training.sensible(column)
    assert -70 < low < -31
    assert high > -31
    assert figures_training.sensible(column[:2]) is None
    curves = figures_training.Curves(*[np.arange(1.0, 4)] * 5, np.empty((0, 2)))
    figure = figures_training.loss_figure(curves, 3, at=2)
    assert figure.layout.shapes[0].x0 == 2
    assert figures_training.reach_of([np.array([[3.5, -7.2]])]) == 8.0


def test_epoch_and_form_stand_in_the_link(trained: Path, begun: list) -> None:  # noqa: ARG001
    copied(trained)
    address = {"run": "finished", "epoch": "1", "system": "gpvae", "data": "dynamic_digits"}
    app = opened(**address)
    assert not app.warning
    assert app.select_slider[0].value == 1
    assert {box.key: box.value for box in app.selectbox}["train_recipe"] == "gpvae"
    assert {name: app.query_params[name] for name in app.query_params} == address
    app.select_slider[0].set_value(3).run()
    assert "epoch" not in app.query_params


FORM = {"system": "sa", "data": "dynamic_digits", "latent": "3", "epochs": "7", "seed": "5", "steps": "2"}
FORM |= {
    "step_size": "0.01",
    "net": "dense",
    "likelihood": "bernoulli",
    "batch": "64",
    "rate": "0.002",
    "from": "plain",
}


def form(app: AppTest) -> dict[str, object]:
    """What the form's widgets hold, by their titles."""
    boxes = [*app.selectbox, *app.number_input]
    return {box.label: box.value for box in boxes if box.key and box.key.startswith("train_")}


@pytest.fixture
def trained_vae(tmp_path: Path) -> None:
    """A VAE that a run may begin with."""
    torch.manual_seed(0)
    vae = vaecore.build("vae", (1, 8, 8), 3, net="small")
    vaecore.save(vae, tmp_path / "runs" / "plain", dataset="dynamic_digits")


@pytest.mark.usefixtures("trained_vae")
def test_the_whole_form_stands_in_the_link_and_opens_as_it_was(begun: list) -> None:
    app = opened(**FORM)
    assert not app.warning
    shown = {"System": "sa", "Data set": "dynamic_digits", "Latent size": 3, "Epochs": 7, "Seed": 5, "steps": 2}
    shown |= {"step size": 0.01, "net": "dense", "likelihood": "bernoulli", "batch size": 64, "learning rate": 0.002}
    shown |= {"protocol": "short"}
    assert form(app) == shown | {"begin with": "plain"}
    assert {name: app.query_params[name] for name in app.query_params} == FORM
    button(app, "train_start").click().run()
    (folder, _), asked = begun[0], standing.read(begun[0][0]).asked
    assert (asked["seed"], asked["batch_size"], asked["learning_rate"], asked["options"]["steps"]) == (5, 64, 0.002, 2)
    assert asked["start"].endswith("plain")
    assert {name: app.query_params[name] for name in app.query_params} == FORM | {"run": folder.name}


def test_what_is_typed_is_in_the_link_until_it_is_as_at_first(begun: list) -> None:  # noqa: ARG001
    app = opened(system="gpvae")
    seed = next(box for box in app.number_input if box.label == "Seed")
    seed.set_value(3).run()
    assert {name: app.query_params[name] for name in app.query_params} == {
        "system": "gpvae",
        "data": "digits",
        "seed": "3",
    }
    next(box for box in app.number_input if box.label == "Seed").set_value(0).run()
    assert "seed" not in app.query_params
    # Another link resets what it leaves out.
    next(box for box in app.number_input if box.label == "Epochs").set_value(9).run()
    app.query_params.clear()
    app.query_params["seed"] = "4"
    app.run()
    assert {name: form(app)[name] for name in ("System", "Epochs", "Seed")} == {
        "System": "vae",
        "Epochs": 100,
        "Seed": 4,
    }


WRONG = [("epoch", "x"), ("system", "<b>"), ("data", "nothing"), ("latent", "0"), ("epochs", "1e3"), ("seed", "-1")]
WRONG += [
    ("net", "huge"),
    ("likelihood", "GAUSSIAN"),
    ("batch", "8193"),
    ("rate", "nan"),
    ("rate", "0"),
    ("from", "../x"),
]
WRONG += [("latent", "٣"), ("seed", "1" * 60)]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_what_a_link_to_the_page_asks_wrongly_is_named(name: str, value: str, begun: list) -> None:  # noqa: ARG001
    app = opened(**{name: value})
    assert quoted(value, 30) in app.warning[0].value
    assert name not in app.query_params
