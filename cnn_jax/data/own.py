"""The data sets that come with the package; they need no network."""

import importlib
import importlib.util
import tempfile
import warnings
from pathlib import Path
from typing import Any

from cnn_jax.data.dataset import Dataset
from cnn_jax.data.errors import raise_if_system
from cnn_jax.data.tfds import check_form, dataset_of, generated, prepare


def load_own(name: str, root: Path, form: dict[str, Any], seed: int) -> Dataset:
    """One of the data sets of the package; prepared again elsewhere if damaged.

    Args:
        name: One of `builders.VERSIONS`, and perhaps a configuration.
        root: The folder of prepared data sets.
        form: The size, rate and length that inputs are brought to.
        seed: Of the splits, where the builder has none.

    Returns:
        The data set.

    Raises:
        ValueError: If there is no such configuration.
    """
    base, _, config = name.partition("/")
    module = importlib.import_module(
        f"cnn_jax.data.builders.{base}.{base}_dataset_builder"
    )
    known = sorted(module.Builder.builder_configs)
    if config and config not in known:
        raise ValueError(
            f"there is no {name!r}; {base!r} has {known or 'no variants'}."
        )
    builder = module.Builder(data_dir=tempfile.gettempdir(), config=config or None)
    check_form(builder.info.features, form)
    if importlib.util.find_spec("array_record") is None:
        return dataset_of(builder, generated(builder), form, seed)
    try:
        return _prepared(module.Builder, root, config, form, seed)
    except Exception as error:  # array_record and TFDS have no type for damage.
        raise_if_system(error)
        warnings.warn(
            f"{root / base / config} is damaged ({error}) and is prepared elsewhere "
            "for this run; remove it to have it prepared again.",
            stacklevel=3,
        )
        with tempfile.TemporaryDirectory() as folder:
            return _prepared(module.Builder, Path(folder), config, form, seed)


def _prepared(
    builder_class: Any, root: Path, config: str, form: dict[str, Any], seed: int
) -> Dataset:
    builder = builder_class(data_dir=root, config=config or None)
    return dataset_of(builder, prepare(builder), form, seed)
