"""What lies in the folder of a run, read as a stranger's: values of their types, or a sentence for the run's row."""

import json
from pathlib import Path

import pytest

from vaecore import logged, runs, standing
from vaecore.safefiles import BadFile

STEP = {"event": "step", "step": 3, "steps": 9, "epoch": 1, "objective": -1.0, "seconds": 1.0}
EPOCH = {"event": "epoch", "epoch": 1, "epochs": 3, "step": 3, "train_elbo": -2.0, "valid_elbo": None}

LINES = {
    "no step": ({"event": "step"}, "line 2: step: field required"),
    "text for a step": (STEP | {"step": "3"}, "line 2: step: input should be a valid integer; it is '3'"),
    "a truth value": (STEP | {"steps": True}, "line 2: steps: input should be a valid integer; it is True"),
    "too many": (STEP | {"steps": 10**30}, "line 2: steps: input should be less than or equal to 1000000000000"),
    "no epochs": ({"event": "epoch", "epoch": 1, "step": 1}, "line 2: epochs: field required"),
    "of no epochs": (EPOCH | {"epochs": 0}, "line 2: epochs: input should be greater than or equal to 1"),
    "words for nats": (EPOCH | {"kl": "x"}, "line 2: kl: input should be a valid number; it is 'x'"),
    "no number": (EPOCH | {"kl": float("nan")}, "line 2: kl: input should be a finite number"),
}


@pytest.mark.parametrize("case", LINES)
def test_an_odd_line_of_a_log_is_a_sentence_that_names_it(tmp_path: Path, case: str) -> None:
    line, sentence = LINES[case]
    folder = tmp_path / "run"
    runs.ask(folder, {"recipe": "vae"})
    file = runs.partial_of(folder) / runs.LOG
    file.write_text(json.dumps(STEP) + "\n" + json.dumps(line) + "\n")
    with pytest.raises(BadFile) as refused:
        logged.read_log(file)
    assert sentence in str(refused.value)
    found = standing.read(folder)
    assert (found.problem, found.epochs, found.asked) == (str(refused.value), (), {"recipe": "vae"})


def test_events_of_a_later_version_and_their_keys_are_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    lines = [EPOCH | {"later": [1, {"a": 2}]}, {"event": "later", "step": "x"}, {"event": 3}, 3]
    file.write_text("\n".join(map(json.dumps, lines)))
    assert logged.read_log(file) == [EPOCH]


@pytest.mark.parametrize(
    ("name", "held", "sentence"),
    [
        (runs.ASKED, {"epochs": "many"}, "run.json: epochs: input should be a valid integer; it is 'many'"),
        (runs.ASKED, {"options": [1]}, "run.json: options: input should be a valid dictionary; it is a list"),
        (runs.ASKED, [], "run.json: input should be a valid dictionary"),
        (runs.END, {"state": "gone"}, "end.json: state: input should be '', 'stopped' or 'failed'; it is 'gone'"),
        (runs.END, {"sentence": {}}, "end.json: sentence: input should be a valid string; it is a dict"),
    ],
)
def test_what_was_asked_and_how_it_ended_are_checked(tmp_path: Path, name: str, held: object, sentence: str) -> None:
    folder = tmp_path / "run"
    runs.ask(folder, {"recipe": "vae"})
    (runs.partial_of(folder) / name).write_text(json.dumps(held))
    assert sentence in standing.read(folder).problem


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[" * 100_000, b"{", b'{"epochs": 1e999}', b'{"a":1,"a":2}'])
def test_files_that_are_no_json_are_a_sentence(tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "run"
    runs.ask(folder, {})
    (runs.partial_of(folder) / runs.ASKED).write_bytes(content)
    assert "run.json does not hold valid JSON" in standing.read(folder).problem
