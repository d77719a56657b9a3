"""`python -m cnn_jax` is `cnn-jax`."""

from cnn_jax.cli import main

main()
