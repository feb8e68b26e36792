"""What the page "Is it healthy?" knows of a checkpoint: its report, kept or being measured, and reconstructions.

Beside session.py, by its rules. A report is measured by a job and kept with the checkpoint; before the job has said
anything the bounds of a few images stand in for it.
"""

from dataclasses import dataclass

import numpy as np
import streamlit as st

from app import jobs, owners, session
from app.jobs import Job
from app.session import Checkpoint

SEED = 0  # of the images that are measured


@dataclass(frozen=True, eq=False)
class Health:
    """A checkpoint's report as far as it has come, a verdict on each number, and the answer in a sentence."""

    checkpoint: Checkpoint
    report: dict
    rows: list[dict]
    verdict: str
    headline: str
    protocol: str

    @property
    def complete(self) -> bool:
        return self.report["complete"]

    @property
    def worst(self) -> tuple[int, ...]:
        """The test images of least ELBO, the least first."""
        return tuple(each["image"] for each in self.report.get("worst images", ()))


def health(checkpoint: Checkpoint) -> Health:
    """The report on the checkpoint's test images as it stands; ValueError where there can be none."""
    from vaecore import health as measure
    from vaecore import verdicts

    report = kept(checkpoint) or first(checkpoint.digest, checkpoint)
    found = measure.with_analysis(report, session.analysis(checkpoint.digest, checkpoint.folder))
    rows = verdicts.verdicts(found)
    headline = verdicts.headline(rows) if found["complete"] else f"Not complete. So far: {verdicts.headline(rows)}"
    about = f"{checkpoint.dataset}, test split: {measure.protocol(found)}"
    return Health(checkpoint, found, rows, verdicts.overall(rows), headline, about)


def kept(checkpoint: Checkpoint) -> dict | None:
    """What is kept for these very weights, perhaps unfinished."""
    return _kept(checkpoint.digest, stamp(checkpoint), checkpoint)


@st.cache_resource(max_entries=64, show_spinner=False)
def _kept(digest: str, stamp: tuple[int, ...], _checkpoint: Checkpoint) -> dict | None:  # noqa: ARG001  read anew
    from vaecore import health as measure

    found = measure.read(_checkpoint.folder, SEED, key=digest)
    images = session.images(_checkpoint)[0]
    return found if found and images is not None and found["images"] == len(images) else None


def stamp(checkpoint: Checkpoint) -> tuple[int, ...]:
    """What changes when a report is written for these weights."""
    from vaecore.health.kept import files

    places = files(checkpoint.folder, checkpoint.digest, SEED, "test")
    return tuple(file.stat().st_mtime_ns if file.exists() else 0 for file in places)


@st.cache_resource(max_entries=64, show_spinner=False)
def first(digest: str, _checkpoint: Checkpoint) -> dict:
    """The bounds of a few images, within a second for most VAEs."""
    from vaecore import health as measure

    images, sentence = session.images(_checkpoint)
    if images is None:
        raise ValueError(sentence)
    vae = session.model(digest, _checkpoint.folder)
    with session.computing():
        return measure.first(vae, images, SEED)


# ---- the job that measures


def target(checkpoint: Checkpoint) -> str:
    """Its folder and weights; and since when: what was deleted and came again has no job behind it."""
    since = (checkpoint.folder / "config.json").stat().st_mtime_ns
    return f"{checkpoint.folder.resolve()}\n{checkpoint.digest}\n{since}"


def job(checkpoint: Checkpoint) -> Job | None:
    """The newest measurement of these weights, as it stands now."""
    return jobs.find("health", target(checkpoint))


def begin(checkpoint: Checkpoint) -> Job:
    """Start measuring, or go on; ValueError where as many jobs run as may."""
    folder = str(checkpoint.folder.resolve())
    return jobs.start("health", target(checkpoint), ["health", folder, "--seed", str(SEED), "--keep"], owners.me())


# ---- images


def originals(checkpoint: Checkpoint, indices: tuple[int, ...]) -> np.ndarray:
    """Test images [n, C, H, W]."""
    return session.images(checkpoint)[0][list(indices)].numpy()


def reconstructed(checkpoint: Checkpoint, indices: tuple[int, ...]) -> np.ndarray:
    """The decoder's mean at the mean of each test image's q(z|x), [n, C, H, W]."""
    return _reconstructed(checkpoint.digest, indices, checkpoint)


@st.cache_resource(max_entries=64, show_spinner=False)
def _reconstructed(digest: str, indices: tuple[int, ...], _checkpoint: Checkpoint) -> np.ndarray:
    x = session.images(_checkpoint)[0][list(indices)]
    vae = session.model(digest, _checkpoint.folder)
    with session.evaluating():
        return vae.likelihood(vae.posterior(x).mean).mean.numpy()
