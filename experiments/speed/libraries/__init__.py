"""The same networks in every library of the comparison, one library per file.

`networks.py` describes the networks as lists of layers. `ours.py`, `flax_nnx.py`,
`keras_jax.py` and `pytorch.py` build them. `runners.py` trains them by one step or
several steps per dispatch.
"""
