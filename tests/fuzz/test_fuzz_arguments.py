"""Any command line of main.py ends in two result files or in one line."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from fuzzing import Worker, case_folder, cases, files, judged
from hostile import WORDS
from hypothesis import given
from hypothesis import strategies as st

from model.options import LEARNERS, literal

YES_NO = st.sampled_from(("yes", "no"))
RATES = st.sampled_from(("0.1", "0.01", "1", "3e-5", "1e10", "1e38"))
FEW = st.integers(1, 4).map(str)
NEEDED = {
    "--model": st.sampled_from(LEARNERS),
    "--data_file": st.sampled_from(("tiny.pt", "tiny.pt", "one.pt", "small_rotations.pt")),
    "--n_hiddens": st.integers(5, 9).map(str),
    "--n_memories": FEW,
    "--engine": st.sampled_from(("auto", "torch", "native")),
    "--threads": st.sampled_from(("1", "1", "2")),
}
"""Options that a run of every learner may have, and fit values of them."""
OPTIONAL = {
    "--n_layers": FEW,
    "--finetune": YES_NO,
    "--n_epochs": FEW,
    "--batch_size": FEW,
    "--lr": RATES,
    "--memory_strength": RATES,
    "--memories": FEW,
    "--gamma": RATES,
    "--batches_per_example": FEW,
    "--s": RATES,
    "--replay_batch_size": FEW,
    "--beta": RATES,
    "--seed": st.integers(0, 2**32 - 1).map(str),
    "--log_every": FEW,
    "--save_path": st.sampled_from(("results", "deep/er/results", "{case}/results")),
    "--data_path": st.sampled_from(("data", "{case}/data", "data/../data/")),
    "--samples_per_task": st.sampled_from(("1", "3", "4", "100", "-1", "0")),
    "--shuffle_tasks": YES_NO,
    "--replay_draws": st.sampled_from(("shuffle", "uniform")),
    "--checkpoint_every": st.sampled_from(("0", "1", "5", "1000")),
    "--resume": YES_NO,
}
PLACES = st.sampled_from(
    (
        "{case}/data/tiny.pt",
        "{case}/data/tiny.pt/below",
        "/proc/nowhere",
        "/dev/null",
        "{case}/new/" + "x" * 300,
    )
    + (
        "{case}/é\U0001f4a5",
        "{case}/a\nb",
        "{case}/\udcff",
        "{case}/nul\x00",
        "{case}/new/deep/../../new",
        "x" * 5000,
    )
    + (
        "/".join("x" * 200 for _ in range(30)),
        "~",
        ".",
        "/sys",
        "{case}/loop",
        "{case}/fifo",
        "{case}/results ",
    )
)
NAMES = st.sampled_from(
    (
        "gone.pt",
        "",
        ".",
        "..",
        "folder.pt",
        "loop",
        "fifo",
        "/dev/null",
        "/dev/zero",
        "/proc/self/mem",
        "é.pt",
    )
    + (
        "a\nb.pt",
        "\udcff.pt",
        "nul\x00.pt",
        "long" + "x" * 230 + ".pt",
        "x" * 5000,
        "../data/tiny.pt",
        "small_rotation.pt",
    )
    + ("empty.pt", "text.pt")
)
SPOILT = {"--data_path": PLACES, "--save_path": PLACES, "--data_file": NAMES}
OPTIONS = sorted({*NEEDED, *OPTIONAL, "--cuda"})
STRAY = st.one_of(
    WORDS, st.sampled_from((*OPTIONS, "--cud", "--n-hiddens", "--momentum", "--lr=", "--help", "--model=gem"))
)


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """Options that make a small run, up to three of them spoilt."""
    chosen = draw(st.fixed_dictionaries(NEEDED, optional=OPTIONAL))
    argv = [word for pair in chosen.items() for word in pair]
    for _ in range(draw(st.sampled_from((0, 0, 0, 1, 1, 1, 2, 3)))):
        option = draw(st.sampled_from(OPTIONS))
        spoilt = draw(SPOILT.get(option, WORDS) | WORDS)
        match draw(st.sampled_from(("value", "value", "value", "glued", "bare", "stray"))):
            case "value":
                argv += [option, spoilt]
            case "glued":
                argv.append(f"{option}={spoilt}")
            case "bare":
                argv.insert(draw(st.integers(0, len(argv))), option)
            case "stray":
                argv.insert(draw(st.integers(0, len(argv))), draw(STRAY))
    return argv


def prepare(folder: Path) -> None:
    """Data sets of one and two tasks, under the default name too, and what is no data set."""
    data = folder / "data"
    data.mkdir(parents=True)
    x = torch.linspace(0, 1, 24).reshape(6, 4)
    y = torch.arange(6) % 3
    for name, n_tasks in (
        ("tiny", 2),
        ("one", 1),
        ("mnist_permutations", 2),
        ("a\nb", 2),
        ("long" + "x" * 230, 1),
    ):
        torch.save([[[t, x, y] for t in range(n_tasks)]] * 2, data / f"{name}.pt")
    (data / "\udcff.pt").write_bytes((data / "tiny.pt").read_bytes())
    (data / "folder.pt").mkdir()
    (data / "empty.pt").touch()
    (data / "text.pt").write_text("no tensors\n")
    for place in (folder, data):
        (place / "loop").symlink_to("loop")
        fifo = place / "fifo"
        os.mkfifo(fifo)
    (data / "é.pt").symlink_to("nowhere")


@cases(0.32)
@given(argv=command_lines())
def test_arguments(argv: list[str], worker: Worker) -> None:
    # Two levels down, so that results in ../.. are found too.
    with case_folder(lambda outer: prepare(outer / "two" / "down")) as outer:
        folder = Path(outer, "two", "down")
        before = files(Path(outer))
        outcome = worker.run(folder, "run_main", [word.replace("{case}", str(folder)) for word in argv])
        worker.counts["arguments", judged(outcome, before, files(Path(outer)))] += 1


@cases(0.03)
@given(text=WORDS)
def test_values_of_options_that_nobody_declared(text: str, worker: Worker) -> None:
    value = literal(text)
    worker.counts["undeclared options", "text" if value == text else "number"] += 1
    assert value == text or type(value) in (int, float)
