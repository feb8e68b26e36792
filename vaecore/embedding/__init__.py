"""Codes in the plane, deterministic by seed, and kept with the checkpoint.

The parts: parts (which images), plane (PCA), neighbours (t-SNE and UMAP), kept (on disk, and the command's work).
"""

from vaecore.embedding.kept import Settings, embed_checkpoints, kept, name
from vaecore.embedding.neighbours import EPOCHS, FEWEST, ITERATIONS, METHODS, MOST, check, embed
from vaecore.embedding.parts import SPLITS, gather, stratified
from vaecore.embedding.plane import pca

__all__ = [
    "EPOCHS",
    "FEWEST",
    "ITERATIONS",
    "METHODS",
    "MOST",
    "SPLITS",
    "Settings",
    "check",
    "embed",
    "embed_checkpoints",
    "gather",
    "kept",
    "name",
    "pca",
    "stratified",
]
