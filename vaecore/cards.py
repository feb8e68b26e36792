"""The model card: README.md of a checkpoint, written from its config.json and metrics.json alone."""

import json
import re
from collections.abc import Callable
from itertools import groupby

from vaecore.model_index import model_index
from vaecore.recipes import RECIPES, find_recipe, label, paper_of
from vaecore.text import counted

BROUGHT = (
    "Brought from elsewhere: what is said of training and evaluation is its maker's claim, unless it was redone here."
)

MOST_RATES = 40  # changes of the learning rate that a card lists one by one


Say = Callable[[object], str]


def model_card(config: dict, metrics: dict, size: int, say: Say = str) -> str:
    """Markdown with the hub's YAML front matter; `size` is the number of weights.

    What the two files say in words stands in the card as `say` has it: a page escapes what a stranger wrote.
    """
    recipe, training, brought = find_recipe(config["recipe"]), metrics.get("training"), metrics.get("brought") is True
    shape = " x ".join(map(str, config["data_shape"]))
    # What a stranger made is not ours to license.
    front = ["---", "library_name: vaescope", *([] if brought else ["license: mit"]), "tags: [vae, vaescope]"]
    if config["dataset"]:
        front.append(f"datasets: [{yaml_word(config['dataset'])}]")
    title = f"{label(config)} of {counted(config['latent_dim'], 'latent dimension')} on {config['dataset'] or 'images'}"
    front += model_index(title, config["dataset"], metrics)
    options = say(", ".join(f"{name} {value}" for name, value in config["options"].items()))
    about = [
        f"# {say(title)}",
        "",
        f"{say(label(config))} ({recipe.paper}): {recipe.summary}.",
        "",
        f"* images: {shape}; latent dimensions: {config['latent_dim']}; {options}; {counted(size, 'weight')}",
        *(["", BROUGHT] if brought else []),
    ]
    if isinstance(training, dict) and config["recipe"] in RECIPES:
        training = training | {"rates": rates(metrics.get("history")), "paper": paper_of(config).training}
    measured = [*evaluation(metrics.get("evaluation"), say), *learned(metrics.get("learned"), say)]
    return "\n".join([*front, "---", "", *about, *budget(training, say), *measured, ""])


def yaml_word(word: str) -> str:
    """`word` as a string of YAML, which would take some bare words for numbers or truth values."""
    plain = (
        word.isascii() and word[0].isalpha() and word.lower() not in ("y", "n", "yes", "no", "on", "off", *CONSTANTS)
    )
    return word if plain else json.dumps(word)


CONSTANTS = ("true", "false", "null")


def budget(training: dict | None, say: Say) -> list[str]:
    """How it was trained, as far as `fit` and the command line recorded it."""
    if not isinstance(training, dict):
        return []
    words = {
        "command": "command: {}",
        "start": "begun with: {}",
        "images": "training images: {:,}",
        "epochs": "epochs: {}",
        "batch_size": "batch size: {}",
        "rates": "learning rates: {}",
        "paper": "the paper's training: {} (docs/protocols.md says what differs)",
        "seed": "seed: {}",
        "best_epoch": "epoch kept (highest validation ELBO): {}",
        "seconds": "training time: {:,.0f} s",
        "hardware": "hardware: {}",
        "versions": "versions: {}",
        "note": "{}",
    }
    said = {key: value if isinstance(value, int | float) else say(value) for key, value in training.items()}
    if training.get("command") is not None:
        said["command"] = code(str(training["command"]))
    lines = ["* " + words[key].format(said[key]) for key in words if training.get(key) is not None]
    return ["", "## Training", "", *lines] if lines else []


def rates(history: list | None) -> str | None:
    """The learning rates of a run's epochs, in their order: how many epochs had which."""
    told = [event.get("learning_rate") for event in history or [] if isinstance(event, dict)]
    told = [f"{rate:.3g}" for rate in told if isinstance(rate, int | float)]
    runs = [(rate, len(list(epochs))) for rate, epochs in groupby(told)]
    if len(runs) > MOST_RATES:
        return f"{runs[0][0]} falling to {runs[-1][0]} over {counted(len(told), 'epoch')}"
    return ", ".join(f"{rate} for {counted(n, 'epoch')}" for rate, n in runs) or None


def code(text: str) -> str:
    """`text` as Markdown's code: on one line, between more backticks than it has in a row."""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    inside = re.sub(r"[\r\n]+", " ", text)
    return f"{fence} {inside} {fence}" if len(fence) > 1 else f"`{inside}`"


def evaluation(results: dict | None, say: Say) -> list[str]:
    """The evaluation's numbers and the protocol that they were measured by."""
    if not isinstance(results, dict):
        return []
    # The bars of p(z|x) would part cells.
    named = ((re.sub(r"(?<!\\)\|", r"\|", say(name)), value) for name, value in results.items())
    rows = [f"| {name} | {value:,.3f} |" for name, value in named if isinstance(value, int | float)]
    protocol = say(results.get("protocol", ""))
    return ["", "## Evaluation", "", protocol, "", "| measure | value |", "| --- | --- |", *rows]


def learned(results: dict | None, say: Say) -> list[str]:
    """The MAE paper's numbers (`learned.measure`), each table under the protocol that it was measured by."""
    if not isinstance(results, dict) or not all(isinstance(part, dict) for part in results.values()):
        return []
    density, clustering, probes = (results[part] for part in ("density", "clustering", "probes"))
    measures = {say(name): f"{value:,.3f}" for name, value in density.items() if isinstance(value, float)}
    clusters = {say(f"K = {row['clusters']}, {row['rule']}"): accuracy(row) for row in clustering["rows"]}
    found = {say(f"{row['probe']}, {counted(row['labels'], 'label')}"): accuracy(row) for row in probes["rows"]}
    lines = ["", "## What it has learned"]
    for part, values in ((density, measures), (clustering, clusters), (probes, found)):
        lines += ["", say(part["protocol"]), *(["", "| measure | value |", "| --- | --- |"] if values else [])]
        lines += [f"| {name} | {value} |" for name, value in values.items()]
        reasons = dict.fromkeys(row.get("reason") for row in part.get("rows", ()))
        lines += [f"\n–: {say(reason)}" for reason in reasons if reason]
    return lines


def accuracy(row: dict) -> str:
    """The mean of the runs, and their standard deviation where there are several; a dash where there is none."""
    if row["mean"] is None:
        return "–"
    return f"{row['mean']:.4f}" + (f" ± {row['std']:.4f}" if row["std"] is not None else "")
