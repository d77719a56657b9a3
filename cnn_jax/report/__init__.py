"""Figures from arrays, and HTML reports."""

from cnn_jax.report.attributions import signed_bars as signed_bars
from cnn_jax.report.attributions import signed_maps as signed_maps
from cnn_jax.report.attributions import signed_signal as signed_signal
from cnn_jax.report.attributions import units as units
from cnn_jax.report.figures import bars as bars
from cnn_jax.report.figures import calibration as calibration
from cnn_jax.report.figures import confusion as confusion
from cnn_jax.report.figures import curves as curves
from cnn_jax.report.figures import dots as dots
from cnn_jax.report.figures import images as images
from cnn_jax.report.figures import numbers as numbers
from cnn_jax.report.page import Page as Page
