"""The command line: GEM's options under GEM's names, and ours after them."""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import torch

LEARNERS = (
    "online",
    "taskinput",
    "independent",
    "ewc",
    "gem",
    "eralg4",
    "eralg5",
    "meralg1",
    "meralg6",
    "meralg7",
)


OURS = ("run", "code", "data", "tasks")
"""What results and their report keep among the options."""


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {printable(message)}", file=sys.stderr)
        raise SystemExit(2)


def printable(text: str) -> str:
    """Text as one line for a terminal, whatever it came from: what cannot be shown, as Python's escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def tell(text: str) -> None:
    """Print the outcome; where nobody reads standard output any more, as behind `| head`, quietly do not."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        read_by_nobody()


def read_by_nobody() -> None:
    """Have what is still to be flushed to standard output go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The options of a run; exits with status 2 and one line on stderr where they make no sense.

    Options that nobody declared become attributes, so that a learner dropped into model/ can read them; our
    own learners read none, and there they are errors.
    """
    parser = build_parser()
    args, unknown = parser.parse_known_args(argv)
    for name, value in vars(args).items():
        if value == []:  # What argparse makes of `--name=--`.
            parser.error(f"--{name}: it needs a value")
    if args.model not in LEARNERS and args.model not in (known := learners()):
        nearest = difflib.get_close_matches(args.model, known, 1)
        hint = f" Did you mean {nearest[0]}?" if nearest else ""
        parser.error(
            f"--model {args.model}: there is no such learner in model/.{hint} Known: {', '.join(known)}"
        )
    if unknown:
        declared = [name for action in parser._actions for name in action.option_strings]
        add_undeclared(parser, args, unknown, declared)
    if args.cuda == "yes" and not torch.cuda.is_available():
        parser.error("--cuda yes: PyTorch sees no GPU here; leave it out, or install a CUDA build of PyTorch")
    for name in ("cuda", "finetune", "resume"):
        setattr(args, name, getattr(args, name) == "yes")
    return args


def learners() -> list[str]:
    """The names that --model takes: the files of model/ that define or import a Net, ours first."""
    # An editor's lock on a file may be a link to nowhere.
    files = [path for path in Path(__file__).parent.glob("*.py") if path.is_file()]
    defining = {path.stem for path in files if binds_net(path.read_bytes())}
    return [*LEARNERS, *sorted(defining - set(LEARNERS))]


def binds_net(source: bytes) -> bool:
    """Whether Python source, in whatever encoding, gives something the name Net."""
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError):
        return True  # Whoever runs a learner with a slip in it is told of the slip.
    names = {getattr(node, "name", None) for node in nodes}  # of classes, functions and imports
    names |= {node.asname for node in nodes if isinstance(node, ast.alias)}
    names |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return not names.isdisjoint({"Net", "*"})


def add_undeclared(
    parser: argparse.ArgumentParser, args: argparse.Namespace, unknown: Sequence[str], declared: Sequence[str]
) -> None:
    """Take `--name value` pairs as attributes of args: numbers where they read as such, else strings."""
    for flag, value in zip(unknown[::2], [*unknown[1::2], None], strict=False):
        name = flag.removeprefix("--")
        if flag == name or not name.isidentifier() or name.startswith("__"):
            parser.error(f"{flag}: options look like --name value")
        if name in OURS:
            parser.error(f"{flag}: results keep something of their own under that name, give it another one")
        if args.model in LEARNERS:
            nearest = difflib.get_close_matches(flag, declared, 1)
            hint = f" Did you mean {nearest[0]}?" if nearest else " --help lists the options."
            parser.error(f"{flag}: there is no such option for {args.model}.{hint}")
        if value is None:
            parser.error(f"{flag}: it needs a value")
        setattr(args, name, literal(value))


def literal(text: str) -> int | float | str:
    """A finite number where the text reads as one, else the text."""
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            if abs(value := kind(text)) <= sys.float_info.max:
                return value
    return text


def number(
    kind: type, least: float, most: float = math.inf, *, open_below: bool = False
) -> Callable[[str], float]:
    """A parser of one finite number of a kind within bounds, the lower one left out where `open_below`."""

    def read(text: str) -> float:
        value = kind(text)
        if not least <= value <= most or value == math.inf or (open_below and value == least):
            bounds = f"above {least:g}" if open_below else f"{least:g} or more"
            raise argparse.ArgumentTypeError(
                f"{text}: give {bounds}" + (f", at most {most:g}" if most < math.inf else "")
            )
        return value

    read.__name__ = {int: "whole number", float: "number"}[kind]
    return read


LARGEST = 2**63 - 1
"""What PyTorch's sizes can be."""
SIZE = number(int, 1, LARGEST)
COUNT = number(int, 0, LARGEST)
ANY = number(int, -LARGEST, LARGEST)
SEED = number(int, 0, 2**32 - 1)
# Beyond these a run is a mistake: it would not end, or the system would end it.
LAYERS = number(int, 1, 1000)
THREADS = number(int, 0, 1024)
AMOUNT = number(float, 0, torch.finfo(torch.float32).max)
POSITIVE = number(float, 0, torch.finfo(torch.float32).max, open_below=True)
# GEM's command line takes these sizes as floats, and the learners use them as whole numbers.
AT_LEAST_ONE = number(float, 1)
REPEATS = number(float, 1, 1e6)


def build_parser() -> OneLineParser:
    """The options in the published order, in which the one-line summary prints them, and then ours."""
    parser = OneLineParser(
        prog="main.py",
        description="Stream tasks one example at a time into a learner (Meta-Experience Replay, ICLR 2019).",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    model = parser.add_argument_group("learner")
    optimisation = parser.add_argument_group("optimisation")
    episodic = parser.add_argument_group("memory and constraints")
    experiment = parser.add_argument_group("experiment")
    tasks = parser.add_argument_group("data")
    machine = parser.add_argument_group("speed and long runs (not in the published code)")

    def yes_or_no(group: argparse._ArgumentGroup, name: str, default: str, text: str) -> None:
        group.add_argument(name, choices=("yes", "no"), metavar="yes|no", default=default, help=text)

    add = model.add_argument
    add(
        "--model",
        default="online",
        metavar="NAME",
        help="a file of model/: " + ", ".join(LEARNERS) + ", or yours",
    )
    add(
        "--n_hiddens",
        type=SIZE,
        default=100,
        metavar="N",
        help="hidden units a layer (independent: of all tasks)",
    )
    add(
        "--n_layers",
        type=LAYERS,
        default=2,
        metavar="N",
        help="hidden layers (taskinput: the first is a task's own)",
    )
    yes_or_no(model, "--finetune", "yes", "start a task from the last task's weights (independent)")
    add = optimisation.add_argument
    add(
        "--n_epochs",
        type=SIZE,
        default=1,
        metavar="N",
        help="times that each task's examples are shown (all)",
    )
    add("--batch_size", type=SIZE, default=1, metavar="N", help="examples that arrive at a time (all)")
    add("--lr", type=POSITIVE, default=1e-3, metavar="X", help="learning rate of plain SGD (all)")
    add = episodic.add_argument
    add("--n_memories", type=COUNT, default=0, metavar="N", help="examples kept of each task (gem, ewc)")
    add(
        "--memory_strength",
        type=AMOUNT,
        default=0,
        metavar="X",
        help="margin (gem), weight of the penalty (ewc)",
    )
    add("--memories", type=SIZE, default=5120, metavar="N", help="examples in the reservoir (er*, mer*)")
    add("--gamma", type=AMOUNT, default=1.0, metavar="X", help="across-batch meta-learning rate (mer*)")
    add(
        "--batches_per_example",
        type=REPEATS,
        default=1,
        metavar="N",
        help="replay batches for each example (meralg1, meralg6)",
    )
    add("--s", type=AMOUNT, default=1, metavar="X", help="factor on the current example's loss (meralg7)")
    add(
        "--replay_batch_size",
        type=AT_LEAST_ONE,
        default=20,
        metavar="N",
        help="examples in a replay batch (er*, mer*)",
    )
    add("--beta", type=AMOUNT, default=1.0, metavar="X", help="within-batch meta-learning rate (meralg1)")
    yes_or_no(experiment, "--cuda", "no", "run on the GPU (all)")
    add = experiment.add_argument
    add(
        "--seed", type=SEED, default=0, metavar="N", help="of all random generators, from 0 to 2^32 - 1 (all)"
    )
    add("--log_every", type=SIZE, default=100, metavar="N", help="batches between two evaluations (all)")
    add("--save_path", default="results/", metavar="DIR", help="where the result files go (all)")
    add = tasks.add_argument
    add("--data_path", default="data/", metavar="DIR", help="where data files are (all)")
    add(
        "--data_file",
        default="mnist_permutations.pt",
        metavar="FILE",
        help="a file there; mnist_rotations.pt, mnist_permutations.pt, mnist_manypermutations.pt need none",
    )
    add(
        "--samples_per_task",
        type=ANY,
        default=-1,
        metavar="N",
        help="examples of each task, 0 or less: all of them (all)",
    )
    yes_or_no(tasks, "--shuffle_tasks", "no", "present the tasks in random order (all)")
    add = machine.add_argument
    add(
        "--engine",
        choices=("auto", "torch", "native"),
        default="auto",
        help="arithmetic by PyTorch, by the compiled engine, or by that where it can serve (our learners)",
    )
    add(
        "--replay_draws",
        choices=("shuffle", "uniform"),
        default="shuffle",
        help="the published code's exact draws, or cheaper ones of the same distribution (er*, mer*)",
    )
    add(
        "--threads",
        type=THREADS,
        default=0,
        metavar="N",
        help="cores to use, 0: all that the process may use, one for PyTorch code of your own (all)",
    )
    add(
        "--checkpoint_every",
        type=COUNT,
        metavar="N",
        help="examples between two checkpoints, 0: none; by default one every 5 minutes (all)",
    )
    yes_or_no(
        machine, "--resume", "no", "go on from the run's checkpoint in save_path, if there is one (all)"
    )
    return parser
