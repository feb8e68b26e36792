"""The MAE paper's Tables 2, 4 and 5 (Ma et al. 2019), and what checkpoints keep beside them."""

from collections.abc import Mapping

COUNTS = ("100", "1000", "all")
COLUMNS = {
    "density": ("RE", "KL", "MPD", "STD", "-ELBO", "NLL"),
    "clustering": ("K = 10", "K = 20", "K = 30"),
    "probes": tuple(f"{kind} {count}" for kind in ("knn", "linear", "svm-linear", "svm-rbf") for count in COUNTS),
}
NOTES = {
    "density": "Table 4; dynamically binarised MNIST, nats. RE and KL of its row eta = 2, gamma = 0.5 do not add up to "
    "-ELBO, and its KL is that of another row",
    "clustering": "Table 2; accuracy, %. Which rule of labelling gave the printed numbers is not known: the text says "
    "closest, the released code takes the majority",
    "probes": "Tables 2 and 5; accuracy, %, mean of 5 runs",
}
RESNET, LOSSY = "ResNet VAE w. AF", "Lossy VAE"
# By system; "Lossy VAE" is the paper's VLAE, and MAE's sizes are eta, gamma.
TABLES: dict[str, dict[str, tuple[float, ...]]] = {
    "density": {
        RESNET: (56.04, 25.38, 1193.18, 630.90, 81.42, 79.28),
        f"{LOSSY} without free bits": (71.74, 7.07, 109.31, 66.52, 78.81, 78.45),
        LOSSY: (69.60, 9.02, 132.00, 66.30, 78.62, 78.26),
        "MAE(0.5, 0.1)": (69.58, 9.57, 99.65, 22.03, 79.15, 78.04),
        "MAE(1, 0.1)": (67.95, 11.38, 124.80, 26.40, 79.33, 78.02),
        "MAE(2, 0.1)": (66.83, 12.67, 148.84, 29.88, 79.50, 78.02),
        "MAE(0.5, 0.5)": (68.44, 10.44, 55.09, 8.93, 78.88, 78.00),
        "MAE(1, 0.5)": (67.40, 11.54, 79.71, 12.69, 78.94, 77.98),
        "MAE(2, 0.5)": (66.54, 12.67, 103.30, 16.32, 79.04, 77.99),
        "MAE(0.5, 1)": (71.08, 8.41, 30.64, 4.78, 79.49, 78.36),
        "MAE(1, 1)": (69.34, 10.19, 55.59, 8.51, 79.53, 78.15),
        "MAE(2, 1)": (68.03, 11.65, 80.87, 12.19, 79.68, 78.06),
    },
    "clustering": {
        RESNET: (67.3, 81.6, 86.6),
        LOSSY: (68.1, 74.0, 79.1),
        "MAE(1, 0.1)": (82.7, 92.3, 93.0),
        "MAE(0.5, 0.5)": (84.7, 92.6, 93.2),
        "MAE(1, 0.5)": (91.2, 92.6, 93.6),
        "MAE(2, 0.5)": (78.2, 92.0, 92.8),
        "MAE(2, 1)": (83.1, 92.3, 94.3),
    },
    "probes": {
        RESNET: (77.4, 94.3, 98.1, 84.6, 94.3, 97.4, 88.7, 95.8, 98.3, 32.1, 93.9, 98.2),
        LOSSY: (75.7, 90.0, 95.6, 86.4, 93.7, 96.1, 84.9, 94.3, 96.7, 51.5, 90.9, 97.0),
        "MAE(1, 0.1)": (86.6, 95.5, 97.8, 91.1, 96.3, 98.3, 91.9, 96.4, 98.5, 48.7, 93.2, 98.3),
        "MAE(0.5, 0.5)": (86.3, 96.3, 98.0, 90.6, 96.1, 98.1, 90.7, 96.3, 98.4, 60.5, 95.5, 98.6),
        "MAE(1, 0.5)": (86.7, 95.9, 98.2, 91.5, 96.4, 98.4, 91.2, 96.6, 98.5, 74.3, 96.5, 98.8),
        "MAE(2, 0.5)": (85.5, 96.4, 98.2, 90.7, 96.0, 98.0, 90.3, 96.5, 98.5, 51.5, 92.3, 98.5),
        "MAE(2, 1)": (86.2, 96.6, 98.1, 90.0, 95.7, 98.0, 90.3, 96.5, 98.5, 54.5, 95.0, 98.5),
    },
}


def beside(kept: Mapping[str, dict]) -> dict:
    """The three tables, each the paper's rows and then one for what each checkpoint keeps, by its name.

    `kept` holds results of `measure`. Accuracies are in per cent; of the probes, "labels in all" says how many "all"
    are. Returns {"density" | "clustering" | "probes": {"note", "rows", "protocols"}}.
    """
    return {part: one(part, {name: results[part] for name, results in kept.items()}) for part in COLUMNS}


def one(part: str, kept: dict[str, dict]) -> dict:
    paper = [{"system": name, "source": "paper", **named(part, row)} for name, row in TABLES[part].items()]
    ours = [{"system": name, "source": "here", **row} for name, found in kept.items() for row in OURS[part](found)]
    protocols = {name: found["protocol"] for name, found in kept.items()}
    return {"note": NOTES[part], "rows": paper + ours, "protocols": protocols}


def named(part: str, row: tuple[float, ...]) -> dict[str, float]:
    return dict(zip(COLUMNS[part], row, strict=True))


def density_rows(found: dict) -> list[dict]:
    """Densities of continuous pixels have columns of their own: they are no probabilities, as the paper's are."""
    row = named("density", (*(found[key] for key in ("RE", "KL", "MPD", "STD")), -found["ELBO"], found["NLL"]))
    if found["likelihood"] == "probabilities":
        return [row]
    return [{f"{key} (densities)" if key in ("RE", "-ELBO", "NLL") else key: value for key, value in row.items()}]


def clustering_rows(found: dict) -> list[dict]:
    rows: dict[str, dict] = {}
    for row in found["rows"]:
        own = rows.setdefault(row["rule"], {"rule": row["rule"]})
        own |= {f"K = {row['clusters']}": percent(row)} | reason_of(row)
    return list(rows.values())


def probe_rows(found: dict) -> list[dict]:
    if not found["rows"]:
        return []
    cells = {f"{row['probe']} {row['asked']}": percent(row) for row in found["rows"]}
    for row in found["rows"]:
        cells |= reason_of(row)
    return [cells | {"labels in all": max(row["labels"] for row in found["rows"])}]


def percent(row: dict) -> float | None:
    return None if row["mean"] is None else 100 * row["mean"]


def reason_of(row: dict) -> dict[str, str]:
    """Why a row has no mean, as an entry of its table's row; nothing if it has one."""
    return {"reason": row["reason"]} if row["mean"] is None else {}


OURS = {"density": density_rows, "clustering": clustering_rows, "probes": probe_rows}


def markdown(tables: dict) -> str:
    """What `beside` returns, as text."""
    parts = []
    for part, table in tables.items():
        rows = table["rows"]
        heads = ["system", "source", *COLUMNS[part]]
        heads += [key for key in dict.fromkeys(key for row in rows for key in row) if key not in heads]
        lines = [heads, ["---"] * len(heads), *([cell(row.get(key)) for key in heads] for row in rows)]
        text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        about = "\n".join(f"* {name}: {words}" for name, words in table["protocols"].items())
        parts.append(f"{part.capitalize()}. {table['note']}.\n\n{text}\n\n{about}")
    return "\n\n".join(parts)


def cell(value: float | str | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.2f}" if isinstance(value, float) else str(value)
