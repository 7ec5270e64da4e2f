"""Gradient Episodic Memory, GEM (Lopez-Paz & Ranzato 2017, Algorithm 1; MER, section 5)."""

from argparse import Namespace

import numpy
import quadprog
import torch

from .common import Learner, OptionError
from .memory import RingBuffer

RIDGE = 1e-3
TOO_LARGE = "the gradients are too large for their quadratic program, or --memory_strength is"


class Net(Learner):
    """Reads n_layers, n_hiddens, lr, n_memories (a task) and memory_strength (the margin).

    Raises:
        OptionError: n_memories is 0.
    """

    def __init__(self, n_inputs: int, n_outputs: int, n_tasks: int, args: Namespace) -> None:
        super().__init__(n_inputs, n_outputs, args)
        if args.n_memories < 1:
            raise OptionError(
                "gem compares with examples of earlier tasks: give --n_memories, 1 or more for each task"
            )
        self.memory = RingBuffer(n_inputs, args.n_memories, self.engine)
        self.margin, self.lr = args.memory_strength, args.lr

    def observe(self, x: torch.Tensor, t: int, y: torch.Tensor) -> None:
        """A step along the batch's gradient, turned until it no longer works against any earlier task's."""
        self.memory.add(x, y, t)
        gradients = self.engine.gradients([*self.memory.batches(but=t), (x, y)])
        step = gradients[-1]
        if (gradients[:-1] @ step < 0).any():
            step = self.project(gradients)
        self.weights.descend(step, self.lr)

    def project(self, gradients: torch.Tensor) -> torch.Tensor:
        """GEM's quadratic program (its equation 11), in float64: the step nearest to the last of the
        gradients, float32 (K + 1, P), whose products with the others are not negative; float32 (P,).
        """
        products = self.engine.gram(gradients).cpu().numpy()
        matrix, linear = products[:-1, :-1], -products[:-1, -1]
        v = solve(0.5 * (matrix + matrix.T), linear, self.margin)
        return self.engine.combination([*v.tolist(), 1.0], gradients)


def solve(matrix: numpy.ndarray, linear: numpy.ndarray, margin: float) -> numpy.ndarray:
    """The v >= margin that minimises v' matrix v / 2 - linear' v, float64 (K, K), (K,) -> (K,).

    Where the matrix is not positive definite, a ridge is added to it, ten times larger until it is.

    Raises:
        FloatingPointError: the numbers are so large, or not finite, that float64 has no solution.
    """
    if not (numpy.isfinite(matrix).all() and numpy.isfinite(linear).all()):
        raise FloatingPointError("the gradients are not all finite")
    identity = numpy.eye(len(matrix))
    bound = numpy.full(len(matrix), float(margin))
    ridge = 0.0
    while True:
        try:
            return quadprog.solve_qp(matrix + ridge * identity, linear, identity, bound)[0]
        except ValueError as error:
            if "inconsistent" in str(error):  # Bounds never are, but for overflow.
                raise FloatingPointError(TOO_LARGE) from error
            if "positive definite" not in str(error):
                raise
            ridge = 10 * ridge or RIDGE
