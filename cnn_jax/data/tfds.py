"""Data sets of TensorFlow Datasets."""

import contextlib
import dataclasses
import difflib
import io
import math
import re
import socket
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.data.builders import VERSIONS
from cnn_jax.data.dataset import Dataset, Origin, Split
from cnn_jax.data.input_size import bytes_of, check_inputs
from cnn_jax.data.options import refuse
from cnn_jax.data.quiet import quiet
from cnn_jax.data.readers import AudioReader, ImageReader
from cnn_jax.data.sizes import note_on_lengths, usual_seconds, usual_size
from cnn_jax.data.splits import split_rows
from cnn_jax.data.streamed import Examples

# What TFDS raises where it lacks the code, or TensorFlow, to make or read a data set.
UNSUPPORTED = (ImportError, NotImplementedError, AssertionError)
IN_MEMORY = 2**30  # Bytes of inputs up to which a data set is kept in arrays.


def _check_known(name: str) -> None:
    """Refuses a name that TFDS does not have."""
    import tensorflow_datasets as tfds

    known = tfds.list_builders(with_community_datasets=False)
    base = name.split("/")[0].split(":")[0]
    if base not in known:
        close = difflib.get_close_matches(base, [*VERSIONS, *known])
        raise ValueError(
            f"there is no data set {name!r}, neither here ({', '.join(VERSIONS)}) nor "
            f"in TensorFlow Datasets{'; close: ' + ', '.join(close) if close else ''}, "
            "nor is it a folder or a CSV file."
        )


def load_tfds(name: str, root: Path, form: dict[str, Any], seed: int) -> Dataset:
    """A data set of TFDS, prepared if it is not.

    Args:
        name: The name, perhaps with a configuration and a version.
        root: The folder of prepared data sets.
        form: The size, rate and length that inputs are brought to.
        seed: Of the splits, where the data set has none.

    Returns:
        The data set; in arrays, or streamed if it is large.

    Raises:
        ValueError: If there is no such data set, or it is none of labelled images or
            audio.
        FileNotFoundError: If it can neither be found nor downloaded.
    """
    with _explained(name, root, *UNSUPPORTED):
        builder = _builder(name, root)
    if not builder.is_prepared():
        with _explained(name, root, OSError, *UNSUPPORTED):
            _check_network(builder)
            prepare(builder)
    with _explained(name, root, *UNSUPPORTED):
        sources = builder.as_data_source()
    return dataset_of(builder, sources, form, seed, stream=True)


def _builder(name: str, root: Path) -> Any:
    """The builder of a data set; raises ValueError if there is no such data set."""
    import tensorflow_datasets as tfds

    _check_known(name)
    try:
        return tfds.builder(name, data_dir=root)
    except (ValueError, tfds.core.DatasetNotFoundError) as error:
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise ValueError(f"there is no data set {name!r}: {reason}") from error


@contextlib.contextmanager
def _explained(name: str, root: Path, *kinds: type[Exception]) -> Iterator[None]:
    """Turns errors of these kinds into one that says how to get the data set."""
    try:
        yield
    except kinds as error:
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise FileNotFoundError(
            f"{name!r} is not prepared in {root}, and cannot be prepared here: "
            f"{reason} Where there is a network, install the extra "
            f"`cnn_jax[tensorflow]`, run `tfds build {name} "
            "--file_format=array_record`, and point TFDS_DATA_DIR to its folder."
        ) from error


def full_name(name: str, root: Path) -> str:
    """The name with its configuration and version, as in `mnist/3.0.1`.

    Where TFDS cannot make the builder because TensorFlow is missing, the version is the
    newest prepared one.
    """
    try:
        with quiet():
            return _builder(name, root).info.full_name
    except UNSUPPORTED:
        folder = root / name.replace(":", "/")
        found = [path.parent.name for path in folder.glob("*/dataset_info.json")]
        newest = sorted(found, key=lambda text: [*map(int, re.findall(r"\d+", text))])
        return "/".join([name, *newest[-1:]])


def prepared_names(root: Path) -> list[str]:
    """The names of prepared data sets, with their configurations.

    Args:
        root: The folder of prepared data sets.
    """
    found = {path.parent.relative_to(root) for path in root.rglob("dataset_info.json")}
    names = sorted(str(path.parent) for path in found)
    return [name for name in names if name.split("/")[0] not in VERSIONS]


def _check_network(builder: Any) -> None:
    """Fails at once where TFDS would try ten times, for minutes."""
    urls = list(getattr(builder, "url_infos", {}))
    host = urllib.parse.urlsplit(urls[0]).hostname if urls else None
    if host is None or urllib.request.getproxies():
        return
    try:
        socket.create_connection((host, 443), timeout=10).close()
    except OSError as error:
        raise OSError(
            f"{host} cannot be reached ({error.strerror or error})."
        ) from None


def prepare(builder: Any) -> dict[str, Any]:
    """The examples of each split, prepared if they are not."""
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()
    with contextlib.redirect_stdout(io.StringIO()):
        builder.download_and_prepare(file_format=tfds.core.FileFormat.ARRAY_RECORD)
    return builder.as_data_source()


def generated(builder: Any) -> dict[str, Any]:
    """The examples of each split straight from the builder, in the prepared order.

    For platforms without a wheel of array_record. TFDS orders prepared examples by a
    hash of their key, salted with the name of the split; so does this function.
    """
    features = builder.info.features
    return {
        split: [
            features.decode_example_np(features.encode_example(example))
            for _, example in sorted(examples, key=partial(_hash_of_key, split))
        ]
        for split, examples in builder._split_generators(None).items()
    }


def _hash_of_key(split: str, example: tuple[Any, Any]) -> int:
    from tensorflow_datasets.core import hashing

    return hashing.Hasher(split).hash_key(example[0])


def dataset_of(
    builder: Any,
    sources: dict[str, Any],
    form: dict[str, Any],
    seed: int,
    *,
    stream: bool = False,
) -> Dataset:
    """A data set of labelled images or audio, in the splits of TFDS or in new ones.

    Args:
        builder: Of TFDS.
        sources: Its examples, by split.
        form: The size, rate and length that inputs are brought to.
        seed: Of new splits.
        stream: Whether inputs of more than `IN_MEMORY` bytes are read when needed.
    """
    features = builder.info.features
    kinds = {"image", "audio"} & set(features)
    label = dict(features).get("label")
    if len(kinds) != 1 or not hasattr(label, "names"):
        raise ValueError(
            f"{builder.name!r} has {features}, but an `image` or `audio` and a `label` "
            "of one of several classes are needed."
        )
    kind = kinds.pop()
    check_form(features, form)
    reader = _reader(kind, features[kind], sources, form)
    rate = getattr(features[kind], "sample_rate", 0)
    classes = tuple(features["label"].names)
    examples = {
        n: Examples(source, kind, reader, rate) for n, source in sources.items()
    }
    count = sum(map(len, examples.values()))
    if reader is not None:
        large = stream and count * bytes_of(reader) > IN_MEMORY
        check_inputs(builder.name, reader, 1 if large else 2 * count)
    if stream and sum(map(_bytes, examples.values())) > IN_MEMORY:
        return _streamed_dataset(builder, examples, form["size"], classes, seed)
    parts, lengths = {}, []
    for name, source in examples.items():
        parts[name], its = _arrays(source)
        lengths += its
    origin = None
    if isinstance(reader, AudioReader):
        seconds = [length / rate for length in lengths]
        note = note_on_lengths(seconds, reader.samples / reader.rate)
        origin = Origin(reader, {}, notes=(note,))
    splits = _splits(parts, lambda part: part["label"], _take, seed)
    return Dataset(**splits, classes=classes, origin=origin)


def _bytes(examples: Examples) -> int:
    """The size of all inputs in memory."""
    return len(examples) * examples[0][examples.name].nbytes if len(examples) else 0


def _streamed_dataset(
    builder: Any,
    examples: dict[str, Examples],
    size: int | None,
    classes: tuple[str, ...],
    seed: int,
) -> Dataset:
    """A data set that is decoded when needed; its labels are read without images."""
    import tensorflow_datasets as tfds

    first = next(iter(examples.values()))
    reader, undecoded = first.reader, dict.fromkeys(examples)
    if first.kind == "image":
        decoders = {"image": tfds.decode.SkipDecoding()}
        undecoded = builder.as_data_source(decoders=decoders)
        height, width, channels = first[0]["image"].shape
        if reader is None and (size or channels in (1, 3)):
            reader = ImageReader((size or height, size or width), channels)
            check_inputs(builder.name, reader, 1)
    examples = {
        n: dataclasses.replace(x, reader=reader, undecoded=undecoded[n])
        for n, x in examples.items()
    }
    origin = None if reader is None else Origin(reader, {})
    splits = _splits(examples, lambda part: part.labels, Examples.take, seed)
    return Dataset(**splits, classes=classes, origin=origin)


def check_form(features: Any, form: dict[str, Any]) -> None:
    """Refuses the rate of images and the size of audio."""
    if "audio" in features:
        refuse("a set of audio", {"size": form["size"]})
    else:
        refuse("a set of images", {name: form[name] for name in ("rate", "seconds")})


def _reader(
    kind: str, feature: Any, sources: dict[str, Any], form: dict[str, Any]
) -> ImageReader | AudioReader | None:
    """The reader that brings examples to one size; None where they have one."""
    if kind == "image" and None not in feature.shape:
        return None
    source = next(iter(sources.values()))
    step = 1 + len(source) // 200
    sample = [source[row][kind] for row in range(0, len(source), step)]
    if kind == "image":
        size = form["size"] or usual_size([min(x.shape[:2]) for x in sample])
        return ImageReader((size, size), sample[0].shape[-1])
    if not feature.sample_rate:
        raise ValueError("its audio has no sample rate, so it cannot be read.")
    rate = form["rate"] or feature.sample_rate
    lengths = [len(wave) / feature.sample_rate for wave in sample]
    seconds = form["seconds"] or usual_seconds(lengths)
    return AudioReader(rate, math.ceil(seconds * rate))


def _arrays(examples: Examples) -> tuple[Split, list[int]]:
    """All examples in arrays, and their lengths before they were read."""
    inputs, labels, lengths = [], [], []
    for example in examples.source:
        x = example[examples.kind]
        lengths.append(len(x))
        inputs.append(examples.read(x))
        labels.append(example["label"])
    split = {examples.name: np.stack(inputs), "label": np.array(labels, np.int32)}
    return split, lengths


def _known(parts: dict[str, Any]) -> dict[str, Any]:
    """The splits `train`, `test` and `validation`, if there is one to test on."""
    known = {n: parts[n] for n in ("train", "validation", "test") if n in parts}
    if "train" in known and len(known) > 1 and "test" not in known:
        known["test"] = known.pop("validation")
    return known if "train" in known else {}


def _splits(
    parts: dict[str, Any],
    labels: Callable[[Any], np.ndarray],
    take: Callable[[Any, np.ndarray], Any],
    seed: int,
) -> dict[str, Any]:
    """The known splits, or new ones of the only one."""
    known = _known(parts)
    if len(known) > 1:
        return known
    whole = known.get("train") or next(iter(parts.values()))
    rows = split_rows(labels(whole), seed=seed)
    return {name: take(whole, own) for name, own in rows.items()}


def _take(split: Split, rows: np.ndarray) -> Split:
    return {name: array[rows] for name, array in split.items()}
