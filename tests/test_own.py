"""A visitor's own picture on its way to the model: hostile files, the steps, the text in a link, and the pick."""

import base64
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageDraw

from app import own
from app.own import Convention, Material

MNIST = Convention(0.0, 20 / 28)
SHAPE = (1, 28, 28)


def encoded(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def pen(size: tuple[int, int] = (300, 200), paper: int = 255, ink: int = 0) -> Image.Image:
    """A vertical stroke near the left edge."""
    picture = Image.new("L", size, paper)
    ImageDraw.Draw(picture).rectangle((40, 30, 59, 169), fill=ink)
    return picture


def claims(width: int, height: int) -> bytes:
    """A PNG whose header promises that many pixels, and which has none."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a picture"),
        (b"%PDF-1.7 and so on", "not a picture"),
        (b"\x89PNG\r\n\x1a\n", "not a picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
        (encoded(pen(), "TIFF"), "not a picture"),
        (encoded(pen())[:-60], "damaged"),
        (encoded(pen(), "JPEG")[:700], "damaged"),
        (claims(30_000, 30_000), "too large"),
        (claims(9_000, 9_000), "too large"),
        (claims(10, 10), "damaged"),
        (bytes((own.MEGABYTES << 20) + 1), "at most 20"),
    ],
    ids="empty pdf stub svg tiff png-cut jpeg-cut bomb large hollow heavy".split(),
)
def test_a_hostile_file_gets_a_sentence(content: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        own.read(content)


@pytest.mark.parametrize("kind", own.FORMATS)
def test_every_format_is_read(kind: str) -> None:
    found = own.read(encoded(pen().convert("RGB"), kind)).pixels
    assert found.shape[:2] == (200, 300)
    assert found[100, 50].max() < 0.1
    assert found[100, 200].min() > 0.9


def test_an_animation_gives_its_first_frame_and_says_so() -> None:
    frames = [pen(), Image.new("L", (300, 200), 255)]
    found = own.read(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert "animated" in found.notes[0]
    assert found.pixels[100, 50].max() < 0.1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_every_mode_means_the_same(mode: str) -> None:
    found = own.read(encoded(pen().convert(mode))).pixels
    assert (found[100, 50].max(), found[100, 200].min()) == pytest.approx((0, 1), abs=0.02)


def test_sixteen_bits_and_cmyk_are_brought_to_eight() -> None:
    deep = Image.fromarray(np.array(pen(), np.uint16) * 257)
    assert own.read(encoded(deep)).pixels[100, 200] == pytest.approx(1)
    cmyk = own.read(encoded(pen().convert("RGB").convert("CMYK"), "JPEG")).pixels
    assert cmyk.shape[-1] == 3
    assert (cmyk[100, 50].max(), cmyk[100, 200].min()) == pytest.approx((0, 1), abs=0.05)


def test_a_camera_held_sideways_is_turned_back() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert own.read(encoded(pen(), "JPEG", exif=exif)).pixels.shape[:2] == (300, 200)


@pytest.mark.parametrize(("ink", "ground"), [(0, 1.0), (255, 0.0)])
def test_what_is_transparent_lies_on_what_the_ink_is_not(ink: int, ground: float) -> None:
    clear = Image.merge("LA", (Image.new("L", (300, 200), ink), Image.eval(pen(), lambda v: 255 - v)))
    found = own.read(encoded(clear)).pixels
    assert found[100, 200] == pytest.approx([ground] * 3)
    assert found[100, 50] == pytest.approx([ink / 255] * 3)


def test_a_large_picture_is_kept_small() -> None:
    assert max(own.read(encoded(pen((3000, 1000)))).pixels.shape) == own.LONGEST
    assert own.read(encoded(Image.new("L", (20_000, 1)))).pixels.shape == (1, own.LONGEST, 1)


def test_a_photo_of_ink_on_paper_becomes_like_mnist() -> None:
    picture = Image.new("L", (400, 300), 190)
    ImageDraw.Draw(picture).rectangle((60, 40, 99, 239), fill=60)
    material = own.read(encoded(picture))
    switched = own.usual(material, SHAPE, MNIST)
    assert switched == {"invert": True, "contrast": True, "centre": True, "binarise": False}
    shown, levels = own.steps(material, SHAPE, MNIST, switched)
    assert [name for name, _ in shown] == ["original", "invert", "contrast", "centre", "size"]
    assert (levels.dtype, levels.shape) == (np.uint8, SHAPE)
    rows, columns = np.nonzero(levels[0] > 127)
    assert np.ptp(rows) + 1 == 20  # of 28, as MNIST was made
    assert np.ptp(columns) + 1 == 4
    assert (rows.mean(), columns.mean()) == pytest.approx((13.5, 13.5), abs=0.51)
    assert levels.max() == 255
    assert levels[0, 0, 0] == 0


def test_an_mnist_image_is_hardly_changed_by_the_steps() -> None:
    """Known answer: such an image is centred by mass in a box of 20 already."""
    image = np.zeros((28, 28, 1), np.float32)
    image[4:24, 12:16] = 1
    _, levels = own.steps(Material(image), SHAPE, MNIST, own.usual(Material(image), SHAPE, MNIST))
    assert levels[0] / 255 == pytest.approx(image[..., 0], abs=0.01)


@pytest.mark.parametrize("size", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (1, 10, 24)])
def test_the_model_gets_its_shape_whatever_is_switched(size: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    for pixels in (rng.random((50, 37, 3)), np.zeros((7, 90, 1)), np.ones((1, 1, 1))):
        for many in range(16):
            switched = {name: bool(many >> place & 1) for place, name in enumerate(own.STEPS)}
            _, levels = own.steps(Material(pixels.astype(np.float32)), size, MNIST, switched)
            assert levels.shape == size
            assert not switched["binarise"] or set(np.unique(levels)) <= {0, 255}


def test_shrinking_takes_the_mean_over_areas() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.random((112, 112, 1)).astype(np.float32)
    means = pixels.reshape(28, 4, 28, 4).mean((1, 3))
    assert own.fitted(pixels, (28, 28))[..., 0] == pytest.approx(means, abs=1e-5)


def test_ink_does_not_leave_the_frame_to_be_centred() -> None:
    picture = np.zeros((40, 40, 1), np.float32)
    picture[5:35, 5:11] = 1  # heavy on the left
    picture[19:21, 5:35] = 1
    found = own.centred(picture, (8, 8), Convention(0.0, 1.0))
    assert (found.max(0) > 0).all()


def test_a_convention_is_what_the_images_show() -> None:
    images = np.zeros((30, 1, 28, 28), np.float32)
    images[:, 0, 4:24, 10:18] = 0.7
    assert own.convention(images, "any") == Convention(0.0, 20 / 28, False)
    assert own.convention(1 - np.round(images), "any") == Convention(1.0, 20 / 28, True)
    assert own.convention(None, "dynamic_mnist") == Convention(0.0, 20 / 28, True)


# ---- the link


def test_a_packed_image_comes_back() -> None:
    for shape in ((1, 8, 8), (1, 28, 28), (3, 32, 32)):
        levels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
        text = own.packed(levels)
        assert len(text) <= own.LINK
        assert (own.unpacked(text, shape) == levels).all()
        sent = own.sent(text, shape)
        _, again = own.steps(sent, shape, MNIST, own.usual(sent, shape, MNIST))
        assert (again == levels).all()


def zipped(content: bytes) -> str:
    return base64.urlsafe_b64encode(zlib.compress(content)).decode()


@pytest.mark.parametrize(
    "text",
    ["x", "äöü", "<script>", "A" * 400, zipped(bytes(783)), zipped(bytes(785)), zipped(bytes(10**7)), zipped(b"") * 2],
)
def test_a_link_that_carries_no_such_image_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="The link carries"):
        own.unpacked(text, SHAPE)


def test_what_is_cut_off_is_refused() -> None:
    text = own.packed(np.random.default_rng(0).integers(0, 256, SHAPE).astype(np.uint8))
    for end in (1, 10, len(text) - 4):
        with pytest.raises(ValueError, match="The link carries"):
            own.unpacked(text[:end], SHAPE)


@pytest.mark.parametrize("text", [None, 7, "", "AAAA", "not base64", base64.b64encode(bytes(112 * 113)).decode()])
def test_what_the_canvas_may_not_send_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="canvas"):
        own.drawn(text)
