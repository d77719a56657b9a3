"""XLA compiler options for convolutional networks."""

from functools import cache

import jax

# On a CPU, XLA passes operations to the YNNPACK library. Its float32 convolutions took
# 1.3 to 2.5 times as long as XLA's own (two cores with AVX-512, JAX 0.10 and 0.12). Its
# matrix products and sums are kept: the option lists the operations it may take.
_ON_CPU = {
    "xla_cpu_experimental_ynn_fusion_type": (
        "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE"
    )
}


def compiler_options(backend: str | None = None) -> dict[str, str]:
    """Options for `jax.jit(..., compiler_options=...)` of convolutional networks.

    Optional. Results agree; CPU code is slower without it. No global state changes.

    Args:
        backend: `"cpu"`, `"gpu"` or `"tpu"`; by default the one that JAX uses, which
            may also be a plugin such as `"METAL"`.

    Returns:
        The options that this version of XLA supports, by name; empty unless the
        backend is a CPU.

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
    return {
        name: value for name, value in _ON_CPU.items() if _is_supported(name, value)
    }


@cache
def _is_supported(name: str, value: str) -> bool:
    """Whether this version of XLA has an option; experimental ones may be removed."""
    try:
        jax.jit(lambda: 0, compiler_options={name: value}).lower().compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True
