"""Which data sets there are: their files, where these are published, and what must be known of their splits."""

from dataclasses import dataclass
from itertools import chain

from vaecore.datasets.files import AmatFile, IdxFile, MatFile

File = IdxFile | AmatFile | MatFile


@dataclass(frozen=True)
class Form:
    """One form in which a set is published: for each split the files with its pixels and, perhaps, its labels."""

    files: dict[str, tuple[File, ...]]
    mirrors: tuple[str, ...] = ()
    note: str = ""

    @property
    def all_files(self) -> list[File]:
        return list(chain(*self.files.values()))


def _pair(prefix: str, count: int, images: str, labels: str) -> tuple[IdxFile, IdxFile]:
    first = IdxFile(f"{prefix}-images-idx3-ubyte", (count, 28, 28), images)
    return first, IdxFile(f"{prefix}-labels-idx1-ubyte", (count,), labels)


_STATIC = {
    "train": _pair("train", 50_000, "efa37782b240e892f9452fec70640cc3", "271a37e53a3e1e0ba00d5a37c13810a0"),
    "valid": _pair("valid", 10_000, "a89847bc8fd98aa029fac7c51857d9e5", "8485a64ea37d8f1f076197e7b4301a39"),
    "test": _pair("test", 10_000, "613c1681425842ad647d1a65681635d8", "66b9215cbeed0cb925e4afa8daf4cf15"),
}
# The first form that is complete in a folder is the one that is read. A set's forms have the same splits.
FORMS: dict[str, tuple[Form, ...]] = {
    "mnist": (
        Form(
            {
                "train": _pair("train", 60_000, "6bbc9ace898e44ae57da46a324031adb", "a25bea736e30d166cdddb491f175f624"),
                "test": _pair("t10k", 10_000, "2646ac647ad5339dbf082846283269ea", "27ae3e4e09519cfbb04c329615203637"),
            },
            (
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
            ),
        ),
    ),
    "fashion_mnist": (
        Form(
            {
                "train": _pair("train", 60_000, "f4a8712d7a061bf5bd6d2ca38dc4d50a", "9018921c3c673c538a1fc5bad174d6f9"),
                "test": _pair("t10k", 10_000, "8181f5470baa50b63fa0f6fddb340f0a", "15d484375f8d13e6eb1aabb0c3f46965"),
            },
            ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
        ),
    ),
    "omniglot": (
        Form(
            {
                "train": _pair("train", 24_345, "94a39f51b0e89b92635560b6ed4133f3", "c840b680275db1414ee91b0df81ab9d5"),
                "test": _pair("test", 8_070, "a001a6d6135f6e7c9bc661219ec41f74", "a4d88c50c4cbf8744842dec0ec91a3a3"),
            },
            note="Omniglot with 15 of each character's 20 drawings in train, 5 in test: not the split of "
            "Burda et al. 2016, so likelihoods are near the published ones, not equal to them.",
        ),
        Form(
            {
                "train": (MatFile("chardata.mat", "data", "target", 24_345),),
                "test": (MatFile("chardata.mat", "testdata", "testtarget", 8_070),),
            },
            ("https://github.com/yburda/iwae/raw/master/datasets/OMNIGLOT/",),
            "Omniglot in the split of Burda et al. 2016.",
        ),
    ),
    # Without labels, which are not published with it, but with the very pixels: the sha256 that TensorFlow Datasets
    # keeps of each .amat is that of the IDX file's pixels, written as a line of 0s and 1s for each image.
    "static_mnist": (
        Form(_STATIC),
        Form(
            {split: (AmatFile(f"binarized_mnist_{split}.amat", files[0]),) for split, files in _STATIC.items()},
            ("http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/",),
        ),
    ),
}
DYNAMIC = "dynamic_"
GREY_NAMES = ("digits", "mnist", "fashion_mnist", "omniglot")
NAMES = ("digits", *FORMS, *(f"{DYNAMIC}{name}" for name in GREY_NAMES))
SPLITS = ("train", "valid", "test")


def check_known(kind: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"There is no {kind} {value!r}; choose from {', '.join(known)}.")
