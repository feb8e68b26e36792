"""All numbers of the MAE paper for one VAE: density, clusters and probes, each with its protocol in words."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Normal

from vaecore.datasets import Dataset
from vaecore.eval_mode import in_eval_mode
from vaecore.learned.accuracies import Coded, clustered, probed
from vaecore.learned.codes import codes, thresholded
from vaecore.learned.density import BATCH, SAMPLES, density, evidence
from vaecore.learned.probes import PROBES
from vaecore.learned.protocol import K_MEANS, PROBED, VALID, Protocol, must_suffice, protocol_of_codes, steps
from vaecore.text import counted
from vaecore.vae import VAE

Event = Callable[[dict], None]


@in_eval_mode
def measure(vae: VAE, splits: Mapping[str, Dataset], protocol: Protocol, on_event: Event | None = None) -> dict:
    """Tables 2, 4 and 5 of the paper for the "train", "valid" and "test" split of a data set, as one JSON-ready dict.

    Returns:
        "density": RE, KL, ELBO, MPD, STD, NLL; "clustering" and "probes": "rows" of accuracies, each with mean, std
        and runs, or, where the codes allow none, mean None and the "reason". Each of the three has its "protocol". Data
        without labels have no rows, and a sentence.

    Raises ValueError, before any work, where there are too few images for what is asked.
    """
    must_suffice(splits, protocol)
    tests = binarisations(splits["test"], protocol.binarisations)
    tick = counter(steps(splits, protocol), on_event)
    found = {"density": density_numbers(vae, tests, protocol, tick)}
    if splits["test"].labels is None:
        sentence = {"protocol": f"{splits['test'].name} has no labels to score clusters or probes by", "rows": []}
        return found | {"clustering": sentence, "probes": sentence}
    train, valid, test = coded(vae, splits, protocol, tick)
    about = protocol_of_codes(splits, protocol, len(train[0]))
    clusters = [row for count in protocol.clusters for row in clustered(train, test, count, protocol, tick)]
    found["clustering"] = {"protocol": f"{about}; {K_MEANS.format(runs=protocol.runs)}", "rows": clusters}
    asked = [(kind, count) for kind in PROBES for count in (*protocol.labels, None)]
    own = len(splits["train"])
    probes = [probed(kind, count, (train, valid, test), own, protocol, tick) for kind, count in asked]
    about = f"{about}; {PROBED.format(runs=protocol.runs)}"
    if protocol.svm_labels:
        about += f"; an SVM was given at most {counted(protocol.svm_labels, 'label')}"
    found["probes"] = {"protocol": about, "rows": probes}
    return found


def binarisations(test: Dataset, count: int) -> list[Dataset]:
    """The set as it is, or so many draws of its pixels, as `evaluate` takes them. ValueError if it has no grey ones."""
    return [test] if count == 1 else [test.binarised(draw) for draw in range(count)]


def counter(total: int, on_event: Event | None) -> Callable[[], None]:
    """A function that tells of one step more at each call."""
    numbers = iter(range(1, total + 1))

    def tick() -> None:
        if on_event:
            on_event({"event": "step", "step": next(numbers), "steps": total})

    return tick


def density_numbers(vae: VAE, tests: list[Dataset], protocol: Protocol, tick: Callable[[], None]) -> dict:
    test, times = tests[0], f", each binarised {counted(len(tests), 'time')}" if len(tests) > 1 else ""
    images, others = (
        torch.cat([each.images[:count] for each in tests]) for count in (protocol.images, protocol.nll_images)
    )
    bound = density(vae, images, seed=protocol.seed, tick=tick)
    mass = evidence(vae, others, protocol.samples, protocol.seed, tick)
    about = (
        f"{test.name}, test split{times}: RE, KL, MPD and STD on {counted(len(images), 'image')}, batches of {BATCH}, "
        f"{counted(SAMPLES, 'draw')} of q(z|x); MPD and STD are means over batches; NLL on {len(others):,} of them, "
        f"{counted(protocol.samples, 'importance sample')} each; seed {protocol.seed}; nats per image"
    )
    if bound.mpd is None:
        about += "; no MPD and STD: q(z|x) is no diagonal Gaussian, and their closed form needs one"
    return {
        "protocol": about + (f". {test.note}" if test.note else ""),
        "likelihood": likelihood(vae),
        "RE": bound.re,
        "KL": bound.kl,
        "ELBO": bound.elbo,
        "MPD": bound.mpd,
        "STD": bound.std,
        "NLL": mass.nll,
        "standard error of NLL": mass.nll_error,
        "ELBO of the NLL's images": mass.elbo,
    }


@in_eval_mode
@torch.no_grad()
def likelihood(vae: VAE) -> str:
    """Whether p(x|z) gives pixels probabilities, or densities, which may be over 1: the two must not be compared."""
    p = vae.likelihood(vae.prior().sample((1,)))
    return "densities" if isinstance(getattr(p, "base_dist", p), Normal) else "probabilities"


def coded(vae: VAE, splits: Mapping[str, Dataset], protocol: Protocol, tick: Callable[[], None]) -> list[Coded]:
    """Codes and labels: of training images and, where more are wanted, validation's; of validation's; of the test's."""
    train, valid, test = (splits[name] for name in ("train", "valid", "test"))
    more = (protocol.train_images or len(train) + len(valid)) - len(train)
    parts = [train.first(protocol.train_images or len(train)), valid.first(max(more, VALID)), test]
    found = []
    for number, data in enumerate(parts):
        z = codes(vae, images_of_codes(data), protocol.draws, protocol.seed + number)
        found.append((z.numpy(), data.labels.numpy()))
        tick()
    whole = tuple(np.concatenate([a, b[: max(more, 0)]]) for a, b in zip(*found[:2], strict=True))
    return [whole, tuple(part[:VALID] for part in found[1]), found[2]]


def images_of_codes(data: Dataset) -> Tensor:
    """What codes are of: a dynamically binarised set's grey pixels, thresholded; another's images as they are."""
    return data.images if data.grey is None else thresholded(data.grey)
