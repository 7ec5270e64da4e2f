"""The same SGD steps in JAX: one jitted scan over the rows."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import torch

SIZES = (784, 100, 100, 10)

Layers = list[tuple[jax.Array, jax.Array]]


def sgd_steps(x: torch.Tensor, y: torch.Tensor, lr: float = 0.001) -> tuple[Callable[[], object], int]:
    """A call that makes one SGD step a row, (B, 784) and (B,), and B."""
    keys = jax.random.split(jax.random.PRNGKey(0), len(SIZES) - 1)
    weights = [
        (jax.random.uniform(key, (n_in, n_out), minval=-0.08, maxval=0.08), jnp.zeros(n_out))
        for key, n_in, n_out in zip(keys, SIZES, SIZES[1:], strict=False)
    ]

    def loss(weights: Layers, x: jax.Array, y: jax.Array) -> jax.Array:
        *hidden, (w, b) = weights
        for v, c in hidden:
            x = jax.nn.relu(x @ v + c)
        return -jax.nn.log_softmax(x @ w + b)[y]

    def step(weights: Layers, row: tuple[jax.Array, jax.Array]) -> tuple[Layers, None]:
        gradient = jax.grad(loss)(weights, *row)
        return jax.tree.map(lambda w, g: w - lr * g, weights, gradient), None

    run = jax.jit(lambda weights, x, y: jax.lax.scan(step, weights, (x, y))[0])
    rows, labels = jnp.asarray(x.numpy()), jnp.asarray(y.numpy())
    return lambda: jax.block_until_ready(run(weights, rows, labels)), len(x)
