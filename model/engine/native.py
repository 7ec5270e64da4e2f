"""The native engine: the verbs of `torch_engine`, compiled, for an MLP on the CPU.

Inputs are kept sparse, as their nonzero values, and every kernel skips what is zero: pixels, and units that a
ReLU switched off. Results are those of the torch engine up to the order of float32 additions, at any number
of threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce

import torch

from . import generator
from .compiled import _native
from .draws import in_turn
from .sparse import Batch, SparseRows, TestSet, plain, pointer, sparse_images
from .threads import drop, on_threads, queued
from .torch_engine import Examples
from .weights import Weights, padded

COLUMNS = 16384
"""Columns of a matrix of vectors that one call works on: what is added up does not depend on the threads."""

CHUNK = 96
"""The fewest of them that products of vectors are made of at a time."""

AHEAD = 50_000
"""Entries to shuffle for a draw from which on another thread saves more time than it takes to wake it."""


class NativeEngine:
    """The engine's verbs over an MLP, ReLU between its layers, whose parameters are views into `weights`.

    Inputs `x` are float32 (B, n_inputs) or a batch taken from `rows()`; labels `y` are int64 (B,). The loss
    of a row is its cross-entropy. Every verb that computes a loss raises FloatingPointError where that is NaN
    or infinite.
    """

    name = "native"

    def __init__(
        self, layers: Sequence[torch.nn.Linear], weights: Weights, lr: float, threads: int = 1
    ) -> None:
        self.weights, self.lr, self._threads = weights, lr, threads
        self._n_inputs, self._n_outputs = layers[0].in_features, layers[-1].out_features
        self._layers = [
            (
                layer.in_features,
                layer.out_features,
                padded(layer.out_features),
                *map(self._address, layer.parameters()),
            )
            for layer in layers
        ]
        self._parameters = [parameter for layer in layers for parameter in layer.parameters()]
        self._gradients = torch.empty(0, len(weights.flat))
        self._pulled: tuple[tuple[int, ...], _native.Pull, tuple[torch.Tensor, ...]] | None = None
        self._net = _native.Net(weights.flat.data_ptr(), len(weights.flat), self._layers)

    def frozen(self) -> bool:
        """Whether a parameter is not to be trained any more, which it would be."""
        return not all(parameter.requires_grad for parameter in self._parameters)

    @staticmethod
    def draw(n: int, k: int) -> torch.Tensor:
        """k of n entries, int64 (k,), exactly as `draws.shuffle_draw` draws them from Python's generator."""
        drawn = torch.empty(k, dtype=torch.int64)
        if k:
            generator.advance(_drawing(n, drawn))
        return drawn

    def draws(self, n: int, k: int, times: int) -> Iterator[torch.Tensor]:
        """That many of these draws, in turn. Where it pays, another thread makes the next ones while the last
        one is in use; they are the same, whatever else draws from Python's generator in between.
        """
        made = 0
        if self._threads > 1 and times > 1 and n * k >= AHEAD:
            for drawn in _ahead(n, k, times):
                made += 1
                yield drawn
        yield from in_turn(self.draw, n, k, times - made)

    def rows(self, n_inputs: int) -> SparseRows:
        """An empty store of input rows, from which batches can be taken by slot."""
        return SparseRows(n_inputs)

    def test_set(self, examples: Examples) -> TestSet:
        """A task's test examples in the form that `scores` reads fastest."""
        return TestSet(sparse_images(examples.images), examples.pixel_map)

    def sgd(self, x: torch.Tensor | Batch, y: torch.Tensor, scale: torch.Tensor | None = None) -> None:
        """One SGD step per row, in order (batch size one), on its loss times its `scale` (B,), if given."""
        rows, slots, n = self._rows(x)
        y, scale = _labels(y, n), _floats(scale, n)
        self._net.sgd(rows, slots, y.data_ptr(), pointer(scale), n, self.lr)

    def step(
        self,
        x: torch.Tensor | Batch,
        y: torch.Tensor,
        weight: torch.Tensor | None = None,
        pull: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> None:
        """One SGD step on the sum of the rows' losses times `weight` (B,), by default their mean.

        `pull`, two vectors (stiffness, target) laid out like the weights, adds stiffness * weights - target
        to the gradient: a diagonal quadratic penalty such as EWC's, however many terms it sums.
        """
        rows, slots, n = self._rows(x)
        y, weight = _labels(y, n), _in_sum(weight, n)
        pulled = self._pull(pull) if pull else None
        self._net.step(rows, slots, y.data_ptr(), pointer(weight), n, self.lr, pulled)

    def gradient(
        self, x: torch.Tensor | Batch, y: torch.Tensor, weight: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The gradient of the same sum, float32 (P,), laid out like the weights."""
        gradient = torch.empty_like(self.weights.flat)
        self._gradient(x, y, weight, gradient)
        return gradient

    def gradients(self, batches: Sequence[tuple[torch.Tensor | Batch, torch.Tensor]]) -> torch.Tensor:
        """The gradient of each batch's mean loss, float32 (len(batches), P), until the next call."""
        # Kept: of tens of megabytes, pages fresh from the system would cost more than the gradients.
        if len(self._gradients) < len(batches):
            self._gradients = torch.empty(len(batches), len(self.weights.flat))
        gradients = self._gradients[: len(batches)]
        on_threads(
            self._threads,
            [(self._gradient, x, y, None, row) for (x, y), row in zip(batches, gradients, strict=True)],
        )
        return gradients

    def gram(self, vectors: torch.Tensor) -> torch.Tensor:
        """The products of vectors laid out like the weights, float32 (K, P): float64 (K, K)."""
        vectors = self._vectors(vectors)
        # In chunks of an input's weights, or of a few inputs': those are zero together.
        wide = self._layers[0][2]
        chunk = min(wide * -(-CHUNK // wide), 2 * CHUNK)
        slices = _slices(vectors, COLUMNS // chunk * chunk)
        parts = [torch.empty(len(vectors), len(vectors), dtype=torch.float64) for _ in slices]
        pairs = zip(slices, parts, strict=True)
        on_threads(self._threads, [(_native.gram, *piece, chunk, part.data_ptr()) for piece, part in pairs])
        return reduce(torch.add, parts)

    def combination(self, factors: Sequence[float], vectors: torch.Tensor) -> torch.Tensor:
        """The sum of vectors laid out like the weights, float32 (K, P), each times its factor: made in
        float64, float32 (P,).
        """
        vectors = self._vectors(vectors)
        if len(factors) != len(vectors):
            raise ValueError(f"{len(factors)} factors for {len(vectors)} vectors")
        by, combined = torch.tensor(factors, dtype=torch.float64), torch.empty_like(self.weights.flat)
        pairs = zip(_slices(vectors, COLUMNS), combined.split(COLUMNS), strict=True)
        on_threads(
            self._threads,
            [(_native.combine, *piece, by.data_ptr(), part.data_ptr()) for piece, part in pairs],
        )
        return combined

    def scores(self, x: torch.Tensor | Batch | TestSet) -> torch.Tensor:
        """The network's output, float32 (B, n_outputs), before any softmax, for inputs or a `test_set`."""
        net, listed = self._net, None
        if isinstance(x, TestSet) and x.pixel_map is not None:
            rows, slots, n = x.images.rows, x.images.address, len(x.images)
            listed = x.images.listed()
            first = self._folded(x.pixel_map, rows.n_inputs)
            layer = (len(first), *self._layers[0][1:3], first.data_ptr(), self._layers[0][4])
            net = _native.Net(0, 0, [layer, *self._layers[1:]])
        else:
            rows, slots, n = self._rows(x.images if isinstance(x, TestSet) else x)
        scores = torch.empty(n, self._n_outputs)
        on_threads(
            self._threads,
            [
                (net.scores, rows, slots, n, scores.data_ptr(), piece, self._threads, listed)
                for piece in range(self._threads)
            ],
        )
        return scores

    def _address(self, parameter: torch.nn.Parameter) -> int:
        return self.weights.flat.data_ptr() + 4 * self.weights.offset(parameter)

    def _rows(self, x: torch.Tensor | Batch) -> tuple[_native.Rows, int, int]:
        """Inputs as a store's rows, the address of their slots, 0 for the first ones, and how many they are.

        The store is made for the purpose where they are a tensor: to keep one would save a fiftieth of an
        example's step, and threads may call at a time.
        """
        if isinstance(x, Batch):
            rows, slots, n = x.rows, x.address, len(x)
        else:
            shape = x.shape
            if len(shape) != 2:
                raise ValueError(f"inputs of shape {tuple(shape)}: give (B, {self._n_inputs})")
            n, width = shape
            x = plain(x, torch.float32)
            rows, slots = _native.Rows(width), 0
            rows.extend(x.data_ptr(), n)
        if rows.n_inputs != self._n_inputs:
            raise ValueError(f"inputs of width {rows.n_inputs} for a network of {self._n_inputs}")
        return rows, slots, n

    def _gradient(
        self, x: torch.Tensor | Batch, y: torch.Tensor, weight: torch.Tensor | None, out: torch.Tensor
    ) -> None:
        rows, slots, n = self._rows(x)
        y, weight = _labels(y, n), _in_sum(weight, n)
        listed = x.listed() if isinstance(x, Batch) else None
        self._net.gradient(rows, slots, y.data_ptr(), pointer(weight), n, out.data_ptr(), listed)

    def _pull(self, pull: tuple[torch.Tensor, torch.Tensor]) -> _native.Pull:
        """A pull as the kernels read it, kept for as long as it is given again, unchanged."""
        stiffness, target = pull
        given = id(stiffness), stiffness._version, id(target), target._version
        if self._pulled is None or self._pulled[0] != given:
            stiffness, target = self._vector(stiffness), self._vector(target)
            prepared = _native.Pull(stiffness.data_ptr(), target.data_ptr(), len(stiffness))
            # What is named by its id, and what the kernels read, must live as long.
            self._pulled = given, prepared, (*pull, stiffness, target)
        return self._pulled[1]

    def _vector(self, vector: torch.Tensor) -> torch.Tensor:
        """A vector laid out like the weights as the kernels read it: float32, its lines aligned."""
        if vector.shape != self.weights.flat.shape:
            raise ValueError(f"a vector of shape {tuple(vector.shape)} for {len(self.weights.flat)} weights")
        vector = plain(vector, torch.float32)
        return vector if vector.data_ptr() % 64 == 0 else vector.clone()

    def _vectors(self, vectors: torch.Tensor) -> torch.Tensor:
        """Vectors laid out like the weights, (K, P), as the kernels read them."""
        if vectors.dim() != 2 or vectors.shape[1] != len(self.weights.flat):
            raise ValueError(f"vectors of shape {tuple(vectors.shape)} for {len(self.weights.flat)} weights")
        return plain(vectors, torch.float32)

    def _folded(self, pixel_map: torch.Tensor, n_pixels: int) -> torch.Tensor:
        """The first layer's rows as weights of the images' own pixels, float32 (n_pixels, wide).

        An image's pixel p is the input q for every q with pixel_map[q] = p, so its weights are the sum of
        theirs.
        """
        n_in, _, wide = self._layers[0][:3]
        begin = (self._layers[0][3] - self.weights.flat.data_ptr()) // 4
        rows = self.weights.flat[begin : begin + n_in * wide].view(n_in, wide)
        shown = pixel_map >= 0
        return torch.zeros(n_pixels, wide).index_add_(0, pixel_map[shown], rows[shown])


def _drawing(n: int, drawn: torch.Tensor) -> generator.By:
    """What draws as many of n entries as `drawn` has room for, from a generator's words."""
    return lambda state, used: _native.draw(state, used, n, len(drawn), drawn.data_ptr())


def _ahead(n: int, k: int, times: int) -> Iterator[torch.Tensor]:
    """Draws made on another thread, until somebody else has drawn from Python's generator."""
    fork = generator.Fork()

    def draw() -> tuple[torch.Tensor, bytes, bytes]:
        drawn = torch.empty(k, dtype=torch.int64)
        return drawn, *fork.advance(_drawing(n, drawn))

    coming = queued(draw, times)
    try:
        for future in coming:
            drawn, before, after = future.result()
            if not generator.catch_up(before, after):
                return
            yield drawn
    finally:
        drop(coming)


def _labels(y: torch.Tensor, length: int) -> torch.Tensor:
    # Not len(y), which PyTorch defines in Python: that takes eight times as long.
    if y.dim() != 1 or y.numel() != length:
        raise ValueError(f"labels of shape {tuple(y.shape)} for {length} inputs")
    return plain(y, torch.int64)


def _floats(values: torch.Tensor | None, length: int) -> torch.Tensor | None:
    if values is None:
        return None
    if values.shape != (length,):
        raise ValueError(f"{tuple(values.shape)} weights for {length} inputs")
    return plain(values, torch.float32)


def _in_sum(weight: torch.Tensor | None, length: int) -> torch.Tensor | None:
    if weight is None and not length:
        raise FloatingPointError("the loss is nan: it is the mean of no rows")
    return _floats(weight, length)


def _slices(vectors: torch.Tensor, columns: int) -> list[tuple[int, int, int, int]]:
    """Vectors (K, P) by columns, as the kernels take them: (address, K, P, columns) of each slice."""
    address, (n, stride) = vectors.data_ptr(), vectors.shape
    return [(address + 4 * at, n, stride, min(columns, stride - at)) for at in range(0, stride, columns)]
