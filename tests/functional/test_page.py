import doctest

import numpy as np
import pytest

from tests import page
from tests.helpers import assert_close

NAMES, PAIRS = page.lines()
HERE = [pair for pair in PAIRS if not page.is_torch(pair[0])]


def test_the_page_has_both_parts():
    assert len(PAIRS) > 35
    assert 10 <= len(HERE) < len(PAIRS) - 20


@pytest.mark.full
def test_its_examples_run():
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.testfile(str(page.PAGE), module_relative=False, optionflags=flags)
    assert result.failed == 0
    assert result.attempted > 20


@pytest.mark.full
@pytest.mark.parametrize(("theirs", "ours"), HERE, ids=lambda call: call[:30])
def test_jax_and_flax_agree(theirs, ours):
    want, got = eval(theirs, NAMES), eval(ours, NAMES)
    assert np.shape(got) == np.shape(want)
    if not page.has_random_weights(theirs):
        assert_close(got, want)
