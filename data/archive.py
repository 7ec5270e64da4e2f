"""The paper's data sets from the web: an archive, downloaded with resumption, one member of it extracted."""

from __future__ import annotations

import gzip
import re
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import requests
import urllib3
from tqdm import tqdm

from .dataset import DataError
from .place import appearing, check_room, size_text

# Seconds to connect, and between two arrivals of bytes: a dead server does not hang the program.
TIMEOUT = (10, 30)
_BLOCK = 1 << 20


class _Broken(Exception):
    """A download that ended early; says where."""


class _Damaged(Exception):
    """An archive that is not what it should be; says in which way."""


def fetch(url: str, path: Path) -> None:
    """Download the tar.gz archive at `url` and extract the member that is named as `path` is, to `path`.

    What arrived of an archive is kept beside `path`, and the next call goes on from there.

    Raises:
        DataError: the server, the archive or the disk does not allow it.
        OSError: the disk is full or cannot be written to.
    """
    archive = path.with_name(f"{path.stem}.tar.gz.part")
    longest = 0
    while True:
        try:
            _download(url, archive)
            break
        except _Broken as error:
            # A broken connection is taken up again at once, as long as that brings the download further.
            length = archive.stat().st_size
            if length == 0:
                archive.unlink()
                raise DataError(str(error)) from error
            if length <= longest:
                raise DataError(
                    f"{error}; {archive} keeps them, and another try goes on from there"
                ) from error
            longest = length
    try:
        with appearing(path) as part:
            _extract(archive, path.name, part)
    except _Damaged as error:
        archive.unlink()
        raise DataError(f"the archive {error}; it was removed") from error
    archive.unlink()


def _download(url: str, archive: Path) -> None:
    """Append to `archive` what it lacks."""
    have = archive.stat().st_size if archive.exists() else 0
    with _answer(url, have) as (response, begin, total):
        if response.status_code == 416:
            return
        if total is not None:
            check_room(archive.parent, total - begin, "the rest of the archive")
        with open(archive, "ab") as file, _bar(archive.name, total, begin) as bar:
            file.truncate(begin)
            try:
                for block in response.raw.stream(_BLOCK, decode_content=False):
                    file.write(block)
                    bar.update(len(block))
                broken = total is not None and file.tell() < total
            except urllib3.exceptions.HTTPError:
                broken = True
            if broken:
                announced = "" if total is None else f" of {size_text(total)} announced"
                raise _Broken(f"the connection broke off at {size_text(file.tell())}{announced}")


@contextmanager
def _answer(url: str, have: int) -> Iterator[tuple[requests.Response, int, int | None]]:
    """The server's answer, where in the archive its content begins, and the archive's length if announced.

    200: the whole archive; 206: what lies beyond the `have` bytes that are here; 416: nothing does.
    """
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        response = requests.get(url, headers=headers, stream=True, timeout=TIMEOUT)
    except requests.RequestException as error:
        raise DataError(_root(error)) from error
    with response:
        status = response.status_code
        content = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", response.headers.get("Content-Range", ""))
        begin, total = content.groups() if content else ("", "")
        if status == 200:  # As a server answers too that knows no ranges.
            length = response.headers.get("Content-Length", "")
            yield response, 0, int(length) if length.isdecimal() else None
        elif have and (status, begin) == (206, str(have)):
            yield response, have, int(total) if total.isdecimal() else None
        elif have and (status, total) == (416, str(have)):
            yield response, have, have
        elif have and status in (206, 416):  # What is here is of another archive.
            with _answer(url, 0) as anew:
                yield anew
        else:
            raise DataError(f"the server answers {status} {response.reason}")


def _root(error: BaseException) -> str:
    """What first went wrong: requests wraps it in several layers of text."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error) or type(error).__name__


def _extract(archive: Path, name: str, path: Path) -> None:
    """Write the member of that name to `path`; members of other names are passed over, whatever they are."""
    try:
        # In tar's stream mode nothing is read twice; going on to the end lets gzip check its checksum.
        with gzip.open(archive) as content:
            with tarfile.open(fileobj=content, mode="r|") as members:
                member = next((member for member in members if PurePosixPath(member.name).name == name), None)
                if member is None:
                    raise _Damaged(f"holds no {name}")
                where = PurePosixPath(member.name)
                inside = not where.is_absolute() and ".." not in where.parts
                source = members.extractfile(member) if inside and member.isreg() else None
                if source is None:
                    raise _Damaged(f"holds {member.name!r}, which is no plain file inside it")
                check_room(path.parent, member.size, name)
                with open(path, "wb") as file, _bar(name, member.size) as bar:
                    while block := source.read(_BLOCK):
                        file.write(block)
                        bar.update(len(block))
            while content.read(_BLOCK):
                pass
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError) as error:
        raise _Damaged(f"is not a whole tar.gz file ({error})") from error


def _bar(name: str, total: int | None, initial: int = 0) -> tqdm:
    return tqdm(desc=name, total=total, initial=initial, unit="B", unit_scale=True, disable=None)
