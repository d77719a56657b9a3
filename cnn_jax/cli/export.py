"""`cnn-jax export`."""

import dataclasses
import io
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

import cnn_jax.functional as F
from cnn_jax import export, models, nn, trained
from cnn_jax.cli.options import optional, positional
from cnn_jax.export.network import check_equal, outputs_of, random_input
from cnn_jax.training.run_files import write_whole

Format = Literal["onnx", "stablehlo", "safetensors"]


@dataclasses.dataclass(frozen=True)
class Export:
    """Write a trained network for other programs, and compare it with its source.

    ONNX and StableHLO read what the reader of the run makes of a file: bytes of an
    image, samples of audio or encoded columns of a table. They return the probability
    of each class or the quantity, as `cnn-jax predict` does. safetensors has the
    weights alone, under PyTorch's names.

    Args:
        run: The run folder.
        to: The format.
        file: The file that is written; another one is replaced.
        input: Whether ONNX reads images with channels last or first.
        opset: The version of ONNX's operators, 13 or later.
        fuse_batch_norm: Makes batch normalizations part of the convolutions in ONNX.
    """

    run: Annotated[Path, *positional("RUN")]
    to: Format
    file: Annotated[Path | None, optional("FILE", "RUN/model.FORMAT")] = None
    input: Literal["nhwc", "nchw"] = "nhwc"
    opset: int = 17
    fuse_batch_norm: bool = False

    def __call__(self) -> int:
        """Writes the file after the comparison, and tells how to use it."""
        run = trained.load(self.run)
        file = self.file or self.run / f"model.{self.to}"
        if not file.parent.is_dir():
            raise FileNotFoundError(f"{file.parent} is no folder to write {file} to.")
        write = {
            "onnx": self._onnx,
            "stablehlo": self._stablehlo,
            "safetensors": self._safetensors,
        }
        difference = write[self.to](run, file)
        print(f"{file}: {file.stat().st_size / 1e6:,.1f} MB")
        print(
            f"The outputs for random inputs differ from those of the run by "
            f"{difference:.1e} of the largest."
        )
        return 0

    def _onnx(self, run: trained.Trained, file: Path) -> float:
        net, normalize, shape = predicting(run)
        given: Any = {"input": self.input, "normalize": normalize}
        written: Any = {"fuse_batch_norm": self.fuse_batch_norm, "opset": self.opset}
        texts: Any = {"classes": run.about.classes, "metadata": described(run)}
        model = export.onnx(net, shape, **given, **written, **texts)
        # Probabilities near 0 and 1 would hide differences of the logits.
        logits = export.onnx(run.net, shape, **given, **written)
        difference = max(
            export.check_onnx(model, net, shape, **given),
            export.check_onnx(logits, run.net, shape, **given),
        )
        write_whole(file, model.SerializeToString())
        return difference

    def _stablehlo(self, run: trained.Trained, file: Path) -> float:
        net, normalize, shape = predicting(run)
        data = export.stablehlo(net, shape, normalize=normalize)
        logits = export.stablehlo(run.net, shape, normalize=normalize)
        difference = max(
            export.check_stablehlo(data, net, shape, normalize=normalize),
            export.check_stablehlo(logits, run.net, shape, normalize=normalize),
        )
        weights = ""
        if export.takes_weights(data):
            content = io.BytesIO()
            arrays: Any = export.weights_of(net)
            np.savez(content, **arrays)
            beside = file.with_suffix(".npz")
            write_whole(beside, content.getvalue())
            weights = f"dict(numpy.load({str(beside)!r})), "
        write_whole(file, data)
        print(
            f"jax.export.deserialize(bytearray(open({str(file)!r}, 'rb').read()))"
            f".call({weights}x)"
        )
        return difference

    def _safetensors(self, run: trained.Trained, file: Path) -> float:
        classes, metadata = run.about.classes, described(run)
        data = export.safetensors(run.net, classes=classes, metadata=metadata)
        write_whole(file, data)
        return _reloaded_difference(run, file)


def predicting(
    run: trained.Trained,
) -> tuple[nn.Chain, models.Normalize | None, tuple[int, ...]]:
    """The network of a run, with predictions as its outputs.

    Args:
        run: A run.

    Returns:
        The network, what makes its input of bytes, and the shape of an input.
    """
    stages: dict[str, nn.Stage] = {"network": run.net}
    if run.about.target is None:
        stages["probabilities"] = F.softmax
    else:
        stages["quantity"] = export.Quantity(*run.about.target)
    shape = tuple(run.reader.shape)
    if run.reader.kind != "image":
        return nn.Chain(stages), None, shape
    # Bytes become floats from −1 to 1, as in training.
    half = (0.5,) * shape[-1]
    return nn.Chain(stages), models.Normalize(half, half), shape


def described(run: trained.Trained) -> dict[str, str]:
    """Texts for the metadata of a file: how inputs are read, and the network."""
    return {
        "model": run.about.model,
        "reader": json.dumps(run.about.reader),
        "options": json.dumps(run.about.options),
    }


def _reloaded_difference(run: trained.Trained, file: Path) -> float:
    """How much the outputs of the network with the weights of the file differ."""
    state, net = models.read_state_dict(file), run.about.build()
    torchvision = state.keys() != models.to_state_dict(net, layout="paths").keys()
    layout = "torchvision" if torchvision else "paths"
    models.from_state_dict(net, state, layout=layout)
    x = random_input(run.reader.shape, np.float32)
    return check_equal(str(file), outputs_of(net, x), outputs_of(run.net, x))
