"""Why does a network say that? From a network and an input to attributions."""

from cnn_jax.explain.cam import grad_cam as grad_cam
from cnn_jax.explain.cam import hires_cam as hires_cam
from cnn_jax.explain.examples import Nearest as Nearest
from cnn_jax.explain.examples import TopExamples as TopExamples
from cnn_jax.explain.examples import nearest_examples as nearest_examples
from cnn_jax.explain.examples import top_examples as top_examples
from cnn_jax.explain.filters import feature_maps as feature_maps
from cnn_jax.explain.filters import filters as filters
from cnn_jax.explain.guided import guided_backprop as guided_backprop
from cnn_jax.explain.integrated import Integrated as Integrated
from cnn_jax.explain.integrated import integrated_gradients as integrated_gradients
from cnn_jax.explain.maximize import Maximized as Maximized
from cnn_jax.explain.maximize import maco as maco
from cnn_jax.explain.maximize import magnitudes as magnitudes
from cnn_jax.explain.maximize import maximize as maximize
from cnn_jax.explain.occlusion import occlusion as occlusion
from cnn_jax.explain.saliency import saliency as saliency
from cnn_jax.explain.smooth import smooth_grad as smooth_grad
from cnn_jax.explain.terms import Term as Term
from cnn_jax.explain.terms import Terms as Terms
from cnn_jax.explain.terms import largest_terms as largest_terms
from cnn_jax.explain.terms import terms as terms
