"""A results folder shared by several sweeps."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from sweeping import command, write_data

import main
from metrics import ResultError
from metrics.identity import ROOT
from suite.folder import Folder, run_of

HOLDER = """
import sys, time
from suite.folder import Folder
folder = Folder(sys.argv[1])
assert folder.claim("run")
print("claimed", flush=True)
time.sleep(600)
"""


def test_a_claim_holds_until_it_is_released(tmp_path: Path) -> None:
    one, other = Folder(str(tmp_path)), Folder(str(tmp_path))
    claim = one.claim("run")
    assert claim is not None
    assert claim.file.read_text() == claim.token
    assert other.claim("run") is None
    assert one.claim("run") is None
    assert other.claim("another") is not None
    claim.release()
    assert not claim.file.exists()
    assert other.claim("run") is not None
    other.close()
    assert list((tmp_path / ".claims").iterdir()) == []
    assert one.claim("run") is not None


def test_a_claim_that_was_given_back_takes_no_other_with_it(tmp_path: Path) -> None:
    """One sweep's run failed, another sweep has it now, and the first one ends."""
    one, other, third = (Folder(str(tmp_path)) for _ in range(3))
    failed = one.claim("run")
    assert failed is not None
    failed.release()
    claim = other.claim("run")
    assert claim is not None
    one.close()
    assert claim.file.read_text() == claim.token
    assert third.claim("run") is None


def test_a_claim_dies_with_its_process(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as holder:
        try:
            assert holder.stdout.readline() == "claimed\n"
            assert folder.claim("run") is None
        finally:
            holder.kill()
    assert (tmp_path / ".claims" / "run").exists()
    assert folder.claim("run") is not None


def test_results_are_known_by_their_runs_and_other_files_are_passed_over(tmp_path: Path) -> None:
    write_data(tmp_path)
    folder = Folder(str(tmp_path / "results"))
    assert main.run(command(tmp_path).split()[2:]) == 0
    [file] = (tmp_path / "results").glob("*.pt")
    content = file.read_bytes()
    identity = run_of(file)
    assert run_of(io.BytesIO(content)) == identity
    for name, foreign in {
        "cut.pt": content[: len(content) // 2],
        "empty.pt": b"",
        "text.pt": b"not a result",
        "pickle.pt": b"cos\nsystem\n(S'touch /tmp/x'\ntR.",
    }.items():
        (file.parent / name).write_bytes(foreign)
    (file.parent / "folder.pt").mkdir()
    torch.save({"a": 1}, file.parent / "dictionary.pt")
    torch.save([0, 0, 0, 0, 0, {"no": "run"}], file.parent / "older.pt")
    assert not folder.holds(identity)
    folder.look()
    assert folder.holds(identity)
    assert folder._held == {identity}


def test_a_result_that_cannot_be_read_for_a_while_is_found_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_data(tmp_path)
    assert main.run(command(tmp_path).split()[2:]) == 0
    folder = Folder(str(tmp_path / "results"))

    def stale(*_: object, **__: object) -> object:
        raise OSError(errno.ESTALE, "Stale file handle")

    with monkeypatch.context() as patch:
        patch.setattr("suite.folder.opened", stale)
        folder.look()
    assert folder._held == set()
    folder.look()
    assert len(folder._held) == 1


def test_storing_is_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Folder(str(tmp_path))
    files = {"a.pt": b"weights", "a.txt": b"figures"}
    folder.store(files)
    assert {file.name: file.read_bytes() for file in tmp_path.glob("a.*")} == files

    def full(part: Path, content: bytes) -> None:
        with open(part, "wb") as file:
            file.write(content[:3])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        folder.store({"b.pt": b"weights", "b.txt": b"figures"})
    assert {path.name for path in tmp_path.iterdir()} == {"a.pt", "a.txt"}


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultError, match="cannot write there"):
        Folder(str(tmp_path / "file" / "results"))


def test_the_text_file_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = []
    real = os.replace

    def noting(part: Path, whole: Path) -> None:
        assert {path.suffix for path in tmp_path.iterdir()} == ({".part"} if not order else {".part", ".txt"})
        order.append(whole.suffix)
        real(part, whole)

    monkeypatch.setattr(os, "replace", noting)
    Folder(str(tmp_path)).store({"a.pt": b"", "a.txt": b""})
    assert order == [".txt", ".pt"]


def test_a_text_file_without_its_other_half_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.replace

    def full(part: Path, whole: Path) -> None:
        if whole.suffix == ".pt":
            raise OSError(errno.ENOSPC, "No space left on device")
        real(part, whole)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        Folder(str(tmp_path)).store({"a.pt": b"", "a.txt": b""})
    assert list(tmp_path.iterdir()) == []
