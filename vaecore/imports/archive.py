"""Unpack a zip that may be hostile, in memory.

A zip's list of contents alone can be made to fill the memory, so its place and size are read before `zipfile` sees it.
"""

import io
import re
import struct
import zipfile
import zlib
from stat import S_ISLNK

from vaecore.safefiles import BadFile
from vaecore.text import counted

LARGEST_UPLOAD = 64 << 20
LARGEST_UNPACKED = 128 << 20
MOST_COPIES = 5  # packed, unpacked, as tensors, in the VAE, and as they are written
MOST_ENTRIES, LONGEST_LIST, LONGEST_NAME = 64, 64 << 10, 200
END, END_SIZE, LOCATOR, ENCRYPTED = b"PK\x05\x06", 22, b"PK\x06\x07", 0x1
WAYS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}  # others need memory of their own
LITTER = ("__MACOSX/", ".DS_Store", "Thumbs.db", ".gitattributes", "desktop.ini")


def unpacked(content: bytes) -> dict[str, bytes]:
    """The files of a zip by their bare names, a folder around them all taken off; BadFile if anything is odd."""
    must_be_small_zip(content)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            must_be_no_pickle(archive.namelist())
            wanted = [info for info in archive.infolist() if not (info.filename.endswith("/") or is_litter(info))]
            entries = {bare(info): info for info in wanted}
            must_fit(wanted)
            if len(entries) < len(wanted):
                raise BadFile("Two files of the zip have the same name.")
            return {name: read(archive, info) for name, info in entries.items()}
    except BadFile:
        raise
    # zipfile raises any of these for archives that contradict themselves: a seek to before the start, a name no text.
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError, ValueError) as error:
        raise BadFile(f"The zip is damaged: {str(error)[:120]}.") from None


def must_be_small_zip(content: bytes) -> None:
    if len(content) > LARGEST_UPLOAD:
        raise BadFile(f"The zip has {counted(len(content), 'byte')}; at most {LARGEST_UPLOAD:,} are taken.")
    at = len(content) - END_SIZE
    if at < 0 or content[at : at + 4] != END:
        raise BadFile("This is no zip file, or one that is cut off or has a comment at its end.")
    if content[max(0, at - 20) :].startswith(LOCATOR):
        # torch.save writes this form, however small: its list of names lies before the end.
        must_be_no_pickle(re.findall(r"[\w-]+/data\.pkl", content[-LONGEST_LIST:].decode("latin-1")))
        raise BadFile("The zip is in the form for huge archives (zip64), which no checkpoint needs.")
    entries, listed = struct.unpack("<HI", content[at + 10 : at + 16])
    if entries > MOST_ENTRIES or listed > LONGEST_LIST:
        files = f"{counted(entries, 'file')} in {counted(listed, 'byte')}"
        raise BadFile(f"The zip lists {files}; at most {MOST_ENTRIES} are taken.")


def must_be_no_pickle(names: list[str]) -> None:
    """BadFile for what `torch.save` writes: a folder in a zip with a pickle in it."""
    if any(name.count("/") == 1 and name.endswith("/data.pkl") for name in names):
        raise BadFile(
            "This is a PyTorch file (.pt, .pth or .ckpt): a pickle in a zip. A pickle can run any program, so it is "
            "not opened. Export encoder and decoder to ONNX, or build the VAE with vaecore and zip the folder that "
            "vaecore.save writes."
        )


def is_litter(info: zipfile.ZipInfo) -> bool:
    """What an operating system or git leaves behind."""
    return info.filename.startswith(LITTER) or info.filename.rpartition("/")[2] in LITTER


def bare(info: zipfile.ZipInfo) -> str:
    """The entry's name within its folder; BadFile where it leads elsewhere."""
    name, parts = info.filename, info.filename.split("/")
    shown = repr(name[:80])
    if len(name) > LONGEST_NAME or not name.isprintable() or "\\" in name or ":" in name:
        raise BadFile(f"The zip holds a file with an odd name: {shown}.")
    if name.startswith("/") or any(part in ("", ".", "..") for part in parts):
        raise BadFile(f"The zip holds {shown}, a path that leads out of its folder.")
    if len(parts) > 2:
        raise BadFile(f"The zip holds {shown}; a checkpoint is one folder without others in it.")
    if S_ISLNK(info.external_attr >> 16):
        raise BadFile(f"The zip holds {shown}, which is a link to another file.")
    return parts[-1]


def must_fit(entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > MOST_ENTRIES:
        raise BadFile(f"The zip holds {counted(len(entries), 'file')}; at most {MOST_ENTRIES} are taken.")
    if len({info.filename.rpartition("/")[0] for info in entries}) > 1:
        raise BadFile("The zip holds more than one folder; a checkpoint is one.")
    if (size := sum(info.file_size for info in entries)) > LARGEST_UNPACKED:
        raise BadFile(f"The zip would unpack to {counted(size, 'byte')}; at most {LARGEST_UNPACKED:,} are taken.")
    for info in entries:
        if info.flag_bits & ENCRYPTED:
            raise BadFile("The zip is encrypted.")
        if info.compress_type not in WAYS:
            raise BadFile("The zip is packed in an unusual way; only stored and deflated files are read.")


def read(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    with archive.open(info) as opened:
        content = opened.read(info.file_size + 1)
    if len(content) != info.file_size:
        raise BadFile("The zip is damaged: a file has another size than its list says.")
    return content
