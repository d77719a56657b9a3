"""Is the answer right where the truth is known, and the arithmetic by hand?"""

import jax
import numpy as np
import pytest
from scipy import stats

from cnn_jax import data, locality
from cnn_jax.data.table_file import cells_of
from cnn_jax.locality import Interval, report, statistics, study

KEY = jax.random.key(0)


def waves(rng, rows, positions=16):
    """Signals whose class is the direction of a short ramp somewhere."""
    y = np.arange(rows) % 2
    x = rng.normal(0, 0.3, (rows, positions))
    at = rng.integers(0, positions - 4, rows)
    for i in range(rows):
        ramp = np.linspace(-2, 2, 4)
        x[i, at[i] : at[i] + 4] += ramp if y[i] else ramp[::-1]
    return x[..., None], y


def noise(rng, rows, columns=8):
    return rng.normal(size=(rows, columns)), np.arange(rows) % 2


@pytest.mark.full
def test_order_is_found_where_it_is(rng):
    found = locality.test(*waves(rng, 300), key=KEY, seeds=4)
    assert found.verdict == locality.CARRIES
    assert found.rule == "rank"
    assert found.p == 0.01
    assert found.effect.mean > 0.03
    assert found.true > found.permuted.max()
    assert found.permuted.shape == (99,)
    assert "Order carries what a CNN can use.\nThe accuracy" in str(found)


@pytest.mark.full
def test_order_is_not_found_where_there_is_none(rng):
    x, y = noise(rng, 500)
    x[:, 3] += 3 * y  # One column tells it all.
    found = locality.test(x, y, key=KEY, seeds=4, margin=0.05)
    assert found.p > 0.02
    assert found.verdict == locality.DOES_NOT
    assert found.accuracy["CNN"].mean() > 0.85
    assert set(found.accuracy) == {"CNN", "MLP", "boosted trees"}


@pytest.mark.full
def test_random_labels_and_many_columns_leave_chance(rng):
    """Nothing that is tested on is looked at while learning."""
    x, y = noise(rng, 200, columns=60)
    x[rng.random(x.shape) < 0.1] = np.nan
    found = locality.test(x, rng.permutation(y), key=KEY, seeds=6, budget=3)
    for name, shares in found.accuracy.items():
        assert abs(shares.mean() - 0.5) < 0.1, name
    assert found.verdict != locality.CARRIES


@pytest.mark.full
def test_the_test_is_that_of_the_definition(rng):
    x, y = noise(rng, 60, columns=5)
    found = locality.test(x, y, key=KEY, seeds=4, budget=3, rivals=False)
    assert found.rule == "t"
    assert found.accuracy.keys() == {"CNN"}
    assert found.rival is None
    again = locality.test(x, y, key=KEY, seeds=4, budget=3, rivals=False)
    assert again.effect == found.effect
    low, high = found.effect.low, found.effect.high
    error = (high - low) / 2 / stats.t.ppf(0.95, 3)
    want = stats.t.sf(found.effect.mean / error, 3)
    assert found.p == pytest.approx(want)
    assert (low + high) / 2 == pytest.approx(found.effect.mean)


def test_the_corrected_error_and_ranks(rng):
    x, y = noise(rng, 60, columns=5)
    found = study._Study(locality.prepare(x, y), 4, KEY)
    values = np.array([0.1, 0.3, 0.0, 0.2])
    want = np.sqrt((1 / 4 + 18 / 42) * values.var(ddof=1))
    reach = stats.t.ppf(0.975, 3) * want
    assert found.interval(values, 0.95) == pytest.approx(
        (0.15, 0.15 - reach, 0.15 + reach)
    )
    assert found.t_test(np.zeros(4)) == 1
    assert found.t_test(np.ones(4)) == 0

    def scored(kind, split, order):  # The true order is second of five.
        true = (order == np.arange(5)).all(axis=1)
        worse = order[:, 0] + 0.5 * (order[:, 0] == 0)
        brier = np.where(true, 0.75, worse)
        return 1 - brier, brier

    found.train = scored
    orders = np.stack([np.roll(np.arange(5), -i) for i in range(5)])
    found.random_orders = lambda count: np.resize(orders[1:], (count, 5))
    found.similar = lambda split: np.array([2, 0, 1, 3, 4])
    ranks = found.ranks(8)
    assert ranks.p == {"true": 1 / 9, "similar": (1 + 4) / 9}
    np.testing.assert_allclose(ranks.permuted, 1 - np.resize([1, 2, 3, 4], 8))


@pytest.mark.parametrize(
    ("p", "low", "high", "verdict"),
    [
        (0.02, -0.01, 0.03, locality.CARRIES),
        (0.03, 0.01, 0.03, locality.NOT_ENOUGH),
        (0.03, -0.019, 0.019, locality.DOES_NOT),
        (0.9, -0.05, 0.01, locality.NOT_ENOUGH),
    ],
)
def test_the_rule(p, low, high, verdict):
    assert report.decide(p, Interval((low + high) / 2, low, high), 0.02) == verdict


def test_rows_that_would_decide():
    """Half the width needs four times the rows."""
    assert statistics.rows_needed(Interval(0.0, -0.04, 0.04), 0.02, 100) == 400
    assert statistics.rows_needed(Interval(0.03, -0.03, 0.09), 0.02, 100) == 400


def test_equal_rows_stay_together_and_parts_are_scaled_by_what_is_learned(rng):
    x, y = noise(rng, 80, columns=4)
    x[:, 1] = 50 + 7 * x[:, 1]
    x[5:30, 2] = np.nan
    x[40:50], y[40:50] = x[:10], y[:10]
    given = locality.prepare(x, y)
    splits = locality.resample(given, 3, np.random.default_rng(0))
    assert "10 rows repeat another one" in " ".join(given.notes)
    for train, test in zip(splits.train_x, splits.test_x, strict=True):
        there = {row.tobytes() for row in train}
        assert not there & {row.tobytes() for row in test}
        np.testing.assert_allclose(train[..., :2, 0].mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(train[..., :2, 0].std(axis=0), 1, atol=1e-5)
        assert (train[..., 2, 0] == 0).sum() > 5
        assert np.abs(test[..., 1, 0].mean()) > 1e-3


def test_a_column_without_variance_in_the_training_rows_becomes_zero(rng):
    x, y = noise(rng, 60, columns=4)
    x[:, 1] = 7.0
    x[0, 1] = 9.0  # Constant in the splits that test on row 0.
    x[:, 2] = np.nan
    x[:2, 2] = 1.0, 2.0  # Without any value in those that test on rows 0 and 1.
    splits = locality.resample(locality.prepare(x, y), 12, np.random.default_rng(0))
    constant = [not train[:, 1].any() for train in splits.train_x]
    missing = [not train[:, 2].any() for train in splits.train_x]
    assert any(constant)
    assert any(missing)
    assert not all(constant)
    assert not splits.test_x[constant][:, :, 1].any()
    assert not splits.test_x[missing][:, :, 2].any()
    assert np.abs(splits.train_x).max() <= 10


def test_pictures_keep_their_shades(rng):
    x = rng.integers(0, 256, (40, 3, 4, 2)).astype(np.uint8)
    x[..., 1] //= 4
    given = locality.prepare(x, np.arange(40) % 2)
    assert given.size == (3, 4)
    splits = locality.resample(given, 2, np.random.default_rng(0))
    first = splits.train_x[0]
    assert first.shape == (28, 12, 2)
    np.testing.assert_allclose(first.mean(axis=(0, 1)), 0, atol=1e-4)
    np.testing.assert_allclose(first.std(axis=(0, 1)), 1, atol=1e-3)
    assert np.abs(first.mean(axis=0)).max() > 0.05  # Not each position by its own.


def test_similar_columns_become_neighbours(rng):
    pairs = rng.normal(size=(100, 3))
    x = np.concatenate([pairs, pairs + rng.normal(0, 0.1, (100, 3))], axis=1)
    found = study._Study(locality.prepare(x, np.arange(100) % 2), 2, KEY)
    order = found.similar(0).tolist()
    assert sorted(order) == list(range(6))
    assert all(abs(order.index(i) - order.index(i + 3)) == 1 for i in range(3))


def test_text_gaps_and_constants_are_handled_and_said(rng):
    rows = 40
    table = np.empty((rows, 4), object)
    table[:, 0] = [("red", "green", "?")[i % 3] for i in range(rows)]
    table[:, 1] = [f"{value:.2f}" for value in rng.normal(size=rows)]
    table[3:7, 1] = ""
    table[:, 2] = 5
    table[:, 3] = rng.normal(size=rows)
    given = locality.prepare(
        table, np.arange(rows) % 2, names=("colour", "a", "b", "c")
    )
    assert given.x.shape == (rows, 4, 1)
    text = "; ".join(given.notes)
    assert "column 'colour' is text and became a column for each value" in text
    assert "missing values became the mean of their column: 'a' (4)" in text
    assert "constant columns were dropped: 'b'" in text
    np.testing.assert_array_equal(given.x[:6, 0, 0], [0, 1, 0, 0, 1, 0])  # green
    np.testing.assert_array_equal(given.x[:6, 1, 0], [1, 0, 0, 1, 0, 0])  # red


def test_columns_are_those_that_are_trained_on(tmp_path):
    """The same table through `data.load` and through `cells_of`."""
    rows = [
        f"{'ab'[i % 2]};c{i};{i % 20 + 1}.3.2024;€ {i % 9},5;{'xyz'[i % 3]}"
        for i in range(60)
    ]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["label;name;day;paid;kind", *rows]) + "\n", "utf-8")
    cells, labels, names = cells_of(path, label="label")
    given = locality.prepare(cells, labels, names=names)
    found = data.load(path, label="label")
    reader = found.origin.reader
    raw = given.x[..., 0][[int(row) - 1 for row in found.origin.names["test"]]]
    want = (raw - np.array(reader.means)) / np.array(reader.deviations)
    np.testing.assert_allclose(found.test["table"], want, atol=1e-4)
    assert any("'name' is an identifier" in note for note in given.notes)
    path.write_text("a,paid\n" + "".join(f"1,{i}.5\n" for i in range(60)))
    with pytest.raises(ValueError, match="'paid' of .* is a quantity, but classes"):
        cells_of(path, label="paid")


def test_a_column_that_is_the_label_is_named(rng):
    x, y = noise(rng, 40)
    x[:, 5] = np.where(y == 1, -3.0, 8.0)
    with pytest.warns(UserWarning, match="column 'paid' is the label by another name"):
        locality.prepare(x, y, names=[*"abcde", "paid", *"gh"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: (x, y * 0), "`labels` is always 0, but needs at least 2 classes"),
        (lambda x, y: (x, x[:, 0]), "40 different values, which is a quantity"),
        (lambda x, y: (x, np.arange(40)), "40 different values, which is a quantity"),
        (lambda x, y: (x, y[:-1]), r"`labels` has shape \(39,\), but needs \(40,\)"),
        (
            lambda x, y: (x, np.where(np.arange(40) < 3, 2, y)),
            r"fewer than 10 rows: 2 \(3\)",
        ),
        (lambda x, y: (x * 0, y), "has constant columns only"),
        (lambda x, y: (x[:, :1], y), "has 1 position.s., but order needs"),
        (
            lambda x, y: (np.where(x > 2, np.inf, x), y),
            "column 'column .' has values that are inf",
        ),
        (lambda x, y: (x[..., None] * np.nan, y), "values that are NaN or infinite"),
    ],
)
def test_data_that_give_no_answer(rng, change, message, as_shipped):
    with pytest.raises(ValueError, match=message):
        locality.test(*change(*noise(rng, 40)), key=KEY)


def test_options_out_of_range(rng):
    x, y = noise(rng, 40)
    for options, message in (
        ({"seeds": 1}, "`seeds` is 1, but must be at least 2"),
        ({"budget": 0}, "`budget` is 0, but must be at least 1"),
        ({"margin": 1.5}, "`margin` is 1.5, but must be between"),
        ({"names": ["a"]}, "`names` has 1 entries, but there are 8 columns"),
    ):
        with pytest.raises(ValueError, match=message):
            locality.test(x, y, key=KEY, **options)
    with pytest.raises(TypeError, match="`inputs` has 1 axes, but a table has 2"):
        locality.test(x[:, 0], y, key=KEY)


@pytest.mark.parametrize(
    ("lead", "start"),
    [
        ((-0.11, -0.14, -0.08), "A CNN is 11.0 points behind trees. There are not"),
        ((0.052, 0.01, 0.09), "A CNN is 5.2 points ahead of trees. There are not"),
        ((-0.01, -0.03, 0.01), "There are not enough data"),
    ],
)
def test_the_distance_to_the_best_rival_is_in_the_headline(lead, start):
    found = locality.Report(
        verdict=locality.NOT_ENOUGH,
        p=0.2,
        rule="rank",
        effect=Interval(0.0, -0.1, 0.1),
        accuracy={},
        permuted=np.zeros(9),
        true=0.5,
        rival="trees",
        lead=Interval(*lead),
    )
    assert found.headline().startswith(start)
