"""ONNX of spectrograms, by the operator STFT of opset 17."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import cnn_jax.functional as F
from cnn_jax import nn
from cnn_jax.export.onnx_graph import Graph
from cnn_jax.functional.fourier import window_values
from cnn_jax.nn.walk import Node

DECIBELS = 10 / math.log(10)


def spectrogram(graph: Graph, node: Node, x: str) -> str:
    """The power of each frequency, (batch, 1, bands, frames)."""
    return _maps(graph, _energy(graph, node.stage, x))


def log_mel(graph: Graph, node: Node, x: str) -> str:
    """A mel spectrogram in decibels."""
    return _maps(graph, _decibels(graph, node.stage, x))


def mfcc(graph: Graph, node: Node, x: str) -> str:
    """The cosine transform of each column of a mel spectrogram."""
    stage: Any = node.stage
    bands = np.arange(stage.n_mels)
    rows = np.arange(stage.n_mfcc)[:, None]
    cosines = np.cos(np.pi * rows * (2 * bands + 1) / (2 * stage.n_mels))
    cosines *= np.where(rows == 0, math.sqrt(1 / 2), 1) * math.sqrt(2 / stage.n_mels)
    frames = _decibels(graph, stage, x)
    return _maps(graph, graph.add("MatMul", frames, graph.constant("dct", cosines.T)))


def _maps(graph: Graph, frames: str) -> str:
    """Frames (batch, frames, bands) as maps with one channel."""
    x = graph.add("Transpose", frames, perm=[0, 2, 1])
    return graph.shaped("Unsqueeze", x, [1])


def _energy(graph: Graph, stage: Any, x: str) -> str:
    """The power of each frequency, (batch, frames, bands)."""
    if graph.opset < 17:
        raise ValueError(f"a spectrogram needs opset 17, but it is {graph.opset}")
    length = stage.n_fft if stage.win_length is None else stage.win_length
    hop = stage.hop_length or max(length // 4, 1)
    if stage.center:
        half = stage.n_fft // 2
        sizes = graph.constant("pads", [0, half, 0, half], np.int64)
        x = graph.add("Pad", x, sizes, graph.constant("value", 0.0))
    amplitude = graph.add(
        "STFT",
        graph.shaped("Unsqueeze", x, [2]),
        graph.constant("hop", hop, np.int64),
        graph.constant("window", window_values(stage.window, length, stage.n_fft)),
        graph.constant("length", stage.n_fft, np.int64),
        onesided=1,
    )
    square = graph.add("Mul", amplitude, amplitude)
    last = graph.constant("parts", [3], np.int64)
    energy = graph.add("ReduceSum", square, last, keepdims=0)
    if stage.power == 2:
        return energy
    return graph.add("Pow", energy, graph.constant("power", stage.power / 2))


def _decibels(graph: Graph, stage: Any, x: str) -> str:
    """Decibels of mel bands, (batch, frames, bands)."""
    names = ("sr", "n_fft", "n_mels", "fmin", "fmax", "htk", "norm")
    bank = F.mel_filterbank(**{name: getattr(stage, name) for name in names})
    mel = graph.constant("mel", np.asarray(bank).T)
    bands = graph.add("MatMul", _energy(graph, stage, x), mel)
    bands = graph.add("Max", bands, graph.constant("amin", stage.amin))
    decibels = graph.add("Log", bands)
    decibels = graph.add("Mul", decibels, graph.constant("decibels", DECIBELS))
    if stage.top_db is None:
        return decibels
    peak = graph.axes("ReduceMax", decibels, (1, 2), keepdims=1)
    floor = graph.add("Sub", peak, graph.constant("top_db", stage.top_db))
    return graph.add("Max", decibels, floor)


def peak_norm(graph: Graph, node: Node, x: str) -> str:
    """Decibels relative to their peak, from 0 to 1."""
    stage: Any = node.stage
    peak = graph.axes("ReduceMax", x, (2, 3), keepdims=1)
    peak = graph.add("Max", peak, graph.constant("min_peak", stage.min_peak_db))
    x = graph.affine(graph.add("Sub", x, peak), 1 / stage.top_db, 1.0)
    return graph.add("Relu", x)


AUDIO: dict[type, Callable[..., str]] = {
    nn.Spectrogram: spectrogram,
    nn.LogMel: log_mel,
    nn.MFCC: mfcc,
    nn.PeakNorm: peak_norm,
}
