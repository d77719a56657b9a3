"""Memory does not grow with the number of steps, samples or windows."""

from functools import partial

import jax
import jax.numpy as jnp
import pytest

from cnn_jax import explain
from tests.explain.networks import image_net

PAIRS = {
    "integrated": [
        partial(explain.integrated_gradients, steps=steps) for steps in (50, 500)
    ],
    "smooth": [
        partial(explain.smooth_grad, jax.random.key(0), samples=samples)
        for samples in (50, 500)
    ],
    "occlusion": [
        partial(explain.occlusion, window=(window, window), stride=1)
        for window in (40, 24)  # 81 and 625 windows.
    ],
    "deletion": [
        lambda f, x, t, steps=steps: explain.deletion(f, x, x[..., 0], t, steps=steps)
        for steps in (50, 500)
    ],
}


@pytest.mark.full
@pytest.mark.parametrize("method", PAIRS)
def test_ten_times_the_steps_need_the_same_memory(method):
    net, x, target = image_net(), jnp.zeros((4, 48, 48, 2)), jnp.zeros(4, int)
    sizes = []
    for call in PAIRS[method]:
        program = jax.jit(partial(call, net)).lower(x, target).compile()
        sizes.append(program.memory_analysis().temp_size_in_bytes)
    assert sizes[0] > 1e5
    assert sizes[1] <= 1.2 * sizes[0]
