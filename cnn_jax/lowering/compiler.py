"""What XLA should be told for convolutional networks, without touching the process."""

from functools import cache

import jax

# XLA on a CPU hands operations over to the YNNPACK library, whose convolutions of
# float32 took 1.3 to 2.5 times as long as XLA's own (two cores with AVX-512, JAX 0.10
# and 0.12); its matrix products and sums are kept. Said as what it may take over.
_ON_CPU = {
    "xla_cpu_experimental_ynn_fusion_type": (
        "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE"
    )
}


def compiler_options(backend: str | None = None) -> dict[str, str]:
    """What to give `jax.jit(..., compiler_options=...)` around a convolutional network.

    Everything is right without, and on a CPU slower. Nothing global is changed.

    Args:
        backend: `"cpu"`, `"gpu"` or `"tpu"`; by default the one that JAX uses, which
            may also be a plugin such as `"METAL"`.

    Returns:
        Options by name that this version of XLA knows; none but on a CPU.

    Raises:
        ValueError: If `backend` is given and unknown.

    Example:
        >>> fast = jax.jit(jax.nn.relu, compiler_options=compiler_options())
        >>> float(fast(-1.0))
        0.0

    Source:
        The options are fields of `DebugOptions` in XLA's xla/xla.proto.
    """
    known = ("cpu", "gpu", "cuda", "rocm", "tpu")
    if backend is None:
        backend = jax.default_backend()
    elif backend not in known:
        raise ValueError(f"`backend` is {backend!r}, but must be one of {known}.")
    if backend != "cpu":
        return {}
    return {name: value for name, value in _ON_CPU.items() if _known(name, value)}


@cache
def _known(name: str, value: str) -> bool:
    """Whether this version of XLA has an option: an experimental one may go again."""
    try:
        jax.jit(lambda: 0, compiler_options={name: value}).lower().compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True
