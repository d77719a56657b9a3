"""A trained network loaded from a run folder, and the defaults for data sets."""

import dataclasses
import json

import numpy as np
import pytest
from sklearn.metrics import r2_score

from cnn_jax import data, trained, training
from cnn_jax.data.columns import NumberColumn
from cnn_jax.data.dataset import Origin
from cnn_jax.data.readers import AudioReader, ImageReader
from cnn_jax.data.table import Table
from tests import files


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return files.digits(tmp_path_factory.mktemp("files") / "digits", per_class=30)


@pytest.fixture(scope="module")
def run(digits, tmp_path_factory):
    """A run after one epoch."""
    dataset = data.load(str(digits), size=32)
    metadata = trained.make_metadata(dataset, "lenet5_relu", str(digits))
    runs = tmp_path_factory.mktemp("runs")
    folder = training.Run.create(runs, "train", "a", metadata).folder
    trained.write_splits(folder, dataset)
    config = trained.default_config(dataset, "lenet5_relu", epochs=1)
    list(training.fit(metadata.build(), dataset, config, folder=folder))
    return folder


def test_metadata_are_read_as_written(run, digits):
    metadata = trained.read_metadata(run)
    assert metadata.data == str(digits)
    assert metadata.classes == tuple("0123456789")
    assert metadata.options == {"classes": 10, "size": 32, "channels": 1}
    assert trained.load(run).about == metadata


def test_one_compilation_serves_any_number_of_files(run, digits, monkeypatch):
    calls = []

    def predict(net, inputs, *, batch_size):
        calls.append((inputs.shape, batch_size))
        return np.zeros((len(inputs), 10), np.float32)

    monkeypatch.setattr(training, "predict", predict)
    paths = sorted(digits.rglob("*.png"))
    predictions = list(trained.load(run).predict(paths))
    assert [name for name, _ in predictions] == list(map(str, paths))
    assert set(calls) == {((64, 32, 32, 1), 64)}
    assert len(calls) == 5


def test_few_files_are_in_memory_at_a_time(run, monkeypatch):
    """Reading is at most one batch and one read-ahead window before the predictions."""
    read, ahead = [], 0

    def blank(reader, path):
        read.append(path)
        return np.zeros(reader.shape, np.uint8)

    monkeypatch.setattr(ImageReader, "read", blank)
    names = [f"{i}.png" for i in range(1000)]
    for predicted, _ in enumerate(trained.load(run).predict(names), 1):
        ahead = max(ahead, len(read) - predicted)
    assert len(read) == 1000
    assert ahead <= 64 + 64 + 1


def dataset(shape, reader=None, rows=40):
    name = {1: "signal" if reader else "table", 3: "image"}[len(shape)]
    split = {name: np.zeros((rows, *shape), np.float32), "label": np.arange(rows) % 2}
    origin = None if reader is None else Origin(reader, {})
    return data.Dataset(train=split, test=split, classes=("a", "b"), origin=origin)


@pytest.mark.parametrize(
    ("shape", "reader", "model", "options", "augment"),
    [
        ((7,), None, "mlp", {"shape": [7]}, ()),
        ((80,), AudioReader(80, 80), "sound_net", {"rate": 80}, ()),
        (
            (40, 45, 1),
            None,
            "small_vgg",
            {"size": 40, "channels": 1},
            ("affine", "elastic", "flip"),
        ),
    ],
)
def test_defaults_follow_the_data(shape, reader, model, options, augment):
    found = dataset(shape, reader)
    assert trained.default_model(found)[0] == model
    assert trained.default_options(model, found) == {"classes": 2} | options
    assert (
        trained.default_config(found, model, harmless=["mirrored"]).augment == augment
    )


@pytest.mark.parametrize(
    ("rows", "batch_size", "epochs"), [(10, 10, 60), (200, 25, 60), (4000, 64, 16)]
)
def test_batches_and_epochs_follow_the_number_of_examples(rows, batch_size, epochs):
    config = trained.default_config(dataset((3,), rows=rows), "mlp")
    assert (config.batch_size, config.epochs) == (batch_size, epochs)
    given = trained.default_config(dataset((3,)), "mlp", epochs=5, seed=None)
    assert (given.epochs, given.seed) == (5, 0)


def test_unusable_models_and_data_are_refused():
    with pytest.raises(ValueError, match="reads grey images, not colours"):
        trained.default_options("xo_net", dataset((32, 32, 3)))
    with pytest.raises(
        ValueError, match="reads images, but the data are audio; 'sound_net'"
    ):
        trained.default_options("resnet20", dataset((80,), AudioReader(80, 80)))
    with pytest.raises(ValueError, match=r"shape \(3,\), for which there is no reader"):
        trained.make_metadata(dataset((3,)), "mlp", "mine")


def quantities(rng, rows=40):
    split = {
        "table": rng.normal(size=(rows, 3)).astype(np.float32),
        "label": rng.normal(5000, 300, (rows, 1)).astype(np.float32),
    }
    origin = Origin(Table((NumberColumn("a"),), (0.0,), (1.0,)), {})
    return data.Dataset(train=split, test=split, classes=("price",), origin=origin)


def test_quantities_are_standardised_and_given_back(rng):
    found = quantities(rng)
    about = trained.make_metadata(found, "mlp", "mine")
    labels = found.train["label"]
    want = (float(labels.mean(dtype=np.float64)), float(labels.std(dtype=np.float64)))
    assert about.target == pytest.approx(want)
    assert about.options == {"classes": 1, "shape": [3]}
    scaled = trained.standardised(found, about.target)
    assert scaled.train["label"].dtype == np.float32
    np.testing.assert_allclose(scaled.test["label"].mean(), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.test["label"].std(), 1, atol=1e-5)
    np.testing.assert_allclose(about.decode(scaled.test["label"]), labels, rtol=1e-6)
    classes = dataset((3,), Table((NumberColumn("a"),), (0.0,), (1.0,)))
    about = trained.make_metadata(classes, "mlp", "mine")
    assert about.target is None
    assert trained.standardised(classes, None) is classes
    np.testing.assert_allclose(about.decode(np.zeros((1, 2))), 0.5)


def test_a_quantity_is_judged_beside_boosted_trees(rng, tmp_path):
    found = quantities(rng, 300)
    label = 5000 + 300 * found.train["table"][:, :1] + rng.normal(size=(300, 1))
    split = found.train | {"label": label.astype(np.float32)}
    simple = trained.baseline(dataclasses.replace(found, train=split, test=split))
    assert simple.name == "boosted trees"
    assert 1 < simple.score < 100  # The noise is 1, the spread 300.
    scores = trained.quantity_scores(label - 200, label, mean=5000.0, simple=simple)
    assert scores.remarks() == [
        "The simple method is at least as accurate: use boosted trees."
    ]
    nothing = trained.quantity_scores(0 * label, label, mean=5000.0, simple=simple)
    assert "learned nothing" in nothing.remarks()[0]
    right = trained.quantity_scores(label, label, mean=5000.0, simple=simple)
    assert right.remarks() == []
    trained.write_verdict(tmp_path, right)
    assert trained.read_baseline(tmp_path) == simple


def test_scores_of_quantities_are_those_of_the_definition(rng):
    true = rng.normal(50, 10, (5000, 1))
    predicted = true + rng.normal(0, 3, (5000, 1))
    scores = trained.quantity_scores(predicted, true, mean=48.0)
    assert scores.rmse.value == pytest.approx(np.sqrt(np.mean((predicted - true) ** 2)))
    assert scores.r2.value == pytest.approx(r2_score(true, predicted))
    assert scores.constant == pytest.approx(np.sqrt(np.mean((true - 48) ** 2)))
    # The standard error of an RMSE of normal errors is rmse / √(2 n).
    width = (scores.rmse.high - scores.rmse.low) / 2
    assert width == pytest.approx(1.96 * 3 / 100, rel=0.1)
    assert scores.r2.low < scores.r2.value < scores.r2.high
    assert np.isnan(trained.quantity_scores(true[:1], true[:1], mean=0.0).r2.value)


def written(folder, **fields):
    """A folder with the metadata of a run on a quantity, with these fields changed."""
    reader = {"kind": "table", "columns": ["a"], "means": [0.0], "deviations": [1.0]}
    about = trained.Metadata("x", "mlp", {"shape": [1]}, ("a",), reader)
    config = json.loads(json.dumps(dataclasses.asdict(about))) | fields
    kept = {name: value for name, value in config.items() if value != "absent"}
    (folder / "config.json").write_text(json.dumps(kept))
    return folder


def test_runs_of_earlier_versions_are_read(tmp_path):
    with pytest.warns(UserWarning, match="config.json has no `checksums`, as in runs"):
        about = trained.read_metadata(
            written(tmp_path, target="absent", checksums="absent")
        )
    assert about.target is None
    with pytest.warns(UserWarning, match="has no `checksums`"):
        about = trained.read_metadata(
            written(tmp_path, target=[3.0, 2.0], checksums="absent")
        )
    assert about.target == (3.0, 2.0)


def test_data_may_be_moved_and_nothing_else_changed(tmp_path):
    assert trained.read_metadata(written(tmp_path, data="elsewhere")).data
    for name, value in {
        "classes": ["b"],
        "seed": 1,
        "options": {"shape": [2]},
        "target": [1.0, 2.0],
        "label": "c",
    }.items():
        with pytest.raises(ValueError, match=f"config.json was changed .*`{name}`"):
            trained.read_metadata(written(tmp_path, **{name: value}))
