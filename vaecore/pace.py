"""How long a training will take, from a few of its own steps."""

import time

import torch

from vaecore.datasets import Dataset
from vaecore.parallel import Workers
from vaecore.recipes import find_recipe
from vaecore.training import make_optimisers, one_epoch, planned
from vaecore.vae import VAE

ENOUGH = 0.3  # seconds of steps that tell a stage's pace


def seconds_for(vae: VAE, recipe: str, train: Dataset, epochs: int, batch_size: int) -> float:
    """An estimate of what `fit` will take for these epochs, by some steps of each of its stages' kinds.

    `vae` is trained on the way. Validation and what is written down are not in it: about a tenth more.
    """
    known = find_recipe(recipe)
    stages = known.stages(vae)
    plan = planned(stages, epochs)
    images = (train.images if train.grey is None else train.grey)[:batch_size]
    optimisers = make_optimisers(vae, stages)
    rates = {"learning_rate": 1e-6, "batch_size": batch_size, "workers": Workers(), "least_batch": known.least_batch}
    rates |= {"binarise": train.grey is not None, "average": None, "begun": False, "epochs": epochs}
    pace: dict[tuple, float] = {}
    for stage in plan:
        if stage.phases not in pace:
            took = []
            with torch.enable_grad():
                while len(took) < 2 or (sum(took[1:]) < ENOUGH and len(took) < 10):  # the first one warms up
                    begun = time.perf_counter()
                    one_epoch(vae, images, stage, optimisers, rates, 0, lambda event: None)
                    took.append(time.perf_counter() - begun)
            pace[stage.phases] = sum(took[1:]) / (len(took) - 1)
    steps = -(-len(train) // batch_size)
    return steps * sum(pace[stage.phases] for stage in plan)
