"""Should I use a convolutional network on this data? A measured answer.

A convolution looks for patterns among neighbours, so it helps only where the order of
positions carries information. That can be tested: put the columns (or pixels, or
samples) into another order, the same for every example, and train the same network
again. If it is as accurate as before, order carried nothing that it could use.

    report = locality.test(table, labels, key=jax.random.key(0))
    print(report)
"""

from cnn_jax.locality.inputs import PreparedData as PreparedData
from cnn_jax.locality.inputs import prepare as prepare
from cnn_jax.locality.networks import ModelSpec as ModelSpec
from cnn_jax.locality.networks import train as train
from cnn_jax.locality.report import CARRIES as CARRIES
from cnn_jax.locality.report import DOES_NOT as DOES_NOT
from cnn_jax.locality.report import NOT_ENOUGH as NOT_ENOUGH
from cnn_jax.locality.report import Report as Report
from cnn_jax.locality.report import Verdict as Verdict
from cnn_jax.locality.splits import Splits as Splits
from cnn_jax.locality.splits import resample as resample
from cnn_jax.locality.statistics import Interval as Interval
from cnn_jax.locality.statistics import corrected_t as corrected_t
from cnn_jax.locality.study import ENOUGH as ENOUGH
from cnn_jax.locality.study import test as test
