"""Data sets: splits that cover and never overlap, and files that are right or refused."""

import gzip
import hashlib
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch

from vaecore import datasets
from vaecore.datasets import NAMES, SPLITS, Dataset, MissingData, download, is_available, load_dataset
from vaecore.datasets.catalogue import FORMS, Form
from vaecore.datasets.files import AmatFile, IdxFile, MatFile

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
SIDES = bytes((0, 0, 0, 3, 0, 0, 0, 4))

Contents = dict[str, bytes]


def idx(array: np.ndarray) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def amat(images: np.ndarray) -> bytes:
    """Images [N, H, W] of 0 and 1 as text."""
    text = np.full((len(images), images[0].size, 2), ord(" "), np.uint8)
    text[:, :, 0] = ord("0") + images.reshape(len(images), -1)
    text[:, -1, 1] = ord("\n")
    return text.tobytes()


@pytest.fixture
def contents(monkeypatch: pytest.MonkeyPatch) -> Contents:
    """A small set under the name of MNIST: the unpacked content of its files; image i is filled with its number."""
    table, files = {}, {}
    for split, prefix, count in (("train", "train", 40), ("test", "t10k", 20)):
        numbers = np.arange(count, dtype=np.uint8)
        images = numbers[:, None, None] * np.ones((4, 3), np.uint8)
        named = {f"{prefix}-images-idx3-ubyte": images, f"{prefix}-labels-idx1-ubyte": numbers % 10}
        files |= {name: idx(array) for name, array in named.items()}
        table[split] = tuple(
            IdxFile(name, array.shape, hashlib.md5(files[name]).hexdigest()) for name, array in named.items()
        )
    monkeypatch.setitem(FORMS, "mnist", (Form(table, ("http://127.0.0.1:1/mnist/",)),))
    return files


def publish(monkeypatch: pytest.MonkeyPatch, name: str, *mirrors: str) -> None:
    """Make these the mirrors of a set."""
    forms = tuple(replace(form, mirrors=mirrors) if form.mirrors else form for form in FORMS[name])
    monkeypatch.setitem(FORMS, name, forms)


def write(root: Path, contents: Contents, packed: bool = True, name: str = "mnist") -> Path:
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in contents.items():
        (folder / (f"{file}.gz" if packed else file)).write_bytes(gzip.compress(content) if packed else content)
    return folder


def rows(dataset: Dataset) -> set[bytes]:
    return {image.numpy().tobytes() for image in dataset.images}


# Every set


SIZES: dict[str, tuple[int, int, tuple[int, int, int]]] = {  # side, classes, images of each split
    "digits": (8, 10, (1298, 144, 355)),
    "mnist": (28, 10, (54_000, 6_000, 10_000)),
    "fashion_mnist": (28, 10, (54_000, 6_000, 10_000)),
    "omniglot": (28, 50, (21_911, 2_434, 8_070)),
    "static_mnist": (28, 10, (50_000, 10_000, 10_000)),
}


def demand(name: str) -> None:
    if not is_available(name):
        pytest.skip(f"{name} is not in the data folder: set VAESCOPE_DATA")


def check(data: Dataset, side: int, classes: int, size: int) -> None:
    assert len(data) == size
    assert data.images.shape == (size, 1, side, side)
    assert data.images.dtype == torch.float32
    assert data.images.aminmax() == (0, 1)
    assert data.labels.shape == (size,)
    assert data.labels.dtype == torch.int64
    assert data.labels.unique().tolist() == list(range(classes))


@pytest.mark.parametrize("name", SIZES)
def test_sizes_types_and_range(name: str) -> None:
    demand(name)
    side, classes, sizes = SIZES[name]
    for split, size in zip(SPLITS, sizes, strict=True):
        data = load_dataset(name, split)
        assert (data.name, data.split, data.grey) == (name, split, None)
        check(data, side, classes, size)


@pytest.mark.parametrize("name", ["mnist", "omniglot", "static_mnist"])
def test_no_image_of_train_is_in_valid(name: str) -> None:
    """But for the few that are drawn or binarised alike: Omniglot has a drawing twice."""
    demand(name)
    train, valid = (rows(load_dataset(name, split)) for split in ("train", "valid"))
    assert len(train & valid) <= 1


def test_any_beginning_of_static_mnist_is_fair() -> None:
    """Its test images are published sorted by digit: the first tenth would be zeros alone."""
    demand("static_mnist")
    counts = load_dataset("static_mnist", "test").labels[:1000].bincount(minlength=10)
    assert ((counts - 100).abs() < 40).all()


def test_static_mnist_is_the_published_text() -> None:
    """The sha256 is what TensorFlow Datasets keeps of binarized_mnist_test.amat."""
    demand("static_mnist")
    order = datasets._fair("static_mnist", "test", 10_000)
    images = load_dataset("static_mnist", "test").images[np.argsort(order), 0].numpy()
    digest = hashlib.sha256(amat(images)).hexdigest()
    assert digest == "e6687bfea3f820c174f33b7865140b2a2dd2930ef786f35d45795fc193b5ab2c"


def test_omniglot_says_which_split_it_is() -> None:
    demand("omniglot")
    for name in ("omniglot", "dynamic_omniglot"):
        assert "the split of Burda et al. 2016" in load_dataset(name, "valid").first(3).note
    assert load_dataset("digits").note == ""


def test_first_mnist_images_are_the_well_known_ones() -> None:
    demand("mnist")
    data = load_dataset("mnist", "test")
    assert data.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert data.images[0, 0, 7, 6] == torch.tensor(84 / 255)


def test_digits_splits_are_all_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    splits = [load_dataset("digits", split) for split in SPLITS]
    assert sum(map(len, splits)) == 1797
    assert len(set().union(*map(rows, splits))) == sum(len(rows(data)) for data in splits)
    whole = {(image / 16).astype(np.float32).tobytes() for image in load_digits().images}
    assert set().union(*map(rows, splits)) == whole


def test_digits_test_is_stratified() -> None:
    counts = {split: load_dataset("digits", split).labels.bincount() for split in SPLITS}
    assert ((counts["test"] - sum(counts.values()) / 5).abs() <= 1).all()


def test_digits_do_not_change() -> None:
    first, second = load_dataset("digits", "valid"), load_dataset("digits", "valid")
    assert torch.equal(first.images, second.images)
    assert first.labels[:8].tolist() == second.labels[:8].tolist()


def test_split_is_the_same_for_ever() -> None:
    """Numbers and checkpoints are comparable only as long as these stay."""
    digest = hashlib.md5(datasets._held_out(60_000, "valid").astype("<i8").tobytes()).hexdigest()
    assert digest == "d35a24953f6e1988c8d35b58b9998366"


@pytest.mark.parametrize("count", [10, 1442, 60_000])
def test_train_and_valid_never_overlap(count: int) -> None:
    train, valid = (datasets._held_out(count, split) for split in ("train", "valid"))
    assert len(valid) == count // 10
    assert np.array_equal(np.sort(np.concatenate([train, valid])), np.arange(count))
    assert (np.diff(train) > 0).all()
    assert (np.diff(valid) > 0).all()


def test_import_is_light() -> None:
    code = "import sys, numpy, torch; old = set(sys.modules); import vaecore.datasets; print(*set(sys.modules) - old)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "vaecore.datasets" in loaded
    assert not {"pooch", "requests", "sklearn", "tqdm"} & set(loaded)


def test_unknown_names_and_splits() -> None:
    for call in (load_dataset, is_available):
        with pytest.raises(ValueError, match="no data set 'cifar'; choose from digits, mnist, fashion_mnist"):
            call("cifar")
    with pytest.raises(ValueError, match="no split 'dev'; choose from train, valid, test"):
        load_dataset("digits", "dev")
    with pytest.raises(ValueError, match="'digits'; choose from mnist, fashion_mnist"):
        download("digits")


# Dynamic binarisation


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("dynamic_")])
def test_dynamic_sets_are_draws_of_their_grey_ones(name: str) -> None:
    demand(name)
    grey = load_dataset(name.removeprefix("dynamic_"), "valid")
    data, again = load_dataset(name, "valid"), load_dataset(name, "valid")
    assert (data.name, data.split, data.note) == (name, "valid", grey.note)
    assert data.images.dtype == torch.float32
    assert data.images.unique().tolist() == [0, 1]
    assert torch.equal(data.images, again.images)
    assert torch.equal(data.grey, grey.images)
    assert torch.equal(data.labels, grey.labels)
    assert abs((data.images - data.grey).mean()) < 0.005


def test_every_grey_set_has_a_dynamic_one() -> None:
    names = {name.removeprefix("dynamic_") for name in NAMES if name.startswith("dynamic_")}
    assert names == {"digits", "mnist", "fashion_mnist", "omniglot"}


def test_pixels_drawn_by_a_seed() -> None:
    data = load_dataset("dynamic_digits", "test")
    one, same, other = (data.binarised(seed) for seed in (8, 8, 9))
    assert torch.equal(one.images, same.images)
    assert (one.images != other.images).any()
    assert one.grey is data.grey
    assert one.labels is data.labels
    assert (one.name, one.split) == ("dynamic_digits", "test")


def test_mean_of_many_draws_is_grey() -> None:
    data, draws = load_dataset("dynamic_digits", "test").first(50), 400
    mean = torch.stack([data.binarised(seed).images for seed in range(draws)]).mean(0)
    certain = (data.grey == 0) | (data.grey == 1)
    assert torch.equal(mean[certain], data.grey[certain])
    scores = (mean - data.grey)[~certain] / (data.grey * (1 - data.grey) / draws)[~certain].sqrt()
    assert abs(scores.mean()) < 5 / len(scores) ** 0.5
    assert scores.std() == pytest.approx(1, abs=0.1)


def test_splits_are_drawn_apart() -> None:
    """One stream of chances for all would make the pixels of the splits' first images depend on each other."""
    drawn = [datasets.load_dataset("dynamic_digits", split) for split in SPLITS]
    half = [replace(data, grey=torch.full((9, 1, 8, 8), 0.5)).binarised(seed) for seed, data in enumerate(drawn)]
    assert all(torch.equal(data.binarised(seed).images, data.images) for seed, data in enumerate(drawn))
    assert all((a.images != b.images).any() for a, b in zip(half, half[1:] + half[:1], strict=True))


def test_part_of_a_dynamic_set() -> None:
    part = load_dataset("dynamic_digits", "test").first(7)
    assert len(part.images) == len(part.labels) == len(part.grey) == len(part.binarised(1).images) == 7


def test_without_grey_pixels_there_is_nothing_to_draw() -> None:
    with pytest.raises(ValueError, match="^digits is not dynamically binarised: load dynamic_digits to draw from.$"):
        load_dataset("digits").binarised(0)
    static = Dataset("static_mnist", "test", torch.zeros(1, 1, 2, 2), None)
    with pytest.raises(ValueError, match="^static_mnist is not .* and has no grey pixels to draw from.$"):
        static.binarised(0)


def test_dynamic_names_mean_the_grey_sets_folder(
    contents: Contents, tmp_path: Path, server: ThreadingHTTPServer
) -> None:
    assert not is_available("dynamic_mnist", tmp_path)
    with pytest.raises(MissingData, match="^mnist is missing: .*python -m vaecore download mnist"):
        load_dataset("dynamic_mnist", "test", tmp_path)
    write(tmp_path / "server", contents)
    assert download("dynamic_mnist", tmp_path) == tmp_path / "mnist"
    assert is_available("dynamic_mnist", tmp_path)
    assert len(load_dataset("dynamic_mnist", "test", tmp_path)) == 20
    with pytest.raises(ValueError, match="'dynamic_static_mnist'; choose from digits, mnist"):
        load_dataset("dynamic_static_mnist")


# Files


def test_plain_gzipped_and_repacked_are_the_same(contents: Contents, tmp_path: Path) -> None:
    write(tmp_path / "gz", contents)
    write(tmp_path / "plain", contents, packed=False)
    folder = write(tmp_path / "repacked", {})
    for name, content in contents.items():
        middle = len(content) // 2
        repacked = gzip.compress(content[:middle], 1, mtime=1) + gzip.compress(content[middle:], 9, mtime=2)
        (folder / f"{name}.gz").write_bytes(repacked)
    for split in SPLITS:
        first, *others = (load_dataset("mnist", split, tmp_path / root) for root in ("gz", "plain", "repacked"))
        for other in others:
            assert torch.equal(first.images, other.images)
            assert torch.equal(first.labels, other.labels)


def test_unpacked_content_under_a_gz_name(contents: Contents, tmp_path: Path) -> None:
    folder = write(tmp_path, contents, packed=False)
    for name in contents:
        (folder / name).rename(folder / f"{name}.gz")
    assert len(load_dataset("mnist", "test", tmp_path)) == 20


def test_images_keep_their_labels_and_order(contents: Contents, tmp_path: Path) -> None:
    write(tmp_path, contents)
    numbers = {}
    for split in SPLITS:
        data = load_dataset("mnist", split, tmp_path)
        assert data.images.shape[1:] == (1, 4, 3)
        numbers[split] = (data.images[:, 0, 0, 0] * 255).round().long().tolist()
        assert [number % 10 for number in numbers[split]] == data.labels.tolist()
        assert numbers[split] == sorted(numbers[split])
    assert sorted(numbers["train"] + numbers["valid"]) == list(range(40))
    assert len(numbers["valid"]) == 4
    assert numbers["test"] == list(range(20))


def test_folder_from_the_environment(contents: Contents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, contents)
    monkeypatch.setenv("VAESCOPE_DATA", str(tmp_path))
    assert is_available("mnist")
    assert not is_available("mnist", tmp_path / "elsewhere")
    assert len(load_dataset("mnist", "test")) == 20
    monkeypatch.delenv("VAESCOPE_DATA")
    assert datasets.data_folder().name == "vaescope"


def test_missing_files(contents: Contents, tmp_path: Path) -> None:
    folder = write(tmp_path, {TEST_IMAGES: contents[TEST_IMAGES], TEST_LABELS: contents[TEST_LABELS]})
    assert not is_available("mnist", tmp_path)
    assert len(load_dataset("mnist", "test", tmp_path)) == 20
    for split in ("train", "valid"):
        with pytest.raises(MissingData) as caught:
            load_dataset("mnist", split, tmp_path)
        message = str(caught.value)
        for part in (IMAGES, LABELS, str(folder), "VAESCOPE_DATA", "python -m vaecore download mnist"):
            assert part in message
        assert "t10k" not in message
        assert "\n" not in message


WRONG: dict[str, tuple[str, Callable[[Contents], bytes], str]] = {
    "labels": (".gz", lambda good: gzip.compress(good[LABELS]), "has labels in it instead of images"),
    "magic": ("", lambda good: b"PK\3\4" + good[IMAGES][4:], r"something else in it .* \(it begins with 504b0304\)"),
    "web page": (".gz", lambda good: b"<!DOCTYPE html>", "has something else in it instead of images"),
    "test": (".gz", lambda good: gzip.compress(good[TEST_IMAGES]), r"shape \(20, 4, 3\) in it instead of \(40, 4, 3\)"),
    "sides": ("", lambda good: good[IMAGES][:8] + SIDES + good[IMAGES][16:], r"shape \(40, 3, 4\) in it instead of"),
    "empty": ("", lambda good: b"", "is cut off at 0 of 496 bytes"),
    "header": ("", lambda good: good[IMAGES][:10], "is cut off at 10 of 496 bytes"),
    "short": ("", lambda good: good[IMAGES][:-1], "is cut off at 495 of 496 bytes"),
    "long": ("", lambda good: good[IMAGES] + b"\0", "exceeds 496 bytes"),
    "one pixel": ("", lambda good: good[IMAGES][:-1] + b"\0", "differs from the published file"),
    "packed short": (".gz", lambda good: gzip.compress(good[IMAGES])[:-20], "cannot be read"),
    "packed no end": (".gz", lambda good: gzip.compress(good[IMAGES])[:-4], "cannot be read"),
    "packed sum": (".gz", lambda good: gzip.compress(good[IMAGES])[:-8] + bytes(8), "cannot be read"),
    "packed noise": (".gz", lambda good: gzip.compress(good[IMAGES])[:10] + b"\xff" * 50, "cannot be read"),
    "not gzip": (".gz", lambda good: b"\x1f\x8b" + good[IMAGES], "cannot be read"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_files_are_refused(name: str, contents: Contents, tmp_path: Path) -> None:
    suffix, damage, reason = WRONG[name]
    folder = write(tmp_path, {key: value for key, value in contents.items() if key != IMAGES})
    file = folder / f"{IMAGES}{suffix}"
    file.write_bytes(damage(contents))
    with pytest.raises(ValueError, match=reason) as caught:
        load_dataset("mnist", "train", tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{file} ")
    assert message.endswith("replace it by the published file, or run `python -m vaecore download mnist`.")
    assert "\n" not in message
    assert len(load_dataset("mnist", "test", tmp_path)) == 20


def test_gzip_bomb_is_not_unpacked(contents: Contents, tmp_path: Path) -> None:
    write(tmp_path, contents | {IMAGES: contents[IMAGES] + bytes(30_000_000)})
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="exceeds 496 bytes"):
            load_dataset("mnist", "train", tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()


def test_images_where_labels_should_be(contents: Contents, tmp_path: Path) -> None:
    write(tmp_path, contents | {LABELS: contents[IMAGES]})
    with pytest.raises(ValueError, match=f"{LABELS}.gz has images in it instead of labels"):
        load_dataset("mnist", "train", tmp_path)


# Downloads


class Handler(SimpleHTTPRequestHandler):
    requested: list[str]

    def do_GET(self) -> None:
        self.server.requested.append(self.path)
        super().do_GET()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(contents: Contents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    """Serves the folder tmp_path/server on a free port, as a set's only mirror; counts what is asked for."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path / "server")))
    server.requested = []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    for name in FORMS:
        publish(monkeypatch, name, f"http://127.0.0.1:{server.server_port}/{name}/")
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def on_disk(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_download(contents: Contents, tmp_path: Path, server: ThreadingHTTPServer) -> None:
    write(tmp_path / "server", contents)
    root = tmp_path / "data"
    assert download("mnist", root) == root / "mnist"
    assert on_disk(root / "mnist") == sorted(f"{name}.gz" for name in contents)
    assert len(list((root / "mnist").iterdir())) == 4
    assert len(load_dataset("mnist", "test", root)) == 20
    asked = len(server.requested)
    download("mnist", root)
    assert len(server.requested) == asked == 4


def test_loading_downloads_what_is_missing(contents: Contents, tmp_path: Path, server: ThreadingHTTPServer) -> None:
    write(tmp_path / "server", contents)
    root = tmp_path / "data"
    write(root, {IMAGES: contents[IMAGES]}, packed=False)
    assert len(load_dataset("mnist", "train", root, download=True)) == 36
    assert not any(IMAGES in path for path in server.requested)
    assert len(server.requested) == 3


@pytest.mark.parametrize("packed", [False, True])
def test_download_heals(packed: bool, contents: Contents, tmp_path: Path, server: ThreadingHTTPServer) -> None:
    write(tmp_path / "server", contents)
    root = tmp_path / "data"
    write(root, contents | {IMAGES: b"damaged"}, packed)
    download("mnist", root)
    assert server.requested == [f"/mnist/{IMAGES}.gz"]
    assert len(load_dataset("mnist", "train", root)) == 36


def test_corrupt_download_leaves_nothing(contents: Contents, tmp_path: Path, server: ThreadingHTTPServer) -> None:
    write(tmp_path / "server", contents | {IMAGES: contents[IMAGES][:-1] + b"\0"})
    root = tmp_path / "data"
    with pytest.raises(ValueError, match="mnist could not be downloaded .*differs from the published file") as caught:
        download("mnist", root)
    assert str(root / "mnist") in str(caught.value)
    assert list((root / "mnist").iterdir()) == []
    with pytest.raises(MissingData):
        load_dataset("mnist", "train", root)


def test_second_mirror_helps(
    contents: Contents, tmp_path: Path, server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "server", contents)
    (mirror,) = FORMS["mnist"][0].mirrors
    publish(monkeypatch, "mnist", f"{mirror}not-there/", mirror)
    assert is_available("mnist", download("mnist", tmp_path / "data").parent)


def test_broken_connection_leaves_nothing(
    contents: Contents, tmp_path: Path, server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def do_get(self: Handler) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"\x1f\x8b only the start")

    monkeypatch.setattr(Handler, "do_GET", do_get)
    with pytest.raises(ValueError, match="mnist could not be downloaded"):
        download("mnist", tmp_path / "data")
    assert list((tmp_path / "data" / "mnist").iterdir()) == []


def test_no_server(
    contents: Contents, tmp_path: Path, server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "data"
    write(root, {IMAGES: contents[IMAGES]})
    publish(monkeypatch, "mnist", "http://127.0.0.1:1/mnist/")
    with pytest.raises(ValueError, match="mnist could not be downloaded .http://127.0.0.1:1/mnist/: Conn") as caught:
        load_dataset("mnist", "train", root, download=True)
    message = str(caught.value)
    for part in (LABELS, TEST_IMAGES, TEST_LABELS, str(root / "mnist")):
        assert part in message
    assert IMAGES not in message
    assert "\n" not in message
    assert on_disk(root) == [f"mnist/{IMAGES}.gz"]


# Static MNIST and Omniglot, as they are published

AMATS = {split: f"binarized_mnist_{split}.amat" for split in SPLITS}


@pytest.fixture
def static(monkeypatch: pytest.MonkeyPatch) -> tuple[Contents, Contents]:
    """A small static MNIST: the contents of its IDX files and of its texts."""
    random, idxs, texts, table = np.random.default_rng(3), {}, {}, {}
    for split, count in (("train", 30), ("valid", 10), ("test", 20)):
        images, labels = random.integers(0, 2, (count, 4, 3), np.uint8), np.arange(count, dtype=np.uint8) // 2
        named = {f"{split}-images-idx3-ubyte": images * np.uint8(255), f"{split}-labels-idx1-ubyte": labels}
        files = {name: idx(array) for name, array in named.items()}
        table[split] = tuple(IdxFile(name, named[name].shape, hashlib.md5(files[name]).hexdigest()) for name in named)
        idxs |= files
        texts[AMATS[split]] = amat(images)
    published = {split: (AmatFile(AMATS[split], files[0]),) for split, files in table.items()}
    forms = (Form(table), Form(published, ("http://127.0.0.1:1/static_mnist/",)))
    monkeypatch.setitem(FORMS, "static_mnist", forms)
    return idxs, texts


def test_static_mnist_is_the_same_in_both_forms(static: tuple[Contents, Contents], tmp_path: Path) -> None:
    idxs, texts = static
    write(tmp_path / "idx", idxs, name="static_mnist")
    write(tmp_path / "text", texts, packed=False, name="static_mnist")
    write(tmp_path / "packed", texts, name="static_mnist")
    lines = {name: text.replace(b"\n", b" \r\n") for name, text in texts.items()}
    write(tmp_path / "lines", lines, packed=False, name="static_mnist")
    for split, count in (("train", 30), ("valid", 10), ("test", 20)):
        expected = load_dataset("static_mnist", split, tmp_path / "idx")
        assert len(expected) == count
        for root in ("text", "packed", "lines"):
            assert is_available("static_mnist", tmp_path / root)
            found = load_dataset("static_mnist", split, tmp_path / root)
            assert torch.equal(found.images, expected.images)
            assert found.labels is None
            assert found.first(3).labels is None


def test_static_test_is_shuffled_with_its_labels(static: tuple[Contents, Contents], tmp_path: Path) -> None:
    idxs, _ = static
    write(tmp_path, idxs, name="static_mnist")
    data = load_dataset("static_mnist", "test", tmp_path)
    order = np.random.default_rng(0).permutation(20)
    images = np.frombuffer(idxs["test-images-idx3-ubyte"], np.uint8, offset=16).reshape(20, 1, 4, 3)
    assert data.labels.tolist() == (order // 2).tolist()
    assert np.array_equal(data.images, images[order] / 255)
    assert load_dataset("static_mnist", "train", tmp_path).labels.tolist() == (np.arange(30) // 2).tolist()


def test_static_order_is_the_same_for_ever() -> None:
    """Which images a checkpoint's stored results belong to depends on it."""
    digest = hashlib.md5(datasets._fair("static_mnist", "test", 10_000).astype("<i8").tobytes()).hexdigest()
    assert digest == "49738992633c8de88350bd82adfc55a2"


WRONG_TEXT: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "one pixel": (lambda good: good[:-2] + bytes((good[-2] ^ 1,)) + b"\n", "differs from the published file"),
    "order": (lambda good: good[24:] + good[:24], "differs from the published file"),
    "grey": (lambda good: good[:-2] + b"2\n", "has something else than 0 and 1 in it"),
    "web page": (lambda good: b"<!DOCTYPE html>", "has something else than 0 and 1 in it"),
    "empty": (lambda good: b"", "has 0 pixels in it instead of 240"),
    "short": (lambda good: good[:-24], "has 228 pixels in it instead of 240"),
    "long": (lambda good: good + good, "exceeds 520 bytes"),
    "packed": (lambda good: gzip.compress(good)[:-9], "cannot be read"),
}


@pytest.mark.parametrize("name", WRONG_TEXT)
def test_wrong_texts_are_refused(name: str, static: tuple[Contents, Contents], tmp_path: Path) -> None:
    damage, reason = WRONG_TEXT[name]
    texts = static[1] | {AMATS["test"]: damage(static[1][AMATS["test"]])}
    folder = write(tmp_path, texts, packed=False, name="static_mnist")
    with pytest.raises(ValueError, match=reason) as caught:
        load_dataset("static_mnist", "test", tmp_path)
    assert str(caught.value).startswith(f"{folder / AMATS['test']} ")
    assert str(caught.value).endswith("the published file, or run `python -m vaecore download static_mnist`.")
    assert len(load_dataset("static_mnist", "valid", tmp_path)) == 10


def test_static_mnist_is_downloaded_as_text(
    static: tuple[Contents, Contents], tmp_path: Path, server: ThreadingHTTPServer
) -> None:
    write(tmp_path / "server", static[1], packed=False, name="static_mnist")
    root = tmp_path / "data"
    write(root, static[1] | {AMATS["valid"]: b"0 1"}, name="static_mnist")
    (root / "static_mnist" / f"{AMATS['train']}.gz").unlink()
    assert len(load_dataset("static_mnist", "train", root, download=True)) == 30
    assert sorted(server.requested) == [f"/static_mnist/{AMATS[split]}" for split in ("train", "valid")]
    assert len(load_dataset("static_mnist", "valid", root)) == 10


def test_nothing_is_downloaded_to_a_complete_form(
    static: tuple[Contents, Contents], tmp_path: Path, server: ThreadingHTTPServer
) -> None:
    write(tmp_path, static[0], name="static_mnist")
    download("static_mnist", tmp_path)
    assert server.requested == []


def test_missing_static_mnist_names_both_forms(static: tuple[Contents, Contents], tmp_path: Path) -> None:
    with pytest.raises(MissingData) as caught:
        load_dataset("static_mnist", "test", tmp_path)
    idxs = ", ".join(f"{split}-{kind}-ubyte.gz" for split in SPLITS for kind in ("images-idx3", "labels-idx1"))
    texts = ", ".join(AMATS.values())
    assert f"put {idxs} (or unpacked), or {texts} into {tmp_path / 'static_mnist'}, set" in str(caught.value)


def test_damaged_idx_without_a_mirror_must_go_first(
    static: tuple[Contents, Contents], tmp_path: Path, server: ThreadingHTTPServer
) -> None:
    """A complete form is read before what a download brings."""
    write(tmp_path / "server", static[1], packed=False, name="static_mnist")
    folder = write(tmp_path / "data", static[0] | {"test-images-idx3-ubyte": b"damaged"}, name="static_mnist")
    with pytest.raises(ValueError, match="or delete it and run `python -m vaecore download static_mnist`.$"):
        load_dataset("static_mnist", "test", tmp_path / "data")
    (folder / "test-images-idx3-ubyte.gz").unlink()
    download("static_mnist", tmp_path / "data")
    assert len(load_dataset("static_mnist", "test", tmp_path / "data")) == 20


def glyphs(count: int, seed: int) -> np.ndarray:
    """Upright images [N, 28, 28]: an F, a different grey in each, on noise."""
    images = np.random.default_rng(seed).random((count, 28, 28)) / 4
    shade = np.linspace(0.5, 1, count)[:, None]
    images[:, 4:24, 8] = images[:, 4, 8:20] = shade[:, :1]
    images[:, 13, 8:15] = shade
    return images


def chardata(train: np.ndarray, test: np.ndarray) -> dict[str, np.ndarray]:
    """The variables of chardata.mat: one column for each image, which runs down the image's columns."""
    columns = [np.stack([image.T.ravel() for image in images], 1) for images in (train, test)]
    targets = [np.eye(50)[:, np.arange(len(images)) % 50] for images in (train, test)]
    return {"data": columns[0], "testdata": columns[1], "target": targets[0], "testtarget": targets[1]}


@pytest.fixture
def burda(monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """A small Omniglot as Burda et al. publish theirs: 60 and 20 images. Our own form is as it is."""
    files = {
        "train": (MatFile("chardata.mat", "data", "target", 60),),
        "test": (MatFile("chardata.mat", "testdata", "testtarget", 20),),
    }
    first, second = FORMS["omniglot"]
    monkeypatch.setitem(FORMS, "omniglot", (first, replace(second, files=files)))
    return chardata(glyphs(60, 1), glyphs(20, 2))


def save(root: Path, variables: dict[str, np.ndarray], packed: bool = True) -> Path:
    from scipy.io import savemat

    file = root / "omniglot" / "chardata.mat"
    file.parent.mkdir(parents=True, exist_ok=True)
    savemat(file, variables, do_compression=packed)
    return file


@pytest.mark.parametrize("packed", [True, False])
def test_characters_of_chardata_stand_upright(packed: bool, burda: dict[str, np.ndarray], tmp_path: Path) -> None:
    save(tmp_path, burda, packed)
    assert is_available("omniglot", tmp_path)
    assert is_available("dynamic_omniglot", tmp_path)
    sets = {split: load_dataset("omniglot", split, tmp_path) for split in SPLITS}
    assert [len(data) for data in sets.values()] == [54, 6, 20]
    assert np.array_equal(sets["test"].images[:, 0], glyphs(20, 2).astype(np.float32))
    keep = datasets._held_out(60, "train")
    assert np.array_equal(sets["train"].images[:, 0], glyphs(60, 1)[keep].astype(np.float32))
    assert sets["train"].labels.tolist() == (keep % 50).tolist()
    assert sets["test"].labels.dtype == torch.int64
    assert all(data.note == "Omniglot in the split of Burda et al. 2016." for data in sets.values())


def test_chardata_is_turned_as_others_turn_it(burda: dict[str, np.ndarray], tmp_path: Path) -> None:
    """IWAE and VampPrior write the pixels of all images anew in Fortran's order."""
    save(tmp_path, burda)
    theirs = burda["testdata"].T.reshape(-1, 28, 28).reshape((-1, 784), order="F").astype(np.float32)
    assert np.array_equal(load_dataset("omniglot", "test", tmp_path).images.flatten(1), theirs)


def spoilt(key: str, index: tuple[int, int], value: float) -> Callable[[dict[str, np.ndarray]], None]:
    def spoil(variables: dict[str, np.ndarray]) -> None:
        variables[key][index] = value

    return spoil


WRONG_MAT: dict[str, tuple[Callable[[dict[str, np.ndarray]], object], str]] = {
    "bright": (spoilt("testdata", (5, 5), 1.01), r"has pixels outside \[0, 1\] in testdata"),
    "negative": (spoilt("testdata", (5, 5), -0.01), r"has pixels outside \[0, 1\] in testdata"),
    "nan": (spoilt("testdata", (5, 5), np.nan), r"has pixels outside \[0, 1\] in testdata"),
    "no class": (spoilt("testtarget", (3, 3), 0), "has columns in testtarget that name no single alphabet"),
    "two classes": (spoilt("testtarget", (4, 3), 1), "has columns in testtarget that name no single alphabet"),
    "half a class": (spoilt("testtarget", (3, 3), 0.5), "has columns in testtarget that name no single alphabet"),
    "lying": (
        lambda good: good.update(testdata=good["testdata"].T),
        r"has testdata of shape \(20, 784\) in it instead of \(784, 20\)",
    ),
    "absent": (lambda good: good.pop("testtarget"), "has testtarget of shape None in it"),
    "complex": (lambda good: good.update(testdata=good["testdata"] * 1j), "something else than numbers in testdata"),
    "cells": (lambda good: good.update(testdata=good["testdata"].astype(object)), "something else than numbers"),
}


@pytest.mark.parametrize("name", WRONG_MAT)
def test_wrong_chardata_is_refused(name: str, burda: dict[str, np.ndarray], tmp_path: Path) -> None:
    damage, reason = WRONG_MAT[name]
    damage(burda)
    file = save(tmp_path, burda)
    with pytest.raises(ValueError, match=reason) as caught:
        load_dataset("omniglot", "test", tmp_path)
    assert str(caught.value).startswith(f"{file} ")
    assert len(load_dataset("omniglot", "train", tmp_path)) == 54


def test_broken_chardata_never_breaks_the_program(burda: dict[str, np.ndarray], tmp_path: Path) -> None:
    """Cut off anywhere, or another kind of file: a sentence about the file."""
    file = save(tmp_path, burda)
    good = file.read_bytes()
    ends = [0, 1, 4, 100, 127, 128, 130, 140, 200, 1000, *range(2000, len(good), 20_001)]
    noise = np.random.default_rng(5).integers(0, 256, 5000, np.uint8).tobytes()
    others = [noise, good[:128] + noise, b"<!DOCTYPE html>" * 99, b"\x89HDF\r\n\x1a\n" * 40, gzip.compress(good)]
    for content in [good[:end] for end in ends] + others:
        file.write_bytes(content)
        with pytest.raises(ValueError, match=r"chardata.mat (cannot be read|has )") as caught:
            load_dataset("omniglot", "train", tmp_path)
        assert type(caught.value) is ValueError
        assert "\n" not in str(caught.value)


def test_splits_never_come_from_two_forms(burda: dict[str, np.ndarray], tmp_path: Path) -> None:
    """Else images of one's test could be in the other's train."""
    save(tmp_path, burda)
    for file in FORMS["omniglot"][0].files["test"]:
        (tmp_path / "omniglot" / file.name).write_bytes(b"not read")
    assert {load_dataset("omniglot", split, tmp_path).note for split in SPLITS} == {FORMS["omniglot"][1].note}


def test_chardata_is_downloaded_once(burda: dict[str, np.ndarray], tmp_path: Path, server: ThreadingHTTPServer) -> None:
    file = save(tmp_path / "server", burda)
    root = tmp_path / "data"
    assert len(load_dataset("dynamic_omniglot", "train", root, download=True)) == 54
    assert server.requested == ["/omniglot/chardata.mat"]
    assert on_disk(root) == ["omniglot/chardata.mat"]
    spoilt("testdata", (5, 5), 2)(burda)
    save(tmp_path / "server", burda)
    (root / "omniglot" / file.name).write_bytes(b"damaged")
    with pytest.raises(ValueError, match="omniglot could not be downloaded .*outside.*: put chardata.mat from else"):
        download("omniglot", root)
    assert (root / "omniglot" / file.name).read_bytes() == b"damaged"
