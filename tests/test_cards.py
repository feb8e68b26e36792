"""Model cards: their front matter is the hub's, with every measured number as one of its metrics, and no other."""

import json
import math
import re
from pathlib import Path

import pytest

from vaecore import checkpoints
from vaecore.__main__ import main
from vaecore.cards import model_card

SHIPPED = checkpoints.find(Path(__file__).parents[1] / "pretrained")
CONFIG = {"format": 1, "recipe": "vae", "data_shape": [1, 8, 8], "latent_dim": 2, "dataset": "digits"}
CONFIG |= {"options": {"net": "small", "likelihood": "gaussian"}}


def front_matter(card: str) -> list[str]:
    lines = card.split("\n")
    assert lines[0] == "---"
    return lines[1 : lines.index("---", 1)]


RESULT = re.compile(
    r"  - task: \{type: ([a-z-]+)\}\n    dataset:\n      name: (.*)\n      type: (.*)\n      args: \{protocol: (.*)\}\n"
    r"    metrics:\n((?:    - type: .*\n      value: .*\n      name: .*\n)+)"
)
METRIC = re.compile(r'    - type: "([a-z0-9-]+)"\n      value: (-?\d+(?:\.\d+(?:e[-+]\d+)?)?)\n      name: (.*)\n')


def read_index(card: str) -> list[dict]:
    """The results of `model-index`, by a strict reader: every line must be one of the form's."""
    front = front_matter(card)
    begin = front.index("model-index:")
    name, results = re.fullmatch(
        r"- name: (.*)\n  results:\n((?:.*\n)+)", "\n".join(front[begin + 1 :]) + "\n"
    ).groups()
    assert json.loads(name)
    found = [match.groups() for match in RESULT.finditer(results)]
    assert RESULT.sub("", results) == ""
    for *_, metrics in found:
        assert METRIC.sub("", metrics) == ""
    return [
        {
            "task": task,
            "dataset": [json.loads(word) for word in words],
            "metrics": {json.loads(name): float(value) for _, value, name in METRIC.findall(metrics)},
        }
        for task, *words, metrics in found
    ]


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_a_shipped_card_is_up_to_date_and_holds_the_measured_numbers(folder: Path) -> None:
    metrics, config = checkpoints.read_metrics(folder), checkpoints.read_config(folder)
    card = (folder / "README.md").read_text()
    assert card == model_card(config, metrics, checkpoints.count_weights(folder)), "run python -m vaecore card FOLDER"
    results = read_index(card)
    tables = [metrics.get("evaluation"), (metrics.get("learned") or {}).get("density")]
    tables = [table for table in tables if table]
    generated = [result for result in results if result["task"] == "unconditional-image-generation"]
    for result, table in zip(generated, tables, strict=True):
        assert result["dataset"] == [config["dataset"]] * 2 + [table["protocol"]]
        measured = {name: value for name, value in table.items() if isinstance(value, int | float)}
        assert result["metrics"] == pytest.approx(measured, abs=1e-6)
    features = [result["metrics"] for result in results if result["task"] == "image-feature-extraction"]
    rows = [metrics["learned"][part]["rows"] for part in ("clustering", "probes")] if metrics.get("learned") else []
    for found, part in zip(features, rows, strict=True):
        assert list(found.values()) == pytest.approx([row["mean"] for row in part], abs=1e-6)


def test_no_name_can_break_out_of_its_place() -> None:
    evil = {
        'a"\n---\nlicense: x': 1.5,
        "tiny": 1e-9 + 2e-5,
        "huge": 1e17,
        "none": math.nan,
        "flag": True,
        "\u2028: é": -2,
    }
    card = model_card(CONFIG, {"evaluation": {"protocol": "x: }\n- [y", **evil}}, 5)
    assert [line.split(":")[0] for line in front_matter(card) if line[:1].isalpha()] == [
        "library_name",
        "license",
        "tags",
        "datasets",
        "model-index",
    ]
    (result,) = read_index(card)
    assert result["dataset"][2] == "x: }\n- [y"
    finite = {name: value for name, value in evil.items() if name not in ("none", "flag")}
    assert result["metrics"] == pytest.approx(finite, abs=1e-6)


@pytest.mark.parametrize(
    ("config", "metrics"),
    [
        (CONFIG, {}),
        (CONFIG, {"evaluation": [1], "learned": {"density": 3}}),
        (CONFIG, {"evaluation": {"protocol": "p"}}),
    ]
    + [(CONFIG | {"dataset": None}, {"evaluation": {"ELBO": -1.0}})],
)
def test_where_nothing_was_measured_there_is_no_index(config: dict, metrics: dict) -> None:
    assert "model-index:" not in front_matter(model_card(config, metrics, 5))


def test_the_command_writes_cards_anew(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (checkpoint / "README.md").read_text()
    (checkpoint / "README.md").write_text("old")
    assert main(["card", str(checkpoint)]) == 0
    assert (checkpoint / "README.md").read_text() == before
    assert json.loads(capsys.readouterr().out) == {"cards": [str(checkpoint / "README.md")]}
