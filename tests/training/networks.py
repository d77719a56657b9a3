"""Small networks and data sets to train, and what becomes of them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import cnn_jax.functional as F
from cnn_jax import data, nn, tasks, training


def examples(rng, count=23, classes=3):
    """Tables whose class is told by their largest column."""
    label = np.arange(count) % classes
    table = np.eye(classes, dtype=np.float32)[label] + rng.normal(size=(count, classes))
    return {"table": table.astype(np.float32), "label": label}


def small_set(seed=0, **splits):
    rng = np.random.default_rng(seed)
    return data.Dataset(examples(rng), examples(rng, 11), ("a", "b", "c"), **splits)


def mlp(seed=0, rate=0.0):
    rngs = nnx.Rngs(seed)
    return nn.Chain(
        {
            "zz": nn.Dense(3, 7, rngs=rngs),
            "relu": F.relu,
            "drop": nn.Dropout(rate, rngs=rngs),
            "aa": nn.Dense(7, 3, rngs=rngs),
        }
    )


def normed(seed=0):
    """A network with statistics, in whose evaluation they are used."""
    rngs = nnx.Rngs(seed)
    return nn.Chain(
        {
            "zz": nn.Dense(3, 7, rngs=rngs),
            "norm": nn.BatchNorm(7),
            "aa": nn.Dense(7, 3, rngs=rngs),
        }
    )


def weights(net):
    return jax.tree.leaves(nnx.state(net, nnx.Param))


def trained(net, sets, config, **options):
    """The weights after training, as arrays that stay."""
    list(training.fit(net, sets, config, **options))
    return [np.array(w) for w in jax.tree.leaves(nnx.state(net, nnx.Not(nnx.RngState)))]


def by_hand(net, split, batches, optimizer, loss=tasks.cross_entropy):
    """The weights after each of some plain optax steps over given rows."""
    graph, params, rest = nnx.split(net, nnx.Param, ...)
    state = optimizer.init(params)

    def mean(params, rows):
        net = nnx.merge(graph, params, rest, copy=True)
        logits = net(jnp.asarray(split["table"])[rows])
        return loss(logits, jnp.asarray(split["label"])[rows]).mean()

    found = []
    for rows in batches:
        slope = jax.jit(jax.grad(mean))(params, rows)
        updates, state = optimizer.update(slope, state, params)
        params = optax.apply_updates(params, updates)
        found.append(jax.tree.leaves(params))
    return found
