"""The data folder: what is in it, and what is fetched into it."""

import os
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from vaecore.datasets.catalogue import DYNAMIC, FORMS, File, Form, check_known

Folder = str | os.PathLike[str] | None


class MissingData(ValueError):
    """The files of a data set are not in the data folder."""


def data_folder(root: Folder = None) -> Path:
    """The full path of `root`, else of what the environment variable VAESCOPE_DATA names, else of the user's cache."""
    root = root or os.environ.get("VAESCOPE_DATA")
    if not root:
        import pooch

        root = pooch.os_cache("vaescope")
    return Path(root).expanduser().absolute()


def is_complete(name: str, root: Folder = None) -> bool:
    """Whether all files of one form of a set exist."""
    folder = data_folder(root) / name
    return any(not _missing(form.all_files, folder) for form in FORMS[name])


def read(name: str, part: str, root: Folder, fetch: bool) -> tuple[list[np.ndarray], str]:
    """The arrays of one published split, from files: pixels and, if there are, labels; and the note on the split."""
    folder, command = data_folder(root) / name, f"`python -m vaecore download {name}`"
    form = _chosen(name, part, folder)
    if fetch and _missing(form.files[part], folder):
        download(name, root)
        form = _chosen(name, part, folder)
    arrays = []
    for file in form.files[part]:
        path = _path(folder, file)
        if not os.path.isfile(path):
            files = ", or ".join(_wanted(form, folder) for form in FORMS[name])
            where = f"set VAESCOPE_DATA to a folder with {name}/ in it, or run {command}"
            raise MissingData(f"{name} is missing: put {files} into {folder}, {where}.")
        try:
            arrays += file.read(path)
        except ValueError as error:
            run = "run" if form.mirrors else "delete it and run"
            raise ValueError(f"{path} {error}; replace it by the published file, or {run} {command}.") from error
    return arrays, form.note


def download(name: str, root: Folder = None) -> Path:
    """Fetch the files that are missing or damaged; returns the folder that then has all of them.

    Raises ValueError if no mirror gives the published content; whatever else it gave is not kept.
    """
    name = name.removeprefix(DYNAMIC)
    check_known("data set to download", name, tuple(FORMS))
    folder = data_folder(root) / name
    if any(all(_is_good(folder, file) for file in form.all_files) for form in FORMS[name]):
        return folder
    form = next(form for form in FORMS[name] if form.mirrors)
    named: dict[str, list[File]] = {}  # a published file may hold several splits
    for file in form.all_files:
        named.setdefault(file.names[0], []).append(file)
    needed = [files for files in named.values() if not all(_is_good(folder, file) for file in files)]
    for done, files in enumerate(needed):
        if why := _failures(form.mirrors, folder, files):
            rest = _listed(file for files in needed[done:] for file in files)
            raise ValueError(f"{name} could not be downloaded ({why}): put {rest} from elsewhere into {folder}.")
    return folder


def _chosen(name: str, part: str, folder: Path) -> Form:
    """The first form that is complete; else the first with this split.

    So the splits of a complete set never come from two forms, which may divide the images otherwise.
    """
    forms = FORMS[name]
    complete = [form for form in forms if not _missing(form.all_files, folder)]
    partial = [form for form in forms if not _missing(form.files[part], folder)]
    return [*complete, *partial, *forms][0]


def _missing(files: Iterable[File], folder: Path) -> list[File]:
    return [file for file in files if not os.path.isfile(_path(folder, file))]


def _listed(files: Iterable[File]) -> str:
    return ", ".join(dict.fromkeys(file.names[0] for file in files))


def _wanted(form: Form, folder: Path) -> str:
    missing = _missing(form.all_files, folder)
    return _listed(missing) + (" (or unpacked)" if missing[0].names[0].endswith(".gz") else "")


def _path(folder: Path, file: File) -> Path:
    """Where a file is, else where it would be."""
    paths = [folder / name for name in file.names]
    return next((path for path in paths if os.path.isfile(path)), paths[0])


def _is_good(folder: Path, file: File) -> bool:
    try:
        file.read(_path(folder, file))
    except ValueError:
        return False
    return True


def _failures(mirrors: Iterable[str], folder: Path, files: list[File]) -> str:
    """Fetch a published file from the first mirror that has it; why not, if none has."""
    failures = []
    for mirror in mirrors:
        try:
            _fetch(mirror, folder, files)
            return ""
        except (OSError, ValueError) as error:  # what requests raises is an OSError, too long to quote
            failures.append(f"{mirror}: {error if type(error) is ValueError else type(error).__name__}")
    return "; ".join(failures)


def _fetch(mirror: str, folder: Path, files: list[File]) -> None:
    """Bring a published file into the folder: complete and right in all that is read from it, or not at all."""
    from pooch import HTTPDownloader

    name = files[0].names[0]
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".download-") as beside:
        fetched = Path(beside) / name
        HTTPDownloader(progressbar=True)(mirror + name, str(fetched), None)
        for file in files:
            file.read(fetched)
        os.replace(fetched, folder / name)
