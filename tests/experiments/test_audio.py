import re

import jax
import numpy as np
import pytest
from flax import nnx
from jax.test_util import check_grads

from cnn_jax import training
from experiments import audio
from experiments._shared import percent
from experiments.audio import experiment, models, recordings
from tests import files
from tests.experiments.helpers import report_of


@pytest.mark.full
def test_spoken_digits(tmp_path, data_dir, capsys, monkeypatch):
    linear = models.ModelSpec("MFCC", "linear")
    in_order = [models.CNN, models.MLP, models.CNN_WITH_MASKS, linear]
    shuffled = [models.CNN._replace(order=order) for order in ("bands", "chunks")]
    monkeypatch.setattr(experiment, "IN_ORDER", in_order)
    monkeypatch.setattr(experiment, "SHUFFLED", shuffled)
    config = audio.Config(
        name="test",
        runs=tmp_path,
        data_dir=data_dir,
        max_recordings=200,
        seeds=2,
        epochs=2,
        steps=1,
    )
    result = audio.run(config)
    assert list(result.accuracy) == [*in_order, *shuffled]
    conditions = [*recordings.NOISE_LEVELS, recordings.OTHER]
    for accuracy in result.accuracy.values():
        assert list(accuracy) == conditions
        assert {each.shape for each in accuracy.values()} == {(2,)}
    cnn, mlp = (result.accuracy[spec] for spec in (models.CNN, models.MLP))
    for name in conditions:
        assert result.leads[name][0] == pytest.approx((cnn[name] - mlp[name]).mean())
    for spec in shuffled:
        cost = [
            cnn[name] - result.accuracy[spec][name] for name in recordings.NOISE_LEVELS
        ]
        assert result.costs[spec][0] == pytest.approx(np.mean(cost))
    out, html = capsys.readouterr().out, report_of(result)
    for spec in in_order:
        shown = " +".join(percent(result.accuracy[spec][name]) for name in conditions)
        assert re.search(rf"{re.escape(str(spec))} +{shown}", out)
    assert html.count("<audio") == 3 * 10 + 4
    assert html.count("<img") == 3 + 1 + 2
    assert "Synthetic speech, not people" in out


@pytest.mark.full
def test_a_folder_of_recordings(tmp_path, capsys):
    root = files.chirps(tmp_path / "chirps", per_class=12)
    config = audio.Config(
        name="test",
        runs=tmp_path,
        data=str(root),
        seconds=0.5,
        seeds=1,
        epochs=1,
        steps=1,
    )
    front_ends = models.front_ends(config, 8000)
    splits, classes, notes = recordings.load(config)
    assert classes == ("falls", "rises", "stays")
    assert any("are resampled" in note for note in notes)
    tests = recordings.conditions(splits, np.random.default_rng(0))
    assert list(tests) == ["train", *recordings.NOISE_LEVELS]
    features = models.as_features(front_ends["log-mel"], tests)
    nets, logits = models.train(config, models.CNN_WITH_MASKS, features, classes)
    assert {name: each[0].shape for name, each in logits.items()} == {
        name: (len(splits["test"].labels), 3) for name in recordings.NOISE_LEVELS
    }
    whole = models.join(front_ends["log-mel"], nets[0])
    assert whole.names[:2] == ("spectrogram", "level")
    from_waveform = training.predict(whole, tests["clean"].waveforms)
    np.testing.assert_allclose(from_waveform, logits["clean"][0], atol=1e-4)


@pytest.mark.full
def test_logits_are_differentiable_to_the_waveform(rng):
    config = audio.Config(bands=6)
    front_end = models.front_ends(config, 1000)["log-mel"]
    with jax.enable_x64(True):
        net = models.build(models.CNN, (6, 8, 1), 3, seed=0)
        graph, state = nnx.split(models.join(front_end, net))
        whole = nnx.merge(graph, jax.tree.map(lambda w: w.astype(float), state))
        waveform = np.sin(np.arange(200) ** 1.3) + 0.1 * rng.standard_normal(200)
        model = jax.jit(lambda x: whole(x))
        check_grads(model, [waveform], order=1, eps=1e-6, rtol=1e-3)
        gradient = jax.jit(jax.grad(lambda x: whole(x)[0]))(waveform)
    assert np.count_nonzero(gradient) > 190


def test_noise_has_the_given_level(rng):
    waveforms = np.zeros((3, 40_000), np.float32)
    waveforms[0, :30_000] = 0.2 * rng.standard_normal(30_000)
    waveforms[1, :500] = 0.5
    added = (
        recordings.add_noise(rng, waveforms, np.array([0.0, 20.0, 10.0])) - waveforms
    )
    power = (added**2).mean(axis=1)
    np.testing.assert_allclose(power, [0.04, 0.25 / 100, 0], rtol=0.03)
    np.testing.assert_array_equal(
        recordings.add_noise(rng, waveforms, np.inf), waveforms
    )


def test_a_recording_is_shifted_as_a_whole(rng):
    waveforms = np.zeros((500, 9), np.float32)
    waveforms[:, :4] = [1, 0, 2, 3]
    waveforms[0] = np.arange(1, 10)
    moved = recordings.shift(rng, waveforms)
    np.testing.assert_array_equal(moved[0], waveforms[0])
    begins = np.argmax(moved[1:] == 1, axis=1)
    assert set(begins) == set(range(6))
    for waveform, begin in zip(moved[1:], begins, strict=True):
        np.testing.assert_array_equal(np.roll(waveform, -begin), waveforms[1])


def test_an_order_is_the_same_for_all_recordings(rng):
    split = {"image": rng.standard_normal((5, 6, 7, 1)), "label": np.arange(5)}
    for order, axis in {"bands": 1, "chunks": 2}.items():
        spec = models.CNN._replace(order=order)
        images = models.reorder(spec, 3, split)["image"]
        assert not np.array_equal(images, split["image"])
        first = [np.take(images, 0, axis=axis), split["image"]]
        assert any(
            np.array_equal(first[0], np.take(first[1], i, axis=axis)) for i in range(7)
        )
        rows = np.sort(images, axis=axis), np.sort(split["image"], axis=axis)
        np.testing.assert_array_equal(*rows)
        again = models.reorder(spec, 3, split)["image"]
        np.testing.assert_array_equal(images, again)
        other = models.reorder(spec, 4, split)["image"]
        assert not np.array_equal(images, other)


def test_images_are_refused(tmp_path):
    root = files.digits(tmp_path / "digits", per_class=6)
    with pytest.raises(ValueError, match="digits', which has no audio"):
        recordings.load(audio.Config(data=str(root)))


@pytest.mark.parametrize(
    ("message", "options"),
    [
        ("`seconds` is 1.0, which a set of images does not use", {"data": "digits"}),
        ("there is no data set 'wrods'", {"data": "wrods"}),
        ("`n_mels` is 300, but .* bands contain none", {"bands": 300}),
        ("`seconds` is -1.0, but must be above 0", {"seconds": -1.0}),
        ("`rate` is -8, but must be above 0", {"rate": -8}),
        ("`seeds` is 0, but must be at least 1", {"seeds": 0}),
    ],
)
def test_wrong_options_are_refused(tmp_path, data_dir, message, options):
    with pytest.raises(ValueError, match=message):
        audio.run(audio.Config(runs=tmp_path, data_dir=data_dir, **options))
    assert not list(tmp_path.iterdir())
