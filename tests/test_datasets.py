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
from vaecore.datasets import SPLITS, Dataset, MissingData, download, is_available, load_dataset
from vaecore.datasets.catalogue import FORMS, Form
from vaecore.datasets.files import IdxFile

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
SIDES = bytes((0, 0, 0, 3, 0, 0, 0, 4))

Contents = dict[str, bytes]


def idx(array: np.ndarray) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


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
    digest = hashlib.md5(datasets._tenth(60_000, "valid").astype("<i8").tobytes()).hexdigest()
    assert digest == "d35a24953f6e1988c8d35b58b9998366"


@pytest.mark.parametrize("count", [10, 1442, 60_000])
def test_train_and_valid_never_overlap(count: int) -> None:
    train, valid = (datasets._tenth(count, split) for split in ("train", "valid"))
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
