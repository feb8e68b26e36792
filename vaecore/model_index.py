"""The measured numbers in the form of the hub's `model-index`, which its pages and its search read.

YAML, of which every leaf is written as JSON: strings with quotes and escapes, so that no name can become structure.
"""

import json
import math
import re

from vaecore.text import counted

GENERATION, FEATURES = "unconditional-image-generation", "image-feature-extraction"  # as the hub calls the tasks


def model_index(name: str, dataset: str | None, metrics: dict) -> list[str]:
    """Lines of front matter, none where nothing was measured or no data set is known.

    Each table of the card is one result, under the protocol that it was measured by.
    """
    tables = [(GENERATION, metrics.get("evaluation")), *learned(metrics.get("learned"))]
    found = [(task, *table(held)) for task, held in tables if isinstance(held, dict)]
    found = [(task, protocol, values) for task, protocol, values in found if values]
    if not found or not dataset:
        return []
    lines = ["model-index:", f"- name: {json.dumps(name)}", "  results:"]
    return lines + [line for each in found for line in result(dataset, *each)]


def learned(measured: object) -> list[tuple[str, dict]]:
    """The MAE paper's tables: densities, and accuracies by K-means and by probes, the means of their runs."""
    if not isinstance(measured, dict) or not all(isinstance(part, dict) for part in measured.values()):
        return []
    density, clustering, probes = (measured[part] for part in ("density", "clustering", "probes"))
    rows = {f"K-means accuracy, K = {row['clusters']}, {row['rule']}": row["mean"] for row in clustering["rows"]}
    found = {f"{row['probe']} accuracy, {counted(row['labels'], 'label')}": row["mean"] for row in probes["rows"]}
    named = [(clustering, rows), (probes, found)]
    return [(GENERATION, density), *((FEATURES, {"protocol": part["protocol"], **values}) for part, values in named)]


def table(held: dict) -> tuple[str, dict[str, float]]:
    """The protocol, and the finite numbers by name."""
    values = {name: value for name, value in held.items() if type(value) in (int, float) and math.isfinite(value)}
    return str(held.get("protocol", "")), values


def result(dataset: str, task: str, protocol: str, values: dict[str, float]) -> list[str]:
    about = [f"  - task: {{type: {task}}}", "    dataset:"]
    about += [f"      {key}: {json.dumps(dataset)}" for key in ("name", "type")]
    about += [f"      args: {{protocol: {json.dumps(protocol)}}}", "    metrics:"]
    entries = [(f"    - type: {json.dumps(kind(name))}", value, name) for name, value in values.items()]
    return about + [
        line
        for first, value, name in entries
        for line in (first, f"      value: {number(value)}", f"      name: {json.dumps(name)}")
    ]


def kind(name: str) -> str:
    """What the hub may call a metric: "KL(q(z|x) || p(z))" is kl-q-z-x-p-z."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "metric"


def number(value: float) -> str:
    """As every reader of YAML takes it for a number: PyYAML reads 1e-05 as a word, and 1.0e-05 as a number."""
    text = repr(round(value, 6))
    return text.replace("e", ".0e") if "e" in text and "." not in text else text
