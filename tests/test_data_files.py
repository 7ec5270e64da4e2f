"""Data files: what was written comes back, old files open, and anything else is refused with one line."""

from __future__ import annotations

import base64
import os
import pickle
import tempfile
import time
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data import DataError, DataSet, files, mnist, tasks
from data.write import GemFile

# Written by PyTorch 1.0.0 on Python 3.6 and 2.7: an angle of 9.5 and a permutation; X and Y are below.
OLD_FILES = {
    "python 3.6": (
        "eNp9kstu00AUhn1LAyYtpUBpuAbKxeUSQuK0BEjSBSoLh0vMxpvICs6kNnLtHHtSCaRK2aSiiBdIxQPwMOmD8AhILDiTcVsVRR3JnvHx"
        "nO///7EH0nfV//tz40/u868P2fxAevtbxvsOCJo1LwhCLwpp6IS+vU2i2AsDEHGDNYtvfI9Sn9gk6HjtAKRvlopF+qVH7Nj7SmKQd0DR"
        "rBQWYzeMKKQMyZLxyQsozBiKpTBGGGxC2lD6fdRsoWYLRLwk7c36sjAZDg0jx83bfer5sWpH5FPf8zs2JUEcRvZ2UQVZ06w0U8Gd7U0C"
        "Cm9RN/ywTT/yogopaw73VPSyrpcKelFfqxQLMDMx5PT66CHzjsKZpiEYsqHswllDMcRdUPcczO4Th2L0WH0fdUhEOq89h6pwbsWEDIVZ"
        "E+Zc9OAe6jYw05Hs+f9kK0x23k0bMspdmMgNYcEQh3Bxz2XESxQum7BIWnBFsxawN2oHnXAr1yPRVp+2mQ9Y4nruyUz6arlc0CHr8ixX"
        "j7Jc41muc4EbFG6acMtdJKiRw8O+fXzYU7nJWd1JuMuMKzHuXc69x7n3KTwwQUsQU3OvJLkfThBDeMRyP+btTyjkTXiKngqau3SakWeJ"
        "kWIT9SdGStyIzkllCqsmrJ1m5HlipNI0RGbkBTPykre/olA1oUYISX7JaR7EaVRp2ueQST4jHI+D8bh6MG7U9kejGq5rWKrvj7L1UqlU"
        "x3q92+3WBWGA6x91WTg5pGQWk/mQy1kNxquyZ8ZiTMZmGozFmIzNNP4BEHUF2A=="
    ),
    "python 2.7": (
        "eNp1kstu00AUhuNLmmLS0gu3cA2Ui2ERpY5V6IKaBSoLhwJFs4wsY086Rq4nMx5XAqlSNqloxQuk4gF4mPAgPAISC84QE1zSWhqPPZ7/"
        "+84Zua8eGfGvr5s/6x++vak1+uqrHxrc95liooUep4IGNPb2ME8jmjD5FRniYw97afQJp0zbZ7qJtCgRrOzqqJwSygWbcVWkxzTZYRVX"
        "z9BcHAkRYw8nYeQnbPZzBoYOGDpMhaGZL5+vlP5cgaA8IA0vE1GcGh7H77MoDj2Bk5Ryb88ywGaiSgrb/B3MyuP9xmZMffFuvGiwGTS/"
        "blur9pOmtbZmN+2nrIK0oJex2SOluiXeuiVXc/UDV3eVg8MA2otxIKC71HjNQ8xx+CIKhMHOdZgx2GbnxTarEtCSv7Y2NDaRzRVk9uq6"
        "1WTzBDxa7hm4yuCQAOoCoBYAtYg7bMlES9xPQrpb72G+mwlf6tny2EKK9duWDfVfJKeVLrGXAHsZsFfIIgbyVTjO2r/jPAU4PpBrBaB6"
        "AngdgDcAeDPPTvd3q9CfOunvNuTqkLsDVdw1yfKZ6pWJWv9PfQ8Q9wHx4Ez1w4laKahNyD2C3GOMcf5jTSXVqTPVpirTcUMrnbzUfFby"
        "uZrPx8PhxvdRG8bomXxvtVrO8bDmwKMDa7D+BZ77Trfbhfe2Uy0wZUZmx4zRhszIrGTIvTIjs5LxG54o/uc="
    ),
}
X, Y = torch.arange(12).reshape(3, 4) / 10, torch.tensor([0, 2, 1])


def small_set() -> DataSet:
    return tasks.rotations(mnist.read().first(30, 10), [0.0, 36.5, 90.0])


def same(one: DataSet, other: DataSet) -> bool:
    """Whether both give the same inputs and labels, bit for bit."""
    pairs = zip(one.train + one.test, other.train + other.test, strict=True)
    return all(torch.equal(a.x(slice(None)), b.x(slice(None))) and torch.equal(a.y, b.y) for a, b in pairs)


def test_a_written_set_reads_back_bit_for_bit(tmp_path: Path) -> None:
    path, built = tmp_path / "set.pt", small_set()
    GemFile(built).write(path)
    read = files.read(path)
    assert same(built, read) and len(read) == 3 and (read.n_inputs, read.n_outputs) == (784, 10)
    assert [examples.descriptor for examples in read.train] == [0.0, 36.5, 90.0]
    assert read.note is None


def test_a_path_that_is_not_utf8(tmp_path: Path) -> None:
    path, built = tmp_path / os.fsdecode(b"donn\xe9es.pt"), small_set()
    GemFile(built).write(path)
    assert same(built, files.read(path))


def test_a_written_set_is_what_torch_save_would_write(tmp_path: Path) -> None:
    path, built = tmp_path / "set.pt", small_set()
    GemFile(built).write(path)
    content = torch.load(path)
    expected = [
        [[e.descriptor, e.x(slice(None)), e.y.clone()] for e in part] for part in (built.train, built.test)
    ]
    torch.save(expected, tmp_path / "reference.pt")
    assert abs(path.stat().st_size - (tmp_path / "reference.pt").stat().st_size) < 3000
    for task, examples in zip(content[0] + content[1], built.train + built.test, strict=True):
        assert task[0] == examples.descriptor
        assert torch.equal(task[1], examples.x(slice(None))) and torch.equal(task[2], examples.y)
    assert zipfile.ZipFile(path).testzip() is None


def test_mapped_tensors_are_aligned(tmp_path: Path) -> None:
    path = tmp_path / "set.pt"
    GemFile(small_set()).write(path)
    read = files.read(path)
    assert all(examples.images.data_ptr() % 64 == 0 for examples in read.train + read.test)


def test_writing_holds_one_task_at_a_time(tmp_path: Path) -> None:
    source = mnist.read().first(300, 10)
    file = GemFile(tasks.permutations(source, 40))
    task = 300 * 784 * 4
    assert file.n_bytes > 40 * task
    lengths: list[int] = []
    tracemalloc.start()
    try:
        file.write(tmp_path / "set.pt", lengths.append)
        assert tracemalloc.get_traced_memory()[1] < 3 * task
    finally:
        tracemalloc.stop()
    assert sum(lengths) == file.n_bytes


def test_a_loaded_set_can_be_written_again(tmp_path: Path) -> None:
    GemFile(small_set()).write(tmp_path / "one.pt")
    GemFile(files.read(tmp_path / "one.pt")).write(tmp_path / "two.pt")
    assert same(files.read(tmp_path / "two.pt"), small_set())


@pytest.mark.parametrize("python", OLD_FILES)
def test_files_of_old_pytorch_open(python: str, tmp_path: Path) -> None:
    path = tmp_path / "old.pt"
    path.write_bytes(zlib.decompress(base64.b64decode(OLD_FILES[python])))
    read = files.read(path)
    assert (len(read), read.n_inputs, read.n_outputs) == (2, 4, 3)
    assert [examples.descriptor for examples in read.train] == [9.5, "random permutation"]
    assert torch.equal(read.train[1].x(slice(None)), X.flip(1))
    assert torch.equal(read.test[1].y, Y[1:])


@pytest.mark.parametrize("zipped", [True, False])
def test_files_of_either_format_open(zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "set.pt"
    torch.save(
        [[[0, X.double(), Y.int()]], ((1, X[:1], Y[:1]),)], path, _use_new_zipfile_serialization=zipped
    )
    read = files.read(path)
    assert torch.equal(read.train[0].x([1, 2]), X[1:]) and read.train[0].x([0]).dtype == torch.float32
    assert read.train[0].y.dtype == torch.int64


def test_fingerprints_follow_the_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    GemFile(small_set()).write(tmp_path / "one.pt")
    monkeypatch.setattr(time, "time", lambda: 1e9)
    GemFile(small_set()).write(tmp_path / "two.pt")
    GemFile(tasks.permutations(mnist.read().first(30, 10), 3)).write(tmp_path / "other.pt")
    one, two, other = (files.read(tmp_path / f"{name}.pt").fingerprint for name in ("one", "two", "other"))
    assert one == two != other
    assert small_set().fingerprint == small_set().fingerprint
    assert (
        small_set().fingerprint != tasks.rotations(mnist.read().first(30, 10), [0.0, 36.5, 95.0]).fingerprint
    )


class Hostile:
    """Runs code when it is unpickled by anything but the safe unpickler."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch '{self.witness}'",)


@pytest.mark.parametrize("where", ["zip", "old", "descriptor", "plain pickle"])
def test_a_pickle_that_wants_to_run_code_is_refused(where: str, tmp_path: Path) -> None:
    path, witness = tmp_path / "set.pt", tmp_path / "witness"
    hostile = Hostile(witness)
    if where == "plain pickle":
        path.write_bytes(pickle.dumps(hostile, protocol=2))
    elif where == "descriptor":
        torch.save([[[hostile, X, Y]], [[0, X, Y]]], path)
    else:
        torch.save(hostile, path, _use_new_zipfile_serialization=where == "zip")
    refused(path, "was not written" if where == "plain pickle" else "system")
    assert not witness.exists()


def refused(path: Path, reason: str) -> None:
    with pytest.raises(DataError) as refusal:
        files.read(path)
    message = str(refusal.value)
    assert str(path) in message and reason in message and "\n" not in message


TASK = ["a task", X, Y]
FOREIGN = {
    "a dictionary": ({"x": X}, "list of two"),
    "a tensor": (X, "list of two"),
    "three parts": ([[TASK], [TASK], [TASK]], "list of two"),
    "no tasks": ([[], []], "at least one task"),
    "no test tasks": ([[TASK], []], "at least one task"),
    "fewer test tasks": ([[TASK, TASK], [TASK]], "2 training tasks but 1 test tasks"),
    "no descriptor": ([[[X, Y]], [TASK]], "training task 0 that is not [descriptor, x, y]"),
    "x shorter than y": ([[TASK], [[0, X[:2], Y]]], "test task 0 an x of 2 rows and a y of 3"),
    "y shorter than x": ([[TASK], [[0, X, Y[:2]]]], "test task 0 an x of 3 rows and a y of 2"),
    "widths": ([[TASK], [[0, X[:, :3], Y]]], "different widths: [3, 4]"),
    "no examples": ([[[0, X[:0], Y[:0]]], [TASK]], "no examples in training task 0"),
    "images": ([[[0, X[:, None], Y]], [TASK]], "float32 (3, 1, 4)"),
    "bytes": ([[[0, X.byte(), Y]], [TASK]], "uint8"),
    "numbers for x": ([[[0, 1.5, Y]], [TASK]], "as x float"),
    "arrays": ([[[0, X.numpy(), Y]], [TASK]], "numpy"),
    "sparse x": ([[[0, X.to_sparse(), Y]], [TASK]], "as x"),
    "meta x": ([[[0, X.to("meta"), Y]], [TASK]], "as x"),
    "expanded x": ([[[0, X[:1].expand(10**12, 4), Y]], [TASK]], "as x"),
    "fractions for labels": ([[[0, X, Y / 2]], [TASK]], "as y float32"),
    "labels in columns": ([[[0, X, Y[:, None]]], [TASK]], "int64 (3, 1)"),
    "negative labels": ([[[0, X, Y - 1]], [TASK]], "labels from -1 to 1"),
    "absurd labels": ([[[0, X, Y * 10**12]], [TASK]], "labels from 0 to 2000000000000"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_foreign_content_is_refused(kind: str, tmp_path: Path) -> None:
    content, reason = FOREIGN[kind]
    torch.save(content, tmp_path / "set.pt")
    refused(tmp_path / "set.pt", reason)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "set.pt"
    refused(path, "is not a file")
    path.mkdir()
    refused(path, "is not a file")
    path = tmp_path / "other.pt"
    for content in (b"", b"x", b"some text\n", b"\x1f\x8b\x08" + bytes(99), pickle.dumps([1, 2], protocol=4)):
        path.write_bytes(content)
        refused(path, "was not written by torch.save")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/readme", "words")
    refused(path, "damaged")
    np.savez(tmp_path / "array.npz", X.numpy())
    refused(tmp_path / "array.npz", "damaged")


@pytest.mark.parametrize("zipped", [True, False])
def test_truncated_files_are_refused(zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "set.pt"
    torch.save([[TASK], [TASK]], path, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    for length in {*range(0, len(content) - 1, 37), len(content) - 1}:
        path.write_bytes(content[:length])
        refused(path, str(path))


@settings(max_examples=150, deadline=None)
@given(
    st.booleans(), st.lists(st.tuples(st.integers(0, 10**6), st.binary(min_size=1, max_size=8)), max_size=6)
)
def test_damaged_files_open_or_are_refused(zipped: bool, damage: list[tuple[int, bytes]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "set.pt"
        torch.save([[TASK], [TASK]], path, _use_new_zipfile_serialization=zipped)
        content = bytearray(path.read_bytes())
        for position, replacement in damage:
            begin = position % len(content)
            content[begin : begin + len(replacement)] = replacement
        path.write_bytes(content)
        try:
            read = files.read(path)
        except DataError as refusal:
            assert "\n" not in str(refusal)
        else:
            assert all(
                examples.x(slice(None)).shape == (len(examples), read.n_inputs) for examples in read.train
            )
