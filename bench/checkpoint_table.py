"""The evaluations that the checkpoints keep, as the tables of RESULTS.md.

python -m bench.checkpoint_table digits mnist
"""

import argparse

from vaecore import checkpoints
from vaecore.recipes import label

MEASURES = {
    "log p(x)": "exact log p(x)",
    "ELBO": "exact ELBO",
    "gap": "exact gap KL(q(z|x) || p(z|x))",
    "its standard error": "standard error of the exact gap",
    "best diagonal Gaussian's gap": "approximation gap",
    "IWAE(100)": "IWAE(100)",
}


def rows(dataset: str) -> list[list[str]]:
    """One row for each evaluated checkpoint of the data set with two latent dimensions."""
    found = []
    for folder in checkpoints.find("pretrained"):
        contents = checkpoints.read(folder)
        config, metrics = contents.config, contents.metrics
        results = metrics.get("evaluation")
        if config["dataset"] != dataset or config["latent_dim"] != 2 or results is None:
            continue
        results = {"approximation gap": results.get("gap of the best diagonal Gaussian"), **results}
        values = [f"{results[key]:.2f}" for key in MEASURES.values()]
        found.append([label(config), f"{metrics['training']['epochs']}", *values])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("datasets", nargs="+")
    for dataset in parser.parse_args().datasets:
        heads = [dataset, "epochs", *MEASURES]
        table = [heads, ["---"] * len(heads), *rows(dataset)]
        print("\n".join("| " + " | ".join(row) + " |" for row in table), end="\n\n")


if __name__ == "__main__":
    main()
