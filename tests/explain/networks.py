"""Small networks of every kind, in evaluation mode, with random statistics."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import cnn_jax.functional as F
from cnn_jax import models, nn
from cnn_jax.models.small_cnn import small_cnn


def evaluated(net, seed=0):
    """The network for evaluation; statistics, scales and biases are random."""
    rng = np.random.default_rng(seed)

    def randomized(path, value):
        name = str(path[-1])
        drawn = rng.normal(size=value.shape).astype(value.dtype)
        if name in ("bias", "mean"):
            return jnp.asarray(0.3 * drawn)
        if name in ("scale", "var"):
            return jnp.asarray(1 + 0.3 * np.abs(drawn))
        return value

    graph, state, rest = nnx.split(net, nnx.Any(nnx.Param, nnx.BatchStat), ...)
    flat = nnx.to_flat_state(state)
    made = [(p, v.replace(randomized(p, v[...]))) for p, v in flat]
    net = nnx.merge(graph, nnx.from_flat_state(made), rest)
    modes = {"deterministic": True, "use_running_average": True}
    return nnx.view(net, raise_if_not_found=False, **modes)


def in_float64(net):
    """The network with its numbers in float64; under `jax.enable_x64`."""

    def convert(x):
        floats = jnp.issubdtype(x.dtype, jnp.floating)
        return x.astype(jnp.float64) if floats else x

    graph, state = nnx.split(net)
    return nnx.merge(graph, jax.tree.map(convert, state))


def image_net(seed=0):
    """From (9, 6, 2) to three logits."""
    rngs = nnx.Rngs(seed)
    return evaluated(
        nn.Chain(
            {
                "conv1": nn.Conv(2, 4, (3, 2), padding=1, rngs=rngs),
                "norm1": nn.BatchNorm(4),
                "relu1": F.relu,
                "pool1": nn.MaxPool((2, 2)),
                "conv2": nn.Conv(4, 5, (2, 2), rngs=rngs),
                "relu2": F.relu,
                "mean": nn.GlobalAvgPool(),
                "classifier": nn.Dense(5, 3, rngs=rngs),
            }
        )
    )


def signal_net(seed=0):
    """From (11, 2) to three logits."""
    options = {"shape": (11, 2), "features": (3, 4), "classes": 3}
    return evaluated(small_cnn(**options, rngs=nnx.Rngs(seed)))


def sound_net(seed=0):
    """From 600 samples to three logits."""
    return evaluated(
        models.sound_net(
            rate=2000, bands=8, features=(3, 4), classes=3, rngs=nnx.Rngs(seed)
        )
    )


def table_net(seed=0):
    """From six columns to three logits."""
    return evaluated(models.mlp(shape=6, hidden=(5, 4), classes=3, rngs=nnx.Rngs(seed)))


NETS = {
    "image": (image_net, (9, 6, 2)),
    "signal": (signal_net, (11, 2)),
    "sound": (sound_net, (600,)),
    "table": (table_net, (6,)),
}
