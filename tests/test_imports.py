"""What strangers bring: read in full, or refused with a sentence, with nothing on the disk and memory bounded."""

import io
import json
import random
import stat
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save

import vaecore
from vaecore import checkpoints, imports, shelf
from vaecore.imports import archive
from vaecore.safefiles import BadFile

SHAPE = (1, 2, 2)
Files = dict[str, bytes]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A small checkpoint's files."""
    torch.manual_seed(0)
    metrics = {"evaluation": {"ELBO": -1.5, "protocol": "ten images"}, "training": {"epochs": 3, "hardware": "1 CPU"}}
    vae = vaecore.build("vae", SHAPE, latent_dim=2, net="small")
    folder = vaecore.save(vae, tmp_path_factory.mktemp("made") / "made", dataset="digits", metrics=metrics)
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "brought"


def zipped(files: dict[str, bytes], folder: str = "made/", way: int = zipfile.ZIP_STORED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", way) as opened:
        for name, content in files.items():
            opened.writestr(folder + name, content)
    return packed.getvalue()


def refused(act: Callable[[], object], sentence: str, root: Path) -> None:
    with pytest.raises(BadFile, match=sentence) as caught:
        act()
    assert len(str(caught.value)) < 700
    assert list(root.glob("*")) + list(root.glob(".*")) == []


@pytest.mark.parametrize("folder", ["", "made/"])
def test_a_zip_becomes_the_same_vae(files: Files, root: Path, folder: str) -> None:
    found = imports.from_zip(zipped(files, folder, zipfile.ZIP_DEFLATED), root)
    assert found == root / "digits-vae-2d"
    assert (found / "model.safetensors").read_bytes() == files["model.safetensors"]
    assert vaecore.load(found).config["data_shape"] == list(SHAPE)
    metrics = checkpoints.read_metrics(found)
    assert metrics["evaluation"] == {"ELBO": -1.5, "protocol": "ten images"}
    assert metrics["brought"] is True
    card = (found / "README.md").read_text()
    assert "Brought from elsewhere" in card
    assert "license" not in card


@pytest.mark.parametrize("protocol", [5, None, ["few"], {"a": 1}, "x" * 501])
def test_a_protocol_that_is_no_words_is_left_out(files: Files, root: Path, protocol: object) -> None:
    said = json.dumps({"evaluation": {"ELBO": -1.5, "protocol": protocol}}).encode()
    found = imports.from_zip(zipped(files | {"metrics.json": said}), root)
    assert checkpoints.read_metrics(found) == {"evaluation": {"ELBO": -1.5}, "brought": True}


def test_a_packed_checkpoint_comes_back(checkpoint: Path, root: Path) -> None:
    found = imports.from_zip(shelf.pack(checkpoint), root, "mine")
    assert found.name == "mine"
    assert checkpoints.digest(found) == checkpoints.digest(checkpoint)
    assert imports.from_zip(shelf.pack(checkpoint), root, "mine").name == "mine-2"


def test_two_files_become_the_same_vae(files: Files, root: Path) -> None:
    found = imports.from_files(files["model.safetensors"], files["config.json"], root)
    assert (found / "model.safetensors").read_bytes() == files["model.safetensors"]


def test_an_analysis_is_not_believed_and_litter_left_out(files: Files, root: Path) -> None:
    lies = files | {"analysis.safetensors": save({"test.loc": torch.zeros(1, 2)}), ".DS_Store": b"x"}
    found = imports.from_zip(zipped(lies), root)
    assert {file.name for file in found.iterdir()} == {"config.json", "model.safetensors", "metrics.json", "README.md"}


def test_the_last_epochs_weights_are_checked_and_kept(files: Files, root: Path) -> None:
    more = files | {"last.safetensors": files["model.safetensors"]}
    assert (imports.from_zip(zipped(more), root) / "last.safetensors").is_file()
    weights = load(files["model.safetensors"])
    weights["decoder.log_scale"] = torch.tensor(torch.nan)
    refused(
        lambda: imports.from_zip(zipped(files | {"last.safetensors": save(weights)}), root / "b"), "finite", root / "b"
    )


def test_claims_are_kept_where_they_are_plain() -> None:
    from vaecore.imports.claims import claims

    training = {"epochs": 5, "seconds": 1.5, "note": "![x](http://a.b/c.png)", "hardware": "1 CPU", "seed": True}
    measures = {"ELBO": -3, "mean of q(z)": [0.0, 1.0], "<b>": 1.0, "nested": {"a": 1}, "big": 1e300, "protocol": "ten"}
    kept = claims({"training": training, "evaluation": measures, "history": [{"epoch": 1, "x": 2}, 5], "other": 1})
    assert kept["training"] == {"epochs": 5, "seconds": 1.5, "hardware": "1 CPU"}
    assert kept["evaluation"] == {"ELBO": -3, "mean of q(z)": [0.0, 1.0], "protocol": "ten"}
    assert kept["history"] == [{"event": "epoch", "epoch": 1}]
    for odd in ({"training": 5, "evaluation": [1], "history": {}}, {"training": {"epochs": "many"}}):
        assert not any(claims(odd).values())
    with pytest.raises(BadFile, match="history of 20,001"):
        claims({"history": [{}] * 20_001})


# ---- hostile zips


def entry(name: str, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name)
    made.external_attr = mode << 16
    return made


def one(name: str, mode: int = stat.S_IFREG | 0o644, content: bytes = b"x") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as opened:
        opened.writestr(entry(name, mode), content)
    return packed.getvalue()


def bomb() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as opened, opened.open("a", "w") as file:
        for _ in range(130):
            file.write(bytes(1 << 20))
    return packed.getvalue()


def lying(content: bytes, size: int) -> bytes:
    """The same zip, whose lists say that the file has `size` bytes."""
    at = content.index(b"PK\x01\x02") + 24
    content = content[:at] + struct.pack("<I", size) + content[at + 4 :]
    return content[:22] + struct.pack("<I", size) + content[26:]


def patched(content: bytes, offset: int, value: bytes) -> bytes:
    at = content.index(b"PK\x01\x02") + offset
    return content[:at] + value + content[at + len(value) :]


ZIPS = {
    "empty": (lambda: b"", "no zip file"),
    "no zip": (lambda: b"x" * 1000, "no zip file"),
    "a comment": (lambda: one("a") + b"x", "no zip file"),
    "too large": (lambda: bytes(archive.LARGEST_UPLOAD + 1), "bytes; at most"),
    "bomb": (bomb, "would unpack to 136,314,880 bytes"),
    "bomb that says it is small": (lambda: lying(bomb(), 1000), "damaged"),
    "says it is huge": (lambda: lying(one("a"), 1 << 31), "would unpack to"),
    "says it is larger": (lambda: lying(one("a"), 5000), "damaged"),
    "many files": (lambda: zipped({f"f{n}": b"" for n in range(70)}), "lists 70 files"),
    "long list": (lambda: one("a")[:-10] + struct.pack("<II", 1 << 30, 0) + b"\0\0", "lists 1 file in 1,073,741,824"),
    "huge archive": (lambda: one("a")[:-22] + b"PK\x06\x07" + bytes(16) + one("a")[-22:], "zip64"),
    "upwards": (lambda: one("../a"), "leads out of its folder"),
    "upwards inside": (lambda: one("a/../../b"), "leads out of its folder"),
    "absolute": (lambda: one("/etc/passwd"), "leads out of its folder"),
    "drive": (lambda: one("C:x"), "odd name"),
    "backslash": (lambda: one("..\\a"), "odd name|leads out"),
    "control character": (lambda: one("a\nb"), "odd name"),
    "long name": (lambda: one("a" * 300), "odd name"),
    "deep": (lambda: one("a/b/c"), "one folder without others"),
    "link": (lambda: one("a", stat.S_IFLNK | 0o777, b"/etc/passwd"), "link to another file"),
    "two folders": (lambda: zipped({"a/x": b"", "b/y": b""}, ""), "more than one folder"),
    "encrypted": (lambda: patched(one("a"), 8, b"\x01\x00"), "encrypted"),
    "another packing": (lambda: patched(one("a"), 10, b"\x0c\x00"), "unusual way"),
    "no checkpoint": (lambda: one("notes.txt"), "no config.json and no model.safetensors"),
    "pickle": (lambda: one("encoder.pkl"), "encoder.pkl is refused"),
    "pickled weights": (lambda: one("weights.bin"), "weights.bin is refused"),
}


@pytest.mark.parametrize("harm", list(ZIPS))
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_hostile_zip_is_refused(harm: str, root: Path) -> None:
    make, sentence = ZIPS[harm]
    content = make()
    refused(lambda: imports.from_zip(content, root), sentence, root)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_stands_twice_is_refused(files: Files, root: Path) -> None:
    packed = io.BytesIO(zipped(files))
    with zipfile.ZipFile(packed, "a") as opened:
        opened.writestr("made/config.json", files["config.json"])
    refused(lambda: imports.from_zip(packed.getvalue(), root), "same name", root)


# ---- hostile files


def configured(files: Files, **entries: object) -> Files:
    return files | {"config.json": json.dumps(json.loads(files["config.json"]) | entries).encode()}


def weighted(files: Files, **entries: torch.Tensor | None) -> Files:
    weights = {name: t for name, t in (load(files["model.safetensors"]) | entries).items() if t is not None}
    return files | {"model.safetensors": save(weights)}


def headed(files: Files, header: bytes) -> Files:
    return files | {"model.safetensors": struct.pack("<Q", len(header)) + header}


BIAS = "encoder.net.1.bias"
TWICE = b'{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'
MANY = json.dumps({f"t{n}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(5000)}).encode()
FILES = {
    "NaN": (lambda f: weighted(f, **{BIAS: torch.full((128,), torch.nan)}), "not finite numbers"),
    "infinity": (lambda f: weighted(f, **{BIAS: torch.full((128,), -torch.inf)}), "not finite numbers"),
    "overflow": (lambda f: weighted(f, **{"decoder.log_scale": torch.tensor(1e4)}), "grey image are not finite"),
    "half precision": (lambda f: weighted(f, **{BIAS: torch.zeros(128).half()}), "'F16'"),
    "double precision": (lambda f: weighted(f, **{BIAS: torch.zeros(128).double()}), "'F64'"),
    "whole numbers": (lambda f: weighted(f, **{BIAS: torch.zeros(128).long()}), "'I64'"),
    "no numbers": (lambda f: weighted(f, **{BIAS: torch.zeros(0)}), r"\(0,\)"),
    "missing": (lambda f: weighted(f, **{BIAS: None}), "is nothing"),
    "extra": (lambda f: weighted(f, more=torch.zeros(0, 9)), "more is"),
    "a name twice": (lambda f: headed(f, TWICE), "a key stands twice"),
    "many tensors": (lambda f: headed(f, MANY), "more than 4,096 tensors"),
    "shape of 10^9 and 0": (
        lambda f: headed(f, b'{"a":{"dtype":"F32","shape":[0,1000000000],"data_offsets":[0,0]}}'),
        "does not fit",
    ),
    "absurd shape of a tensor": (
        lambda f: headed(f, b'{"a":{"dtype":"F32","shape":[100000,100000],"data_offsets":[0,4]}}'),
        "describes more than",
    ),
    "negative shape": (
        lambda f: headed(f, b'{"a":{"dtype":"F32","shape":[-4],"data_offsets":[0,4]}}'),
        "has a header that is not safetensors",
    ),
    "long metadata": (lambda f: headed(f, b'{"__metadata__":{"a":"' + b"x" * (1 << 20) + b'"}}'), "header is longer"),
    "cut off": (lambda f: f | {"model.safetensors": f["model.safetensors"][:-1]}, "damaged or cut off"),
    "a pickle as weights": (
        lambda f: f | {"model.safetensors": b"\x80\x04]\x94."},
        "not a safetensors file|valid JSON",
    ),
    "mismatched config": (lambda f: configured(f, latent_dim=3), "does not fit its config.json"),
    "absurd image": (lambda f: configured(f, data_shape=[1, 10**6, 10**6]), "data_shape"),
    "largest image": (lambda f: configured(f, data_shape=[4, 256, 256]), "does not fit"),
    "absurd latent": (lambda f: configured(f, latent_dim=10**9), "latent_dim"),
    "long number": (lambda f: configured(f, latent_dim=10**4000), "not a number that can be read"),
    "truth as number": (lambda f: configured(f, latent_dim=True), "latent_dim"),
    "unknown recipe": (lambda f: configured(f, recipe="os.system"), "There is no recipe"),
    "long recipe": (lambda f: configured(f, recipe="x" * 50_000), "There is no recipe"),
    "code": (lambda f: configured(f, code="import os"), "exactly the keys"),
    "data set elsewhere": (lambda f: configured(f, dataset="../../etc"), "cannot be a data set's name"),
    "long data set": (lambda f: configured(f, dataset="x" * 1000), "too long|cannot be"),
    "large config": (lambda f: f | {"config.json": b" " * (65 << 10)}, "bytes; at most"),
    "deep nesting": (lambda f: f | {"config.json": b"[" * 60_000}, "valid JSON"),
    "deep metrics": (lambda f: f | {"metrics.json": b"[" * 60_000}, "valid JSON"),
    "no text": (lambda f: f | {"config.json": b"\xff\xfe\x00"}, "valid JSON"),
}


@pytest.mark.parametrize("harm", list(FILES))
def test_a_hostile_file_is_refused(harm: str, files: Files, root: Path) -> None:
    spoil, sentence = FILES[harm]
    spoilt = spoil(files)
    refused(lambda: imports.from_zip(zipped(spoilt), root), sentence, root)


@pytest.mark.parametrize("name", ["../x", "a/b", ".x", "x" * 65])
def test_a_name_that_leads_elsewhere_is_refused(name: str, files: Files, root: Path) -> None:
    with pytest.raises(ValueError, match="cannot be called"):
        imports.from_zip(zipped(files), root, name)
    assert not list(root.parent.glob("*/*"))


def test_a_full_disk_leaves_nothing(files: Files, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(checkpoints, "model_card", full)
    with pytest.raises(OSError, match="No space"):
        imports.from_zip(zipped(files), root)
    assert list(root.glob("*")) + list(root.glob(".*")) == []


def test_more_than_may_be_kept_is_refused_with_what_to_delete(
    files: Files, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAESCOPE_BROUGHT_MB", "0")
    refused(lambda: imports.from_zip(zipped(files), root), "may take 0 MB in all.*too large alone", root)
    monkeypatch.setenv("VAESCOPE_BROUGHT_MB", "1")
    kept = imports.from_zip(zipped(files), root, "first")
    (kept / "analysis.safetensors").write_bytes(bytes(10**6))  # what is computed later counts too
    with pytest.raises(BadFile, match=r"Delete one on the page of checkpoints; the largest are first \(1\.\d MB\)"):
        imports.from_zip(zipped(files), root, "second")
    assert [file.name for file in root.iterdir()] == ["first"]
    shelf.remove(kept)
    assert imports.from_zip(zipped(files), root, "second").name == "second"
    monkeypatch.setenv("VAESCOPE_BROUGHT_MB", "much")
    with pytest.raises(BadFile, match="must be a whole number of megabytes"):
        imports.from_zip(zipped(files), root, "third")
    assert [file.name for file in root.iterdir()] == ["second"]


def mutated(content: bytes, rng: random.Random) -> bytes:
    """The same bytes, some of them changed, removed, doubled or put elsewhere."""
    for _ in range(rng.choice((1, 1, 2, 8))):
        at, span, kind = rng.randrange(len(content)), rng.choice((1, 1, 2, 4, 64)), rng.randrange(5)
        head, middle, tail = content[:at], content[at : at + span], content[at + span :]
        if kind == 0:
            middle = bytes([middle[0] ^ (1 << rng.randrange(8))]) + middle[1:]
        elif kind == 1:
            middle = rng.randbytes(len(middle))
        elif kind == 2:
            middle = rng.choice((b"\xff" * len(middle), bytes(len(middle)), b"9" * len(middle), b""))
        elif kind == 3:
            middle = middle + middle
        else:
            tail = b""
        content = head + middle + tail or b"x"
    return content


def spoilt(files: Files, turn: int, rng: random.Random) -> bytes:
    """A zip of the files, damaged in one of them, mostly where it tells more than in 100 KB of numbers, or itself."""
    weights, kind = files["model.safetensors"], turn % 20
    header = 8 + int.from_bytes(weights[:8], "little")
    if kind < 6:
        return zipped(files | {"model.safetensors": mutated(weights[:header], rng) + weights[header:]})
    if kind == 6:
        return zipped(files | {"model.safetensors": weights[:header] + mutated(weights[header:], rng)})
    if kind < 14:
        name = "config.json" if kind < 12 else "metrics.json"
        return zipped(files | {name: mutated(files[name], rng)})
    whole = zipped(files)
    if kind < 17:
        return mutated(whole[:400], rng) + whole[400:]
    listed = whole.index(b"PK\x01\x02")
    return whole[:listed] + mutated(whole[listed:], rng)


def peak(reset: bool = False) -> int | None:
    """The most bytes that this process has held since the last reset, where Linux tells."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) * 1024
    except (OSError, StopIteration):
        return None


def test_ten_thousand_mutations_end_in_a_sentence_or_a_checkpoint(
    files: Files, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.fsync", lambda handle: None)
    rng, taken, before = random.Random(0), 0, peak(reset=True)
    for turn in range(10_000):
        content = spoilt(files, turn, rng)
        try:
            shelf.remove(imports.from_zip(content, root))
            taken += 1
        except BadFile as refusal:
            assert 10 < len(str(refusal)) < 700  # noqa: PT017
    assert not list(root.glob("*"))
    assert not list(root.glob(".*"))
    if before is not None:
        assert peak() - before < imports.MOST_COPIES * imports.LARGEST_UNPACKED
    assert 200 < taken < 5000  # some mutations change a number alone: both ways are walked


MEASURE = """
import resource, sys
import vaecore
from vaecore.imports import from_zip
vaecore.build("vae", (1, 8, 8), net="small")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for file in sys.argv[2:]:
    try:
        from_zip(open(file, "rb").read(), sys.argv[1])
        print("taken")
    except ValueError:
        print("refused")
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


def test_memory_stays_under_the_stated_bound(tmp_path: Path) -> None:
    vae = vaecore.build("vae", (1, 120, 120), 2, net="dense")  # 60 MB: about as much as may be uploaded
    large = shelf.pack(vaecore.save(vae, tmp_path / "large"))
    files = []
    for name, content in (("bomb", bomb()), ("list", ZIPS["long list"][0]()), ("large", large)):
        files.append(tmp_path / f"{name}.zip")
        files[-1].write_bytes(content)
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "root"), *map(str, files)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert said[::2] == ["refused", "refused", "taken"]
    assert int(said[3]) < imports.LARGEST_UPLOAD
    assert int(said[5]) < imports.MOST_COPIES * imports.LARGEST_UNPACKED


@pytest.mark.parametrize("held", [{"w": 1}, {"state_dict": {"w": 1}, "pytorch-lightning_version": "2.4"}])
def test_a_file_of_torch_is_called_what_it_is(held: dict, root: Path) -> None:
    packed = io.BytesIO()
    torch.save(held, packed)
    refused(
        lambda: imports.from_zip(packed.getvalue(), root), r"PyTorch file .*Export encoder and decoder to ONNX", root
    )
    plain = zipped({"data.pkl": b"x", "version": b"3"}, "archive/")
    refused(lambda: imports.from_zip(plain, root), "This is a PyTorch file", root)
