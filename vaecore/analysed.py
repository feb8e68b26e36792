"""The form of analysis.safetensors, which `analysis.analyse` makes and anybody may have written."""

from torch import Tensor

from vaecore.safefiles import File
from vaecore.tensor_forms import held_to

# N test images, E of which have exact rows, D latent dimensions. A measure of a poor model may be no finite number.
MEASURES = ("reconstruction_error", "encoder_variance", "uncertainty_f", "uncertainty_h", "feature_norm")
NUMBERS = ("log_evidence", "approximation", "amortization", "error", "gap_error", "non_gaussianity")
FORM = {"test.loc": "float N D", "test.scale": "float N D", "test.labels": "uint8 N"}
FORM |= {f"test.{name}": "number N" for name in MEASURES} | {f"exact.{name}": "number E" for name in NUMBERS}
FORM |= {f"exact.{name}": "uint8 E" for name in ("modes", "valleys")}
FORM |= {"exact.frame": "float E 4", "exact.best_loc": "float E 2", "exact.best_scale": "float E 2"}
ROWS = {name.removeprefix("exact.") for name in FORM if name.startswith("exact.")}  # what each exact row has


def checked_analysis(tensors: dict[str, Tensor], file: File, **known: int) -> dict[str, Tensor]:
    """The tensors; BadFile where a name has another type or shape. What of them is there depends on who made it.

    `known` may say D, where the checkpoint's configuration does.
    """
    return held_to(FORM, tensors, file, **known)
