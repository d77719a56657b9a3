"""Networks for other programs: ONNX, StableHLO and safetensors."""

from cnn_jax.export.onnx import check_onnx as check_onnx
from cnn_jax.export.onnx import onnx as onnx
from cnn_jax.export.safetensors import safetensors as safetensors
from cnn_jax.export.stablehlo import check_stablehlo as check_stablehlo
from cnn_jax.export.stablehlo import stablehlo as stablehlo
from cnn_jax.export.stablehlo import takes_weights as takes_weights
from cnn_jax.export.stablehlo import weights_of as weights_of
from cnn_jax.export.stages import Quantity as Quantity
