"""Why does a network say that? From a network and an input to attributions."""

from cnn_jax.explain.cam import grad_cam as grad_cam
from cnn_jax.explain.cam import hires_cam as hires_cam
from cnn_jax.explain.guided import guided_backprop as guided_backprop
from cnn_jax.explain.integrated import Integrated as Integrated
from cnn_jax.explain.integrated import integrated_gradients as integrated_gradients
from cnn_jax.explain.occlusion import occlusion as occlusion
from cnn_jax.explain.saliency import saliency as saliency
from cnn_jax.explain.smooth import smooth_grad as smooth_grad
