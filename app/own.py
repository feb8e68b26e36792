"""A picture of the visitor's own, as the model sees it: read, inverted, cleaned, centred, scaled, binarised, packed.

Knows numpy and Pillow alone. Arrays here are float32 [H, W, C] in [0, 1], C = 1 or 3; what a model gets is uint8
[C, H, W], of which `packed` makes a text for an address.
"""

import base64
import binascii
import io
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
MEGABYTES = 20
PIXELS = 40_000_000  # by the file's header: more are not decoded
LONGEST = 448  # pixels a side that are kept of a picture
DRAWN = 112  # pixels a side of what the canvas sends
FAINT = 0.25  # of the strongest: fainter differences from the background are no ink
NOTHING = "none"  # in an address: an empty canvas, or a picture that is too large for a link
LINK = 6000  # characters: longer ones are no link that people can send
STEPS = {
    "invert": "inverted",
    "contrast": "background and ink made pure",
    "centre": "cropped to the ink, centred",
    "binarise": "binarised",
}


@dataclass(frozen=True, eq=False)
class Material:
    """What the visitor gave: pixels [H, W, C]; `ready` if they came with a link, as a model saw them already."""

    pixels: np.ndarray
    ready: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Convention:
    """How a data set shows things: brightness of the background, the ink's longer side as a share, binary or grey."""

    background: float = 0.0
    box: float = 1.0
    binary: bool = False


# ---- what comes in


def read(content: bytes) -> Material:
    """The picture in a file: upright, without transparency, at most LONGEST pixels a side.

    Raises ValueError, with a sentence, for what is too large, damaged, or no PNG, JPEG, WebP, BMP or GIF.
    """
    if len(content) > MEGABYTES << 20:
        raise ValueError(f"The file has {len(content) / 1e6:,.0f} MB; at most {MEGABYTES} are taken.")
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as file:
            return decoded(file)
    except (TooLarge, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        said = str(error) if isinstance(error, TooLarge) else f"It claims more than {PIXELS / 1e6:.0f} million pixels."
        raise ValueError(f"The picture is too large. {said}") from error
    except Image.UnidentifiedImageError as error:
        raise ValueError("This is not a picture that can be read: PNG, JPEG, WebP, BMP and GIF are.") from error
    except Exception as error:  # decoders fail in many ways on files that are damaged on purpose
        raise ValueError("The picture is damaged: it begins like one, but cannot be read to its end.") from error


class TooLarge(ValueError):
    """More pixels than are decoded."""


def decoded(file: Image.Image) -> Material:
    width, height = file.size
    if width * height > PIXELS:
        raise TooLarge(f"It has {width:,} x {height:,} pixels; at most {PIXELS / 1e6:.0f} million are taken.")
    notes = ("The picture is animated: this is its first frame.",) if getattr(file, "is_animated", False) else ()
    file.draft(None, (2 * LONGEST, 2 * LONGEST))  # a JPEG need not be decoded at its full size
    file.load()
    turned = ImageOps.exif_transpose(file)
    plain = opaque(deep(turned) if turned.mode.startswith(("I", "F")) else turned)
    share = min(1.0, LONGEST / max(plain.size))
    return Material(resized(plain, *(max(1, round(share * side)) for side in plain.size)), notes=notes)


def deep(picture: Image.Image) -> Image.Image:
    """A picture of more than 8 bits a pixel, in 8."""
    values = np.asarray(picture, np.float64)
    most = 65535.0 if values.max() > 255 else 255.0
    return Image.fromarray(np.round(255 * np.clip(values / most, 0, 1)).astype(np.uint8))


def opaque(picture: Image.Image) -> Image.Image:
    """L or RGB; the transparent lies on white, or on black where what is drawn is bright."""
    if not picture.has_transparency_data:
        return picture.convert("L" if picture.mode in ("1", "L") else "RGB")
    full = picture.convert("RGBA")
    values = np.asarray(full, np.float32)
    alpha = values[..., 3].sum()
    bright = (values[..., :3].mean(-1) * values[..., 3]).sum() / max(alpha, 1.0) > 128
    ground = Image.new("RGBA", full.size, (0, 0, 0, 255) if bright else (255, 255, 255, 255))
    return Image.alpha_composite(ground, full).convert("RGB")


def drawn(text: object) -> Material:
    """What the canvas sent: base64 of DRAWN x DRAWN bytes; raises ValueError for anything else."""
    try:
        content = base64.b64decode(text, validate=True)
    except (TypeError, ValueError) as error:
        raise ValueError("The canvas sent no drawing.") from error
    if len(content) != DRAWN**2:
        raise ValueError(f"A drawing has {DRAWN} x {DRAWN} pixels; the canvas sent {len(content)}.")
    return Material(np.frombuffer(content, np.uint8).reshape(DRAWN, DRAWN, 1).astype(np.float32) / 255)


# ---- as the model sees it


def convention(images: np.ndarray | None, dataset: str) -> Convention:
    """How these images [N, C, H, W] show things; without any, what is known of the published sets."""
    if images is None:
        grey = dataset.removeprefix("dynamic_").removeprefix("static_")
        return Convention(0.0, 20 / 28 if grey == "mnist" else 1.0, dataset.startswith(("dynamic_", "static_")))
    few = images[:500]
    background = float(np.median(border(few.transpose(0, 2, 3, 1))))
    ink = np.abs(few - background).max(1) > FAINT
    sides = [max(np.ptp(rows), np.ptp(columns)) + 1 for rows, columns in map(np.nonzero, ink) if len(rows)]
    box = float(np.median(sides)) / max(ink.shape[1:]) if sides else 1.0
    return Convention(background, box, bool(((few == 0) | (few == 1)).all()))


def border(pixels: np.ndarray) -> np.ndarray:
    """The outermost pixels of [..., H, W, C], in any order."""
    edges = pixels[..., 0, :, :], pixels[..., -1, :, :], pixels[..., :, 0, :], pixels[..., :, -1, :]
    return np.concatenate([edge.reshape(-1, pixels.shape[-1]) for edge in edges])


def usual(material: Material, shape: tuple[int, ...], known: Convention) -> dict[str, bool]:
    """Which steps this material needs, by what its border and the data set's look like."""
    if material.ready:
        return dict.fromkeys(STEPS, False)
    edge, clear = float(np.median(border(material.pixels).mean(-1))), abs(known.background - 0.5) > 0.25
    grey = shape[0] == 1
    return {
        "invert": clear and (edge > 0.5) != (known.background > 0.5),
        "contrast": clear and grey,
        "centre": grey,
        "binarise": known.binary,
    }


def steps(
    material: Material, shape: tuple[int, ...], known: Convention, switched: dict[str, bool]
) -> tuple[list[tuple[str, np.ndarray]], np.ndarray]:
    """The picture after each step, by its name, and what the model gets: uint8 [C, H, W]."""
    pixels, shown = material.pixels, [("original", material.pixels)]

    def then(name: str, changed: np.ndarray) -> np.ndarray:
        shown.append((name, changed))
        return changed

    if shape[0] == 1 and pixels.shape[-1] == 3:
        pixels = then("grey", pixels @ np.array([[0.299], [0.587], [0.114]], np.float32))
    if switched["invert"]:
        pixels = then("invert", 1 - pixels)
    if switched["contrast"]:
        pixels = then("contrast", stretched(pixels, known.background))
    if switched["centre"]:
        pixels = then("centre", centred(pixels, shape[1:], known))
    pixels = then("size", fitted(pixels, shape[1:]))
    if switched["binarise"]:
        pixels = then("binarise", (pixels >= 0.5).astype(np.float32))
    levels = np.round(255 * np.clip(pixels, 0, 1)).astype(np.uint8).transpose(2, 0, 1)
    return shown, np.broadcast_to(levels, shape) if levels.shape[0] == 1 else levels


def stretched(pixels: np.ndarray, background: float) -> np.ndarray:
    """Grey levels such that the border is the data set's background, and the strongest ink the other end."""
    paper = float(np.median(border(pixels)))
    away = np.clip(pixels - paper if background < 0.5 else paper - pixels, 0, None)
    most = float(np.quantile(away[away > FAINT * away.max()], 0.9)) if away.max() > 0.04 else 1.0
    ink = np.clip((away / most - 0.1) / 0.9, 0, 1)  # a tenth: paper is never even
    return (ink if background < 0.5 else 1 - ink).astype(np.float32)


def centred(pixels: np.ndarray, size: tuple[int, ...], known: Convention) -> np.ndarray:
    """The ink, scaled to the share of the frame that the data set's has, its centre of mass in the middle.

    So MNIST was made: the longer side 20 of 28 pixels, centred by mass. Ink does not leave the frame for that.
    """
    paper = np.median(border(pixels), axis=0)
    weight = np.abs(pixels - paper).max(-1)
    rows, columns = np.nonzero(weight > max(FAINT * weight.max(), 0.04))
    if not len(rows):
        return pixels
    top, left = rows.min(), columns.min()
    part = pixels[top : rows.max() + 1, left : columns.max() + 1]
    height, width = size
    finer = max(1, DRAWN // max(size))  # still finer than the model's pixels: those are the next step's
    share = finer * known.box * max(size) / max(part.shape[:2])
    share = min(share, finer * height / part.shape[0], finer * width / part.shape[1])
    part = scaled(part, *(max(1, round(share * side)) for side in part.shape[1::-1]))
    frame = np.tile(paper.astype(np.float32), (finer * height, finer * width, 1))
    mass = np.abs(part - paper).max(-1)
    middles = [float(mass.sum(1 - axis) @ (np.arange(side) + 0.5) / mass.sum()) for axis, side in enumerate(mass.shape)]
    top, left = (
        int(np.clip(round(full / 2 - middle), 0, full - side))
        for full, middle, side in zip(frame.shape, middles, part.shape, strict=False)
    )
    frame[top : top + part.shape[0], left : left + part.shape[1]] = part
    return frame


def fitted(pixels: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """The whole picture in `size` (height, width), as wide or as high as that, on its own background."""
    height, width = size
    if pixels.shape[:2] == (height, width):
        return pixels
    share = min(height / pixels.shape[0], width / pixels.shape[1])
    part = scaled(pixels, *(max(1, round(share * side)) for side in pixels.shape[1::-1]))
    frame = np.tile(np.median(border(pixels), axis=0).astype(np.float32), (height, width, 1))
    top, left = (height - part.shape[0]) // 2, (width - part.shape[1]) // 2
    frame[top : top + part.shape[0], left : left + part.shape[1]] = part
    return frame


def scaled(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Each channel by itself, in floating point."""
    channels = (np.ascontiguousarray(pixels[..., channel]) for channel in range(pixels.shape[-1]))
    return np.concatenate([resized(Image.fromarray(channel), width, height) for channel in channels], -1)


def resized(picture: Image.Image, width: int, height: int) -> np.ndarray:
    """By the mean over areas where it shrinks, else between neighbours: [height, width, C]."""
    shrinks = width < picture.width or height < picture.height
    found = picture.resize((width, height), Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR)
    values = np.asarray(found, np.float32) / (255 if found.mode in ("L", "RGB") else 1)
    return values[..., None] if values.ndim == 2 else values


# ---- in the address


def packed(levels: np.ndarray) -> str:
    """uint8 [C, H, W] as a text for an address."""
    content = zlib.compress(np.ascontiguousarray(levels).tobytes(), 9)
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def unpacked(text: str, shape: tuple[int, ...]) -> np.ndarray:
    """The image of `packed`, uint8 [C, H, W]; raises ValueError for anything that is none of this shape.

    No more is decompressed than such an image holds.
    """
    size = int(np.prod(shape))
    try:
        content = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        unzip = zlib.decompressobj()
        found = unzip.decompress(content, size + 1)
    except (ValueError, binascii.Error, zlib.error) as error:
        raise ValueError("The link carries no picture that can be read.") from error
    if len(found) != size or not unzip.eof or unzip.unused_data:
        raise ValueError(f"The link carries a picture, but none of shape {' x '.join(map(str, shape))}.")
    return np.frombuffer(found, np.uint8).reshape(shape)


def sent(text: str, shape: tuple[int, ...]) -> Material:
    """What a link carries, as the model saw it."""
    return Material(unpacked(text, shape).transpose(1, 2, 0).astype(np.float32) / 255, ready=True)


def mark(text: str) -> int:
    """A number for a packed image, by which it can be named."""
    return zlib.crc32(text.encode())
