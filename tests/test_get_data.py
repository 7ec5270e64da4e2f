"""get_data.py against a real HTTP server on loopback that can do wrong whatever a server can do wrong."""

from __future__ import annotations

import io
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

import get_data
from data import archive, files, mnist, tasks

NAME = "mnist_rotations.pt"
# Incompressible, so that half an archive holds half of it.
CONTENT = os.urandom(300_000)


def packed(*members: tuple[str, bytes] | tarfile.TarInfo) -> bytes:
    """A tar.gz archive of files given by name and content, and of members made by hand."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                tar.addfile(info, io.BytesIO(member[1]))
    return buffer.getvalue()


class Server(ThreadingHTTPServer):
    """Serves `body` as the rotations' archive, 404 for anything else; its attributes make it misbehave."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body = packed(("readme.txt", b"words"), (f"some/folder/{NAME}", CONTENT))
        self.asked: list[str | None] = []  # the Range of each request
        self.ranges = True  # answer them
        self.shift = 0  # by how many bytes a range answered is not the one asked for
        self.cut: list[int] = []  # after how many bytes to break off each of the first answers
        self.excess = 0  # how many more bytes to announce than there are
        self.announce = True  # the length
        self.delay = 0.0  # seconds before an answer
        self.url = f"http://127.0.0.1:{self.server_address[1]}/mer"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        server.asked.append(self.headers["Range"])
        time.sleep(server.delay)
        if self.path != "/mer/mnist_rotations.tar.gz":
            self.send_error(404)
            return
        begin = 0
        total = len(server.body) + server.excess
        if server.ranges and self.headers["Range"]:
            begin = int(re.sub(r"bytes=(\d+)-", r"\1", self.headers["Range"])) + server.shift
            if begin >= len(server.body):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{total}")
                self.end_headers()
                self.wfile.write(b"beyond the end")
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{total - 1}/{total}")
        else:
            self.send_response(200)
        if server.announce:
            self.send_header("Content-Length", str(total - begin))
        self.end_headers()
        body = server.body[begin:]
        self.wfile.write(body[: server.cut.pop(0)] if server.cut else body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Build data sets of thirty images; ask the server on loopback itself, whatever proxies are set."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for name in tasks.PAPERS:
        monkeypatch.setitem(
            tasks.BUILDERS, name, lambda: tasks.rotations(mnist.read().first(30, 10), [0.0, 45.0])
        )


def run(server: Server, folder: Path, *options: str, data_set: str = "rotations") -> int:
    return get_data.main([data_set, "--url", server.url, "--data_path", str(folder), *options])


def only(folder: Path, *names: str) -> bool:
    return sorted(path.name for path in folder.iterdir()) == sorted(names)


PART = "mnist_rotations.tar.gz.part"


def test_whole(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(server, tmp_path / "new" / "data") == 0
    assert (tmp_path / "new" / "data" / NAME).read_bytes() == CONTENT
    assert only(tmp_path / "new" / "data", NAME)
    assert "the paper's, from http://127.0.0.1" in capsys.readouterr().out


def test_length_unknown(server: Server, tmp_path: Path) -> None:
    server.announce = False
    assert run(server, tmp_path) == 0
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_cut_off_and_resumed_at_once(server: Server, tmp_path: Path) -> None:
    half = len(server.body) // 2
    server.cut = [half, 1000]
    assert run(server, tmp_path, "--source", "paper") == 0
    assert server.asked == [None, f"bytes={half}-", f"bytes={half + 1000}-"]
    assert (tmp_path / NAME).read_bytes() == CONTENT and only(tmp_path, NAME)


def test_cut_off_and_resumed_by_the_next_call(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    half = len(server.body) // 2
    server.cut = [half, 0]
    assert run(server, tmp_path, "--source", "paper") == 2
    assert "broke off" in capsys.readouterr().err and only(tmp_path, PART)
    assert run(server, tmp_path, "--source", "paper") == 0
    assert server.asked == [None, f"bytes={half}-", f"bytes={half}-"]
    assert (tmp_path / NAME).read_bytes() == CONTENT and only(tmp_path, NAME)


def test_cut_off_by_a_server_without_ranges(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    server.cut = [len(server.body) // 2]
    assert run(server, tmp_path, "--source", "paper") == 0
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_cut_off_again_and_again(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    server.cut = [1000] * 100
    assert run(server, tmp_path, "--source", "paper") == 2
    assert len(server.asked) == 2 and only(tmp_path, PART)


def test_cut_off_at_once(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server.cut = [0]
    assert run(server, tmp_path, "--source", "paper") == 2
    assert "broke off at 0 bytes of 30" in capsys.readouterr().err and only(tmp_path)


def test_nothing_is_asked_twice_of_a_whole_download(server: Server, tmp_path: Path) -> None:
    (tmp_path / PART).write_bytes(server.body)
    assert run(server, tmp_path, "--source", "paper") == 0
    assert server.asked == [f"bytes={len(server.body)}-"]
    assert (tmp_path / NAME).read_bytes() == CONTENT and only(tmp_path, NAME)


@pytest.mark.parametrize("shift", [0, -1, 1])
def test_a_part_that_cannot_be_continued_is_dropped(shift: int, server: Server, tmp_path: Path) -> None:
    server.shift = shift
    (tmp_path / PART).write_bytes(b"x" * (len(server.body) + 5 if shift == 0 else 1000))
    assert run(server, tmp_path, "--source", "paper") == 0
    assert (tmp_path / NAME).read_bytes() == CONTENT and len(server.asked) == 2


def test_a_part_of_another_archive_is_noticed(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / PART).write_bytes(packed((NAME, bytes(reversed(CONTENT))))[:100_000])
    assert run(server, tmp_path, "--source", "paper") == 2
    assert "not a whole tar.gz" in capsys.readouterr().err and only(tmp_path)
    assert run(server, tmp_path, "--source", "paper") == 0


def test_404(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(server, tmp_path, "--source", "paper", data_set="permutations") == 2
    error = capsys.readouterr().err
    assert "mnist_permutations.tar.gz cannot be had: the server answers 404 Not Found" in error
    assert error.count("\n") == 1 and only(tmp_path)


def test_404_and_built_instead(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(server, tmp_path, data_set="all") == 0
    assert only(tmp_path, *tasks.PAPERS)
    assert (tmp_path / NAME).read_bytes() == CONTENT
    built = files.read(tmp_path / "mnist_permutations.pt")
    assert torch.equal(built.train[1].x(slice(None)), tasks.BUILDERS[NAME]().train[1].x(slice(None)))
    output = capsys.readouterr()
    assert (
        output.err.count("answers 404 Not Found") == 2
        and "building mnist_permutations.pt from MNIST instead" in output.err
    )
    assert "mnist_manypermutations.pt: built from MNIST" in output.out


def test_more_announced_than_sent(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server.excess = 1_000_000
    assert run(server, tmp_path, "--source", "paper") == 2
    error = capsys.readouterr().err
    assert "broke off at 300 kB of 1.3 MB announced" in error and error.count("\n") == 1
    assert only(tmp_path, PART)


def test_less_announced_than_sent(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server.excess = -1000
    assert run(server, tmp_path, "--source", "paper") == 2
    assert "not a whole tar.gz" in capsys.readouterr().err
    assert only(tmp_path)


def link(name: str, target: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    "member",
    [
        (f"../{NAME}", b"evil"),
        (f"folder/../../{NAME}", b"evil"),
        (f"/{NAME}", b"evil"),
        link(NAME, "../outside", tarfile.SYMTYPE),
        link(NAME, "/etc/hostname", tarfile.LNKTYPE),
        link(NAME, "", tarfile.FIFOTYPE),
        link(NAME, "", tarfile.DIRTYPE),
    ],
    ids=["parent", "hidden parent", "absolute", "symbolic link", "hard link", "fifo", "folder"],
)
def test_a_member_that_leads_outside_is_refused(
    member: tuple[str, bytes] | tarfile.TarInfo,
    server: Server,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server.body = packed(member)
    assert run(server, tmp_path / "data", "--source", "paper") == 2
    assert "which is no plain file inside it" in capsys.readouterr().err
    assert only(tmp_path, "data") and only(tmp_path / "data")


def test_other_members_are_left_alone(server: Server, tmp_path: Path) -> None:
    server.body = packed(
        ("../evil", b"evil"), link("link", "..", tarfile.SYMTYPE), ("link/evil", b"evil"), (NAME, CONTENT)
    )
    assert run(server, tmp_path / "data", "--source", "paper") == 0
    assert only(tmp_path, "data") and only(tmp_path / "data", NAME)


def test_archives_that_are_none(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = packed((NAME, CONTENT))
    wrong_checksum = whole[:-8] + bytes(4) + whole[-4:]
    for body in (
        b"<html>please log in</html>",
        b"",
        wrong_checksum,
        whole[:1000],
        packed(("other.pt", b"x")),
    ):
        server.body = body
        assert run(server, tmp_path, "--source", "paper") == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and "removed" in error
        assert only(tmp_path)


@pytest.mark.parametrize(
    "free, what", [(10_000, "rest of the archive"), (64 * 2**20 + 350_000, NAME)], ids=["archive", "file"]
)
def test_no_room(
    free: int,
    what: str,
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # The file is announced by the archive's own header as a megabyte of zeros, which pack to nothing.
    server.body = packed((NAME, bytes(1_000_000)))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(2 * free, free, free))
    assert run(server, tmp_path, "--source", "paper") == 2
    error = capsys.readouterr().err
    assert f"{what} takes" in error and "free" in error and error.count("\n") == 1
    assert not (tmp_path / NAME).exists() and not (tmp_path / f"{NAME}.part").exists()


def test_no_room_to_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 9, 0))
    assert get_data.main(["rotations", "--source", "build", "--data_path", str(tmp_path)]) == 2
    assert f"{NAME} takes 251 kB but {tmp_path} has 0 bytes free" in capsys.readouterr().err
    assert only(tmp_path)


@pytest.mark.parametrize("source", ["paper", "build"])
def test_a_disk_that_fills_up_meanwhile(source: str, server: Server, tmp_path: Path) -> None:
    """A limit on the length of files stands in for the disk: writing fails half-way, as on a full one."""
    program = (
        "import resource, sys, get_data; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000));"
        "sys.exit(get_data.main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", program, "rotations", "--source", source, "--url", server.url]
    done = subprocess.run([*command, "--data_path", tmp_path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "File too large" in done.stderr
    assert only(tmp_path, *([PART] if source == "paper" else []))


def test_what_is_there_stays(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / NAME).write_bytes(b"mine")
    assert run(server, tmp_path) == 0
    assert "is there already" in capsys.readouterr().out
    assert (tmp_path / NAME).read_bytes() == b"mine" and not server.asked
    assert run(server, tmp_path, "--force", "--source", "paper") == 0
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert run(server, tmp_path, "--force", "--source", "build") == 0
    assert len(files.read(tmp_path / NAME)) == 2


def test_what_is_there_survives_a_failure(server: Server, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"mine")
    server.body = b"nothing"
    assert run(server, tmp_path, "--force", "--source", "paper") == 2
    assert (tmp_path / NAME).read_bytes() == b"mine"


def test_what_a_killed_process_left_is_replaced(server: Server, tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.part").write_bytes(b"half")
    (tmp_path / f"{NAME}.lock").touch()
    assert run(server, tmp_path, "--source", "paper") == 0
    assert (tmp_path / NAME).read_bytes() == CONTENT and only(tmp_path, NAME)


def test_no_server(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        server.url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        assert run(server, tmp_path, "--source", "paper") == 2
    error = capsys.readouterr().err
    assert "Connection refused" in error and error.count("\n") == 1


@pytest.mark.parametrize("silent_from", ["the start", "the middle"])
def test_a_server_that_falls_silent(
    silent_from: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "TIMEOUT", (1, 0.2))
    if silent_from == "the start":
        server.delay = 0.6
    else:
        server.excess = 1000
        monkeypatch.setattr(Handler, "finish", lambda self: time.sleep(0.6))
    start = time.perf_counter()
    assert run(server, tmp_path, "--source", "paper") == 2
    assert time.perf_counter() - start < 5


def test_two_at_once(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server.delay = 0.3
    threads = [threading.Thread(target=run, args=(server, tmp_path, "--source", "paper")) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.asked) == 1 and only(tmp_path, NAME)
    assert (tmp_path / NAME).read_bytes() == CONTENT
    output = capsys.readouterr().out
    assert 1 <= output.count("waiting for it") <= 2 and output.count("is there already") == 2


def test_interrupted(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(get_data.GemFile, "write", interrupted)
    assert run(server, tmp_path, "--source", "build") == 130
    assert "interrupted" in capsys.readouterr().err and only(tmp_path)


@pytest.mark.parametrize("where", ["a file", "below a file"])
def test_no_folder(where: str, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert run(server, tmp_path / "file" if where == "a file" else tmp_path / "file" / "data") == 2
    error = capsys.readouterr().err
    assert str(tmp_path / "file") in error and error.count("\n") == 1


@pytest.mark.parametrize(
    "options", [["mnist"], ["all", "--url", "nlp.stanford.edu"], ["all", "--source", "web"], []]
)
def test_wrong_options(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        get_data.main(options)
    said = capsys.readouterr()
    assert stop.value.code == 2 and not said.out
    assert said.err.startswith("get_data.py: ") and said.err.count("\n") == 1
