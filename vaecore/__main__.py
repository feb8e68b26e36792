"""The command line: progress on stderr, one JSON result on stdout."""

import argparse
import json
import platform
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from vaecore.memory import keep_freed_memory
from vaecore.threads import wait_passively

wait_passively()  # before torch is loaded, which the recipes need

from vaecore.protocols import OURS  # noqa: E402
from vaecore.recipes import RECIPES, find_recipe, paper_of  # noqa: E402
from vaecore.safefiles import must_be_text  # noqa: E402
from vaecore.text import counted  # noqa: E402


def main(arguments: list[str] | None = None) -> int:
    """Run one command; errors that a person can mend are one sentence and exit status 1."""
    options = parser().parse_args(arguments)
    keep_freed_memory()
    try:
        must_be_names(options)
        result = options.run(options)
    except (ValueError, OSError) as error:
        print(f"{options.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{options.command}: stopped.", file=sys.stderr)
        return 130
    if result is not None:  # of several processes that train one model the first speaks
        print(result if isinstance(result, str) else json.dumps(result, indent=2, allow_nan=False))
    return 0


def must_be_names(options: argparse.Namespace) -> None:
    """ValueError, before any work, for names that are not UTF-8: no card could hold them."""
    for value in vars(options).values():
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str):
                must_be_text(text)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m vaecore", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_train(commands)
    add_evaluate(commands)
    analyse = add(commands, "analyse", run_analyse, "compute codes and exact gaps of the test images, and keep them")
    analyse.add_argument("folder")
    analyse.add_argument("--data", metavar="FOLDER", help="the data folder (default: VAESCOPE_DATA, else your cache)")
    analyse.add_argument("--exact-images", type=count, help="gaps of the first so many images (default: all)")
    analyse.add_argument("--device", default="auto")
    analyse.add_argument("--progress", metavar="FILE", help="keep the present step there, as JSON, for whoever watches")
    add_embed(commands)
    add_aggregate(commands)
    add_health(commands)
    add_learned(commands)
    add_bench(commands)
    card = add(commands, "card", run_card, "write the model cards of checkpoints anew, from their config and metrics")
    card.add_argument("folders", nargs="+", metavar="folder")
    download = add(commands, "download", run_download, "fetch a data set into the data folder")
    download.add_argument("dataset")
    download.add_argument("--data", metavar="FOLDER", help="the data folder (default: VAESCOPE_DATA, else your cache)")
    return top


def add(commands: argparse._SubParsersAction, name: str, run: Callable, text: str) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text)
    command.set_defaults(run=run)
    return command


def count(text: str) -> int:
    """A whole number of at least one, for argparse."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"it is {number}, and must be at least 1")
    return number


def count_or_all(text: str) -> int | None:
    """A whole number of at least one, or None for "all"."""
    return None if text == "all" else count(text)


def seed(text: str) -> int:
    if not 0 <= (number := int(text)) < 2**32:
        raise argparse.ArgumentTypeError(f"it is {number}, and must be from 0 to 2**32 - 1")
    return number


def add_train(commands: argparse._SubParsersAction) -> None:
    train = add(commands, "train", run_train, "train a recipe; ends with a checkpoint folder")
    train.add_argument("recipe", help="one of " + ", ".join(RECIPES))
    train.add_argument("--dataset", default="digits")
    train.add_argument("--data", metavar="FOLDER", help="the data folder (default: VAESCOPE_DATA, else your cache)")
    train.add_argument("--folder", metavar="FOLDER", help="the checkpoint to write (default: runs/DATASET-RECIPE-Dd)")
    train.add_argument("--from", dest="start", metavar="FOLDER", help="a trained checkpoint to begin with")
    train.add_argument("--latent-dim", type=count, default=2)
    train.add_argument("--epochs", type=count, default=20)
    train.add_argument("--batch-size", type=count, help="default: 128, or the paper's with --protocol paper")
    train.add_argument(
        "--protocol",
        choices=["short", "paper"],
        help="paper: its rates as shares of the epochs, warm-up and L2; short (default): for a small budget",
    )
    train.add_argument("--learning-rate", type=float, help="of the first stage (default: the recipe's)")
    train.add_argument("--seed", type=seed, default=0)
    train.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ...")
    train.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", help="an option of the recipe, e.g. net=dense"
    )


def add_evaluate(commands: argparse._SubParsersAction) -> None:
    evaluate = add(commands, "evaluate", run_evaluate, "measure a checkpoint; JSON on stdout")
    evaluate.add_argument("folder")
    evaluate.add_argument("--split", default="test", help="train, valid or test")
    evaluate.add_argument("--data", metavar="FOLDER", help="the data folder (default: VAESCOPE_DATA, else your cache)")
    evaluate.add_argument("--images", type=count, help="use the first so many images (default: all)")
    evaluate.add_argument("--samples", type=count, help="K draws of q(z|x) for an image (100)")
    evaluate.add_argument("--binarisations", type=count, help="draw a dynamically binarised set so many times (1)")
    evaluate.add_argument(
        "--protocol",
        choices=["quick", "paper"],
        default="quick",
        help="paper: samples, binarisations and images for active units as the system's paper has them",
    )
    evaluate.add_argument("--exact-images", type=count, default=500, help="how many images get the exact gap (D = 2)")
    evaluate.add_argument("--seed", type=seed, default=0)
    evaluate.add_argument("--device", default="auto")
    evaluate.add_argument("--keep", action="store_true", help="write the result into the checkpoint and its card")


def add_embed(commands: argparse._SubParsersAction) -> None:
    text = "map the codes of checkpoints into the plane by t-SNE or UMAP, and keep the maps with them"
    embed = add(commands, "embed", run_embed, text)
    embed.add_argument("folders", nargs="+", metavar="folder", help="one checkpoint after another, D > 2")
    embed.add_argument("--method", choices=["tsne", "umap"], default="umap")
    embed.add_argument(
        "--split", choices=["test", "train", "all"], default="test", help="train: with its held-out part"
    )
    embed.add_argument("--points", type=count, default=2000, help="so many, as many of each label; at most 10,000")
    embed.add_argument("--seed", type=seed, default=0)
    embed.add_argument("--data", metavar="FOLDER", help="the data folder (default: VAESCOPE_DATA, else your cache)")
    embed.add_argument("--progress", metavar="FILE", help="keep the present step there, as JSON, for whoever watches")


def add_aggregate(commands: argparse._SubParsersAction) -> None:
    text = "measure q(z), the mean of all q(z|x): its divergence from the prior, moments, closest pairs; JSON on stdout"
    aggregate = add(commands, "aggregate", run_aggregate, text)
    aggregate.add_argument("folder")
    aggregate.add_argument("--split", default="train", help="train, valid or test")
    aggregate.add_argument("--data", metavar="FOLDER", help="the data folder (default: VAESCOPE_DATA, else your cache)")
    aggregate.add_argument("--images", type=count, default=5000, help="use the first so many (the paper: all)")
    aggregate.add_argument("--n-x", type=count, default=1, help="binarisations of each image (algorithm B.2)")
    aggregate.add_argument("--n-z", type=count, default=1, help="draws of z for each of them (the paper: 10)")
    aggregate.add_argument("--seed", type=seed, default=0)
    aggregate.add_argument("--device", default="auto")


def add_health(commands: argparse._SubParsersAction) -> None:
    text = "is it healthy? bounds, gap, active units, q(z) against the prior, a verdict on each; JSON on stdout"
    health = add(commands, "health", run_health, text)
    health.add_argument("folder")
    health.add_argument("--split", default="test", help="train, valid or test")
    health.add_argument("--data", metavar="FOLDER", help="the data folder (default: VAESCOPE_DATA, else your cache)")
    health.add_argument("--seed", type=seed, default=0)
    health.add_argument("--device", default="auto")
    health.add_argument("--keep", action="store_true", help="keep the report with the checkpoint, and go on with one")
    health.add_argument("--progress", metavar="FILE", help="keep the present step there, as JSON, for whoever watches")


def add_learned(commands: argparse._SubParsersAction) -> None:
    text = "the MAE paper's numbers: RE, KL, MPD, STD, NLL; K-means, KNN, linear and SVM accuracies; JSON on stdout"
    learned = add(commands, "learned", run_learned, text)
    learned.add_argument("folder")
    learned.add_argument("--data", metavar="FOLDER", help="the data folder (default: VAESCOPE_DATA, else your cache)")
    learned.add_argument("--device", default="auto")
    learned.add_argument("--keep", action="store_true", help="write the result into the checkpoint and its card")
    learned.add_argument(
        "--protocol",
        choices=["quick", "paper"],
        default="quick",
        help="paper: its protocol where no option says otherwise: all images, 5 binarisations, 4096 samples, codes of "
        "50 draws; the NLL then takes hours",
    )
    learned.add_argument("--paper", dest="protocol", action="store_const", const="paper", help="--protocol paper")
    texts = {
        "images": (count_or_all, "test images for RE, KL, MPD and STD, or all (2048)"),
        "nll-images": (count_or_all, "test images for the NLL, or all (100)"),
        "samples": (count, "importance samples for the NLL (1024)"),
        "binarisations": (count, "draw a dynamically binarised test set so many times (1)"),
        "draws": (int, "codes: the average of so many samples of q(z|x), 0 for its mean (0)"),
        "train-images": (count_or_all, "training images that are clustered and give the labels, or all (10000)"),
        "svm-labels": (count_or_all, "give an SVM at most so many labels; its time grows with their square (all)"),
        "runs": (count, "runs of each clustering and probe (5)"),
        "seed": (seed, "of the draws (0)"),
    }
    for name, (kind, words) in texts.items():
        learned.add_argument(f"--{name}", type=kind, default=argparse.SUPPRESS, help=words)
    for name, words in (("labels", "labels given to probes, beside all (100 1000)"), ("clusters", "K (10 20 30)")):
        learned.add_argument(f"--{name}", type=count, nargs="+", default=argparse.SUPPRESS, help=words)


def add_bench(commands: argparse._SubParsersAction) -> None:
    bench = add(commands, "bench", run_bench, "the papers' tables, measured here, beside the papers' numbers")
    bench.add_argument(
        "what",
        choices=["inference", "both", "depth", "training", "moments", "saturation", "learned"],
        help="inference: time of q(z|x) of a batch of 128, D = 50; the others: tables of the learned prior's paper, "
        "trained in small: prior, posterior or both (1, 3, 7), flow depth and time (2, B.7), training strategy (4, 9), "
        "moments of q(z) (8, B.1), and how the estimate of KL[q(z) || p(z)] saturates (B.2); "
        "learned: Tables 2, 4, 5 of MAE, beside what `learned --keep` left in the FOLDERs",
    )
    bench.add_argument("folders", nargs="*", metavar="FOLDER", help="checkpoints, of learned; right after its name")
    bench.add_argument("--markdown", action="store_true", help="tables to read instead of JSON, of learned")
    bench.add_argument("--dataset", help="default: mnist for inference, else dynamic_digits")
    bench.add_argument("--data", metavar="FOLDER", help="the data folder (default: VAESCOPE_DATA, else your cache)")
    bench.add_argument("--images", type=count, help="use the first so many images of each split (default: all)")
    bench.add_argument("--repeats", type=count, default=5, help="of inference")
    for name, default in (("epochs", 60), ("latent-dim", 8), ("depth", 10), ("samples", 100), ("seed", 0)):
        bench.add_argument(f"--{name}", type=seed if name == "seed" else count, default=default, help="of the tables")
    text = "the NLL for so many seeds from --seed on, of the tables but saturation"
    bench.add_argument("--seeds", type=count, help=text)
    bench.add_argument("--net", help="of the tables (default: what suits the images)")
    bench.add_argument("--device", default="auto")


def run_train(options: argparse.Namespace) -> dict | None:
    from vaecore import parallel, runs
    from vaecore.beginning import pick_device
    from vaecore.resuming import finish_early

    folder = Path(options.folder or f"runs/{options.dataset}-{options.recipe}-{options.latent_dim}d")
    with runs.told(folder), parallel.joined(pick_device(options.device)) as device:
        try:
            result = train_in(folder, options, device)
        except runs.Stopped:
            result = {"folder": str(folder), "stopped": True}
        if not parallel.current().first:
            return None
        if result.get("stopped") and runs.is_to_be_kept(folder):
            finish_early(folder)
        return result


def train_in(folder: Path, options: argparse.Namespace, device: "torch.device") -> dict:  # noqa: F821
    import torch

    from vaecore import checkpoints, fit, load_dataset, parallel, runs
    from vaecore.datasets import DYNAMIC
    from vaecore.recipes import build_with
    from vaecore.recording import recorded
    from vaecore.safefiles import read_json

    given = dict(pair.partition("=")[::2] for pair in options.option)
    if options.protocol:
        static = options.protocol == "paper" and options.dataset == "static_mnist"
        given["protocol"] = options.protocol + "-static" * (static and "paper-static" in protocols(options.recipe))
    paper = find_recipe(options.recipe).protocol if given.get("protocol", "short") != "short" else OURS
    options.batch_size = options.batch_size or paper.batch_size
    splits = ("train", "valid", "test")
    held_out = dict(paper.valid).get(options.dataset.removeprefix(DYNAMIC))
    train, valid, test = (load_dataset(options.dataset, split, options.data, valid=held_out) for split in splits)
    torch.manual_seed(options.seed)
    vae = build_with(options.recipe, tuple(train.images.shape[1:]), options.latent_dim, given)
    names = ("recipe", "dataset", "latent_dim", "epochs", "batch_size", "learning_rate", "seed", "start")
    asked = {name: getattr(options, name) for name in names} | {"options": given}
    first = parallel.current().first
    with (
        runs.opened(folder, asked) if first else nullcontext(runs.partial_of(folder)) as partial,
        recorded(partial, vae, test, options.epochs) as recorder,
        Bar(options.epochs) if first else nullcontext() as bar,
    ):
        history = fit(
            vae,
            options.recipe,
            train,
            valid,
            epochs=options.epochs,
            batch_size=options.batch_size,
            learning_rate=options.learning_rate,
            seed=options.seed,
            device=device,
            folder=folder,
            start=options.start,
            on_event=Both(bar, recorder) if first else recorder,
        )
    if not first:
        return {}
    metrics = read_json(folder / "metrics.json")  # written a moment ago, by this very process
    training = metrics["training"] | {
        "command": "python -m vaecore " + " ".join(sys.argv[1:]),
        "hardware": hardware(device),
        "versions": f"torch {torch.__version__}, python {platform.python_version()}",
    }
    checkpoints.write_metrics(folder, metrics | {"training": training})
    return {"folder": str(folder), **history[training["best_epoch"] - 1]}


def protocols(recipe: str) -> tuple[str, ...]:
    """Those that a recipe knows."""
    return next(option.choices for option in find_recipe(recipe).options if option.name == "protocol")


def hardware(device: "torch.device") -> str:  # noqa: F821 (imported by those who call)
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{counted(threads, 'CPU thread')}, {platform.machine()}"


class Both:
    """Hands every event on to two."""

    def __init__(self, *to: Callable[[dict], None]) -> None:
        self.to = to

    def __call__(self, event: dict) -> None:
        for hear in self.to:
            hear(event)


class Bar:
    """A progress bar on stderr, fed by the events of `fit` and `analyse`; it appears with the first one."""

    def __init__(self, epochs: int = 1) -> None:
        self.epochs, self.bar = epochs, None

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def __call__(self, event: dict) -> None:
        from tqdm import tqdm

        if event["event"] == "step":
            done = (event.get("epoch", 1) - 1) * event["steps"] + event["step"]
            if self.bar is None:
                total = event["steps"] * self.epochs
                self.bar = tqdm(total=total, initial=done - 1, unit="step", file=sys.stderr, dynamic_ncols=True)
            self.bar.update(done - self.bar.n)
        if event["event"] != "epoch":
            return
        scores = {"train": f"{event['train_elbo']:.2f}", "valid": f"{event['valid_elbo']:.2f}"}
        self.bar.set_postfix({"epoch": f"{event['epoch']}/{self.epochs}", **scores})


def run_evaluate(options: argparse.Namespace) -> dict:
    import torch

    from vaecore import checkpoints, evaluation, load_dataset

    vae, data, digest = open_checkpoint(options, options.split)
    paper = paper_of(vae.config) if options.protocol == "paper" else OURS
    samples, binarisations = options.samples or paper.samples, options.binarisations or paper.binarisations
    if options.binarisations is None and data.grey is None:
        binarisations = 1
    training = None
    if paper.units_on == "train":
        training = load_dataset(data.name, "train", options.data).images.to(vae.device)
    sets = [data] if binarisations == 1 else [data.binarised(draw) for draw in range(binarisations)]
    images = torch.cat([each.images[: options.images] for each in sets]).to(vae.device)
    results = evaluation.evaluate(vae, images, samples, options.exact_images, options.seed, training)
    times = f" binarised {counted(len(sets), 'time')}" if data.grey is not None else ""
    results["protocol"] = f"{data.name}, {options.split} split{times}: {results['protocol']}"
    results["protocol"] += f". {data.note}" if data.note else ""
    if options.keep:
        checkpoints.add_metrics(options.folder, digest, evaluation=results)
    return {"folder": str(options.folder), **results}


def run_aggregate(options: argparse.Namespace) -> dict:
    from vaecore import aggregate, evaluation

    vae, data, _ = open_checkpoint(options, options.split)
    data = data.first(options.images)
    if options.n_x > 1 and data.grey is None:
        raise ValueError(f"{data.name} is not dynamically binarised: its images are drawn once, so --n-x must be 1.")
    sets = [data] if options.n_x == 1 else [data.binarised(draw) for draw in range(options.n_x)]
    draws = [each.images.to(vae.device) for each in sets]
    with Bar() as bar:
        found = aggregate.marginal_kl(vae, draws, options.n_z, seed=options.seed, on_event=bar)
    loc, scale = evaluation.encode(vae, draws[0])
    mean, variance = aggregate.moments(loc, scale)
    pairs = aggregate.closest_pairs(loc, scale)
    return {
        "folder": str(options.folder),
        "protocol": f"{data.name}, the first {counted(len(data), 'image')} of the {options.split} split, "
        f"n_x = {options.n_x}, n_z = {options.n_z}, seed {options.seed}; nats",
        "E KL(q(z|x) || p(z))": found.avg_kl,
        "KL(q(z) || p(z))": found.kl,
        "its standard error": found.kl_error,
        "the least that this estimate can be": found.floor,
        "mutual information": found.mutual_information,
        "the most that this estimate can be, log(N n_x)": found.cap,
        "mean of q(z)": mean.tolist(),
        "variance of q(z)": variance.tolist(),
        "histogram of the standard deviations of q(z|x)": histogram(scale.flatten()),
        "histogram of the distances to the closest mean": histogram(pairs.distance),
        "histogram of the same, normalised (equation B.2)": histogram(pairs.normalised),
    }


def run_health(options: argparse.Namespace) -> dict:
    from vaecore import checkpoints, health, load_dataset, verdicts

    vae, data, digest = open_checkpoint(options, options.split)
    folder, given = options.folder, {}
    if options.keep:
        given["known"] = health.read(folder, options.seed, options.split, digest)
        given["keep"] = lambda found: health.keep(folder, found, options.split, digest)
    if options.split != "train":
        given["train"] = load_dataset(data.name, "train", options.data).images
    if options.split == "test":
        given["analysis"] = checkpoints.read_analysis(folder, digest=digest)
    with stoppable() as stopped, Bar() as bar, Progress(options.progress, bar) as progress:
        given |= {"on_event": progress, "stop": lambda: bool(stopped)}
        found = health.report(vae, data.images, options.seed, **given)
    if options.keep:
        health.keep(folder, found, options.split, digest)
    rows = verdicts.verdicts(found)
    about = f"{data.name}, {options.split} split: {health.protocol(found)}"
    summary = {"folder": str(folder), "stopped": bool(stopped), "protocol": about, "headline": verdicts.headline(rows)}
    return {**summary, "verdicts": rows, **found}


def run_learned(options: argparse.Namespace) -> dict:
    from dataclasses import replace

    from vaecore import checkpoints, learned, load_dataset

    vae, test, digest = open_checkpoint(options, "test")
    splits = {"test": test} | {name: load_dataset(test.name, name, options.data) for name in ("train", "valid")}
    protocol = learned.PAPER if options.protocol == "paper" else learned.Protocol()
    if test.grey is None:
        protocol = replace(protocol, binarisations=1)
    given = {key: value for key, value in vars(options).items() if key in learned.Protocol.__dataclass_fields__}
    given |= {key: tuple(given[key]) for key in ("labels", "clusters") if key in given}
    with Bar() as bar:
        results = learned.measure(vae, splits, replace(protocol, **given), on_event=bar)
    if options.keep:
        checkpoints.add_metrics(options.folder, digest, learned=results)
    return {"folder": str(options.folder), **results}


def histogram(values: "Tensor") -> dict:  # noqa: F821
    """Counts in 40 bins of equal width, as Figure 3 of the learned prior's paper draws them."""
    import numpy as np

    counts, edges = np.histogram(values.cpu().numpy(), bins=40)
    return {"edges": edges.tolist(), "counts": counts.tolist(), "median": float(values.median())}


def run_analyse(options: argparse.Namespace) -> dict:
    from vaecore import analysis, checkpoints

    vae, data, digest = open_checkpoint(options, "test")
    with stoppable() as stopped, Bar() as bar, Progress(options.progress, bar) as progress:
        found = analysis.analyse(
            vae,
            data.images.to(vae.device),
            data.labels,
            options.exact_images,
            known=checkpoints.read_analysis(options.folder, digest=digest),
            on_event=progress,
            keep=lambda found: checkpoints.write_analysis(options.folder, found, digest=digest),
            stop=lambda: bool(stopped),
        )
    file = checkpoints.write_analysis(options.folder, found, digest=digest)
    rows = len(found.get("exact.log_evidence", ()))
    return {"file": str(file), "images": len(data), "exact": rows, "stopped": bool(stopped), "kept": sorted(found)}


def run_card(options: argparse.Namespace) -> dict:
    from vaecore import checkpoints

    for folder in options.folders:
        checkpoints.write_card(folder)
    return {"cards": [str(Path(folder) / "README.md") for folder in options.folders]}


def run_embed(options: argparse.Namespace) -> dict:
    from vaecore import embedding

    settings = embedding.Settings(options.method, options.split, options.points, options.seed)
    with stoppable() as stopped, Bar() as bar, Progress(options.progress, bar) as progress:
        files = embedding.embed_checkpoints(options.folders, settings, options.data, progress, lambda: bool(stopped))
    return {"files": [str(file) for file in files], "stopped": bool(stopped), **settings._asdict()}


@contextmanager
def stoppable() -> Iterator[list]:
    """A list that is no longer empty once the process was asked to end."""
    stopped = []
    before = signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGTERM, before)


class Progress:
    """Hands events on, and keeps the last one in a file, with the seconds since the start, for whoever watches."""

    def __init__(self, file: str | None, to: Callable[[dict], None]) -> None:
        self.file, self.to = file and Path(file), to

    def __enter__(self) -> "Progress":
        self.start = self.written = time.monotonic()
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def __call__(self, event: dict) -> None:
        from vaecore.safefiles import write_json

        self.to(event)
        now = time.monotonic()
        if self.file and (now - self.written > 0.3 or event.get("step") == event.get("steps")):
            write_json(self.file, event | {"seconds": now - self.start})
            self.written = now


def run_bench(options: argparse.Namespace) -> dict | str:
    if options.what == "learned":
        return bench_learned(options)
    if options.folders or options.markdown:
        raise ValueError(f"{options.what} trains its own VAEs: FOLDERs and --markdown belong to learned.")
    return bench_inference(options) if options.what == "inference" else bench_table(options)


def bench_learned(options: argparse.Namespace) -> dict | str:
    from vaecore import checkpoints, learned
    from vaecore.recipes import label

    if not options.folders:
        raise ValueError("It needs the FOLDERs of checkpoints that `python -m vaecore learned FOLDER --keep` measured.")
    kept = {}
    for folder in options.folders:
        found = checkpoints.read(folder)
        config, metrics = found.config, found.metrics
        if not isinstance(metrics.get("learned"), dict):
            raise ValueError(f"{folder} keeps no such numbers: `python -m vaecore learned {folder} --keep` first.")
        kept[f"{label(config)}, D = {config['latent_dim']}, {Path(folder).name}"] = metrics["learned"]
    try:
        tables = learned.beside(kept)
        return learned.markdown(tables) if options.markdown else tables
    except (AttributeError, KeyError, TypeError):
        raise ValueError("What a folder keeps is not what `learned --keep` writes: measure it again.") from None


def bench_inference(options: argparse.Namespace) -> dict:
    import torch

    from vaecore import load_dataset, timing
    from vaecore.beginning import pick_device

    data, device = load_dataset(options.dataset or "mnist", "test", options.data), pick_device(options.device)
    images = data.images[: options.images]
    with Bar() as bar, torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        found = timing.bench_inference(images, device, options.repeats, on_event=bar)
    about = f"{data.name}, {counted(len(images), 'test image')}, batch {timing.BATCH}, D = {timing.LATENT}"
    about += f", {counted(options.repeats, 'repeat')}, {hardware(device)}, torch {torch.__version__}"
    return {"protocol": about, **found}


def bench_table(options: argparse.Namespace) -> dict:
    from vaecore import load_dataset, tables
    from vaecore.beginning import pick_device

    name = options.dataset or "dynamic_digits"
    train, valid, test = (load_dataset(name, split, options.data) for split in ("train", "valid", "test"))
    train, valid, test = (each.first(options.images or len(each)) for each in (train, valid, test))
    if options.seeds and options.what not in tables.TABLES:
        raise ValueError(f"--seeds belongs to {', '.join(tables.TABLES)}, whose rows are systems.")
    settings = {key: getattr(options, key) for key in tables.Budget.__dataclass_fields__}
    budget, device = tables.Budget(**settings), hardware(pick_device(options.device))
    with Bar() as bar:
        if options.what == "saturation":
            found = tables.saturation(train, valid, budget, say=bar)
        elif options.seeds:
            found = tables.over_seeds(options.what, (train, valid, test), budget, options.seeds, say=bar)
        else:
            found = tables.table(options.what, train, valid, test, budget, say=bar)
    return found | {"hardware": device}


def open_checkpoint(options: argparse.Namespace, split: str) -> "tuple[VAE, Dataset, str]":  # noqa: F821
    """The checkpoint's VAE, a split of the data set that it was trained on, and its digest."""
    from vaecore import checkpoints, load_dataset
    from vaecore.beginning import pick_device

    vae, found = checkpoints.load_known(options.folder, pick_device(options.device))
    if found.config["dataset"] is None:
        raise ValueError(f"{options.folder} does not say which data set it was trained on, so it cannot be evaluated.")
    return vae, load_dataset(found.config["dataset"], split, options.data), found.digest


def run_download(options: argparse.Namespace) -> dict:
    from vaecore import datasets

    return {"dataset": options.dataset, "folder": str(datasets.download(options.dataset, options.data))}


if __name__ == "__main__":
    sys.exit(main())
