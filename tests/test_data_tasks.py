"""MNIST as it stands in the repository, and the tasks made of it."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import data
from data import DataError, Examples, make_mnist, mnist, tasks

# Of the images, labels and maps of each data set; a change means that results no longer compare.
FINGERPRINTS = {
    "mnist_rotations.pt": "0b5efdf78f4ddd67a18c41f9a28c469fdec68d32c86ac5c3a4a75cb069322eda",
    "mnist_permutations.pt": "d32445a1d3905c1de8647c89113c64005cae73e7dfad28471066c0c26ae81aa3",
    "mnist_manypermutations.pt": "9532c26b808cfaf1cf363163b125f17d29aefdd9270cd3c766eea6e98b64ab3e",
}
N_TASKS = {"mnist_rotations.pt": 20, "mnist_permutations.pt": 20, "mnist_manypermutations.pt": 100}


def test_the_repository_holds_mnist() -> None:
    assert mnist.FILE.stat().st_size <= 12e6
    images, labels, test_images, test_labels = mnist.read()
    assert images.shape == (60000, 784) and test_images.shape == (10000, 784)
    assert images.dtype == torch.uint8 and labels.dtype == torch.int64
    assert labels[:5].tolist() == [5, 0, 4, 1, 9] and test_labels[:5].tolist() == [7, 2, 1, 0, 4]


@pytest.mark.parametrize("damage", ["missing", "truncated", "flipped", "foreign"])
def test_damaged_mnist_is_noticed(damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mnist.npz"
    content = bytearray(mnist.FILE.read_bytes())
    if damage == "truncated":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        content[5_000_000] ^= 1
        file.write_bytes(content)
    elif damage == "foreign":
        nothing = np.zeros(10, np.uint8)
        np.savez_compressed(file, x_train=nothing, y_train=nothing, x_test=nothing, y_test=nothing)
    monkeypatch.setattr(mnist, "FILE", file)
    with pytest.raises(DataError, match="restore it") as refusal:
        mnist.read.__wrapped__()
    assert "\n" not in str(refusal.value)


def packed(file: Path) -> list[tuple[str, int, int]]:
    """Each array's name, checksum and packed size: headers around them differ between versions of Python."""
    with zipfile.ZipFile(file) as archive:
        return [(entry.filename, entry.CRC, entry.compress_size) for entry in archive.infolist()]


def test_mnist_can_be_made_again(tmp_path: Path) -> None:
    if "ng" in zlib.ZLIB_RUNTIME_VERSION:
        pytest.skip("zlib-ng packs the same arrays into other bytes")
    with np.load(mnist.FILE) as archive:
        for key, idx in mnist.FILES.items():
            (tmp_path / idx.name).write_bytes(idx.header + archive[key].tobytes())
    made = tmp_path / "mnist.npz"
    make_mnist.make(tmp_path, made)
    assert packed(made) == packed(mnist.FILE)


def test_mnist_is_made_of_its_own_files_only(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        make_mnist.make(tmp_path, tmp_path / "mnist.npz")
    for idx in mnist.FILES.values():
        (tmp_path / idx.name).write_bytes(idx.header)
    with pytest.raises(DataError, match="is not MNIST's"):
        make_mnist.make(tmp_path, tmp_path / "mnist.npz")
    assert not (tmp_path / "mnist.npz").exists()


@pytest.mark.parametrize("arguments", [[], ["nowhere"]])
def test_what_is_wrong_with_its_folder_is_one_line(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "data.make_mnist", *arguments]
    done = subprocess.run(command, cwd=mnist.FILE.parent.parent, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def generator_states() -> tuple[list[int], str, object]:
    return torch.get_rng_state().tolist(), repr(np.random.get_state(legacy=False)), random.getstate()


@pytest.mark.parametrize("name", FINGERPRINTS)
def test_built_data_sets_are_always_the_same(name: str, tmp_path: Path) -> None:
    mnist.read.cache_clear()
    torch.manual_seed(7)
    np.random.seed(7)
    random.seed(7)
    states = generator_states()
    start = time.process_time()
    built = data.load(str(tmp_path), name)
    assert time.process_time() - start < 5
    assert generator_states() == states
    assert built.fingerprint == FINGERPRINTS[name]
    assert (len(built), built.n_inputs, built.n_outputs) == (N_TASKS[name], 784, 10)
    assert all(len(examples) == 60000 for examples in built.train)
    assert all(len(examples) == 10000 for examples in built.test)
    assert f"{tmp_path / name} is not there: built" in str(built.note)


def test_tasks_share_the_images() -> None:
    built = tasks.BUILDERS["mnist_manypermutations.pt"]()
    assert len({examples.images.data_ptr() for examples in built.train}) == 1
    assert len({examples.y.data_ptr() for examples in built.train}) == 1


def test_angles_lie_in_their_tasks_share() -> None:
    built = tasks.BUILDERS["mnist_rotations.pt"]()
    angles = [examples.descriptor for examples in built.train]
    assert angles == tasks.drawn_angles()
    assert all(9 * t <= angle < 9 * t + 9 for t, angle in enumerate(tasks.drawn_angles()))
    assert [examples.descriptor for examples in built.test] == angles


def test_a_rotation_is_pillows() -> None:
    draw = np.random.default_rng(1)
    for angle in [0, 36, 90, 180, 270, -90, 359.99, 1e-9, *draw.uniform(-400, 400, 100)]:
        side = int(draw.integers(1, 40))
        image = draw.integers(0, 256, (side, side), dtype=np.uint8)
        turned = np.array(Image.fromarray(image).rotate(angle))
        pixel_map = tasks.rotation_map(angle, side)
        examples = Examples(torch.from_numpy(image).reshape(1, -1), torch.zeros(1).long(), pixel_map)
        assert torch.equal(examples.x([0])[0], torch.from_numpy(turned).flatten().float() / 255)


def test_permutations_follow_gems_rule() -> None:
    source = mnist.read().first(300, 100)
    built = tasks.permutations(source, 5)
    torch.manual_seed(0)
    for train, test in zip(built.train, built.test, strict=True):
        p = torch.randperm(784)
        assert torch.equal(train.x(slice(None)), (source.train_images.float() / 255)[:, p])
        assert torch.equal(test.x(slice(None)), (source.test_images.float() / 255)[:, p])
        assert torch.equal(train.y, source.train_labels) and torch.equal(test.y, source.test_labels)


@pytest.mark.parametrize("mapped", [True, False])
def test_x_takes_rows_in_every_form(mapped: bool) -> None:
    images = torch.arange(60, dtype=torch.uint8).reshape(6, 10)
    pixel_map = torch.tensor([3, -1, 0, 9]) if mapped else None
    examples = Examples(images, torch.arange(6), pixel_map)
    whole = images.float() / 255
    if mapped:
        whole = whole[:, [3, 3, 0, 9]]
        whole[:, 1] = 0
    for rows in (slice(None), slice(1, 2), [4], [5, 0, 5], torch.tensor([2]), torch.tensor([3, 1])):
        x = examples.x(rows)
        assert x.dtype == torch.float32 and x.is_contiguous() and torch.equal(x, whole[rows])
    with pytest.raises(IndexError):
        examples.x([6])


def test_x_of_a_slice_is_no_view() -> None:
    examples = Examples(torch.ones(3, 2), torch.arange(3))
    examples.x(slice(None)).zero_()
    assert torch.equal(examples.x([0, 1, 2]), torch.ones(3, 2))


def test_an_unknown_data_set_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(DataError) as refusal:
        data.load(str(tmp_path), "mnist_rotation.pt")
    message = str(refusal.value)
    assert "did you mean mnist_rotations.pt" in message and "\n" not in message
    assert all(name in message for name in FINGERPRINTS)
    with pytest.raises(DataError, match="did you mean") as refusal:
        data.load(str(tmp_path / "nowhere"), "manypermutations.pt")
    for name in ("cifar.pt", "x" * 5000, "a\0b"):
        with pytest.raises(DataError, match="is not there"):
            data.load(str(tmp_path), name)


def test_a_file_comes_before_a_built_set(tmp_path: Path) -> None:
    shutil.copy(mnist.FILE, tmp_path / "mnist_rotations.pt")
    with pytest.raises(DataError, match="damaged"):
        data.load(str(tmp_path), "mnist_rotations.pt")
