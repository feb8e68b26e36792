"""What the page "Is it healthy?" computes once for a checkpoint and keeps: its report, its reconstructions."""

from dataclasses import dataclass

import numpy as np
import streamlit as st

from app import session
from app.session import Checkpoint


@dataclass(frozen=True, eq=False)
class Health:
    """A checkpoint's report as `vaecore.health` gives it, a verdict on each number, and the answer in a sentence."""

    checkpoint: Checkpoint
    report: dict
    rows: list[dict]
    verdict: str
    headline: str

    @property
    def worst(self) -> tuple[int, ...]:
        """The test images of least ELBO, the least first."""
        return tuple(each["image"] for each in self.report["worst images"])


def is_kept(checkpoint: Checkpoint) -> bool:
    """Whether this session has shown the report already, so that nobody needs to wait."""
    return checkpoint.digest in st.session_state.get("health_known", ())


def health(checkpoint: Checkpoint) -> Health:
    """The report on the checkpoint's test images; ValueError where there is none."""
    found, rows, verdict, headline = _measured(checkpoint.digest, checkpoint)
    st.session_state["health_known"] = {*st.session_state.get("health_known", ()), checkpoint.digest}
    return Health(checkpoint, found, rows, verdict, headline)


@st.cache_resource(max_entries=64, show_spinner=False)
def _measured(digest: str, _checkpoint: Checkpoint) -> tuple[dict, list[dict], str, str]:
    from vaecore import health as measure
    from vaecore import verdicts

    images, sentence = session.images(_checkpoint)
    if images is None:
        raise ValueError(sentence)
    vae = session.model(digest, _checkpoint.folder)
    with session.computing():
        found = measure.report(vae, images)
    rows = verdicts.verdicts(found)
    return found, rows, verdicts.overall(rows), verdicts.headline(rows)


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
    with session.computing():
        return vae.likelihood(vae.posterior(x).mean).mean.numpy()
