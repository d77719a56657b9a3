"""The famous networks: their sizes, to the last weight, and that they learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from sklearn.datasets import load_digits

from cnn_jax import data, models, nn, training
from cnn_jax.training.trainer import Trainer

# As the issue of each paper's weights has it; torchvision's table of its weights.
PARAMETERS = {
    "lenet5": 61_706,
    "alexnet": 61_100_840,
    "vgg11": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "vgg11_bn": 132_868_840,
    "vgg16_bn": 138_365_992,
    "googlenet": 6_624_904,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "densenet121": 7_978_856,
    "densenet161": 28_681_000,
    "densenet169": 14_149_480,
    "densenet201": 20_013_928,
}
# torchvision's "GFLOPS", which are billions of multiply-adds, at 224 × 224.
BILLIONS = {
    "alexnet": 0.71,
    "vgg11": 7.61,
    "vgg16": 15.47,
    "vgg19": 19.63,
    "googlenet": 1.50,
    "resnet18": 1.81,
    "resnet50": 4.09,
    "resnet152": 11.51,
    "densenet121": 2.83,
    "densenet201": 4.29,
}
SMALL = ("resnet20", "resnet32", "resnet44", "resnet56", "resnet110")


QUICK = ("lenet5", "alexnet", "vgg16", "resnet50")


@pytest.mark.parametrize(
    "name",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.full)
        for name in PARAMETERS
    ],
)
def test_weights_to_the_last_and_multiply_adds_as_published(name):
    size = (32, 32, 1) if name == "lenet5" else (224, 224, 3)
    found = nn.summary(models.outline(name), size)
    assert found.parameters == PARAMETERS[name]
    assert found.rows[-1].volume == (10 if name == "lenet5" else 1000,)
    if name in BILLIONS:
        published = BILLIONS[name] * 1e9
        assert found.multiply_adds == pytest.approx(published, rel=0.01)


def weights_of(net):
    return sum(
        np.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(net, nnx.Param))
    )


def test_heads_are_counted_with_the_network():
    net = models.outline("googlenet")
    assert weights_of(net) == 13_004_888
    assert set(net.heads) == {"aux1", "aux2"}


@pytest.mark.full
def test_small_residual_nets_are_table_6():
    millions = {20: 0.27, 32: 0.46, 44: 0.66, 56: 0.85, 110: 1.7}
    for depth, want in millions.items():
        found = weights_of(models.outline(f"resnet{depth}"))
        assert found / 1e6 == pytest.approx(want, abs=0.03)
    # 3 × 3 windows: 1 + 6 at stride 1, then 1 + 5 that begin to halve, twice.
    size = 1 + 2 * 7 + (2 + 5 * 4) + (4 + 5 * 8)
    rows = nn.summary(models.outline("resnet20"), (32, 32, 3)).rows
    assert (
        max(row.receptive_field.size[0] for row in rows if row.receptive_field) == size
    )
    plain = models.outline("resnet20", plain=True)
    shapes = [
        nn.summary(net, (32, 32, 3)).parameters
        for net in (plain, models.outline("resnet20"))
    ]
    assert shapes[0] == shapes[1]


@pytest.mark.full
def test_an_outline_takes_no_memory():
    net = models.outline("resnet152")
    leaves = jax.tree.leaves(nnx.state(net))
    assert all(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in leaves)
    assert sum(np.prod(leaf.shape) for leaf in leaves) > 60_192_808


@pytest.mark.full
def test_receptive_fields_of_branches():
    """That of a unit is where the gradient of its output is not zero."""
    rngs = nnx.Rngs(0)
    conv = {n: nn.Conv(1, 1, (n, n), padding=n // 2, rngs=rngs) for n in (3, 7)}
    for stage in (
        nn.Branches({"small": conv[3], "large": conv[7]}),
        nn.Residual(nn.Chain({"a": conv[3], "b": conv[3]})),
        nn.Residual(nn.Chain({"a": conv[3]}), nn.Chain({"b": conv[7]})),
    ):
        net = nn.Chain({"pool": nn.MaxPool((2, 2)), "stage": stage})
        field = nn.summary(net, (40, 40, 1)).rows[-1].receptive_field
        x = jax.random.normal(jax.random.key(0), (40, 40, 1))
        slope = jax.grad(lambda x, net=net: net(x)[9, 9].sum())(x)[..., 0]
        (step, _), (offset, _) = field.stride, field.offset
        middle = 9 * step + offset
        reach = np.arange(40)[np.abs(np.arange(40) - middle) <= (field.size[0] - 1) / 2]
        seen = np.flatnonzero(np.abs(slope).sum(axis=1))
        assert seen.min() >= reach.min()
        assert seen.max() <= reach.max()
        # A pool passes one gradient of each two on, so one pixel may be missing.
        assert len(reach) - len(seen) <= field.size[0] // 2
        assert seen.min() - reach.min() <= 1


def test_paths_of_weights_are_those_of_the_stages():
    net = models.outline("resnet18")
    names = [row.name for row in nn.summary(net, (64, 64, 3)).rows]
    assert names[:6] == [
        "conv1", "norm1", "relu1", "pool1", "layer1/0/conv1", "layer1/0/norm1",
    ]  # fmt: skip
    assert "layer2/0/shortcut/conv" in names
    assert names.index("layer2/0") > names.index("layer2/0/shortcut/norm")
    paths = {
        "/".join(str(key.key) for key in path)
        for path, _ in jax.tree.leaves_with_path(nnx.to_pure_dict(nnx.state(net)))
    }
    assert "stages/layer2/stages/0/shortcut/stages/conv/kernel" in paths
    assert net.run is not None
    assert "layer1/0" in [path for path, _ in net.steps()]


@pytest.mark.full
@pytest.mark.parametrize(
    "name", ["resnet20", pytest.param("googlenet", marks=pytest.mark.full)]
)
def test_any_size_and_any_number_of_channels(name):
    net = models.outline(name, classes=5, channels=4)
    for size in ((32, 48, 4), (75, 64, 4)):
        assert nn.summary(net, size).rows[-1].volume == (5,)


@pytest.mark.full
def test_a_new_head_on_an_old_network():
    net = models.build("resnet20", rngs=nnx.Rngs(0))
    new = models.with_head(net, classes=3, rngs=nnx.Rngs(1))
    assert new.names == net.names
    x = jnp.ones((2, 16, 16, 3))
    view = nnx.view(new, use_running_average=True)
    assert nnx.jit(lambda net, x: net(x))(view, x).shape == (2, 3)


def test_recipes_are_configurations():
    for name in models.MODELS:
        config = training.Config(**models.hyperparameters(name))
        assert config.epochs >= 10
    aux = training.Config(**models.hyperparameters("googlenet")).head_weights
    assert {head for head, _ in aux} == set(models.outline("googlenet").heads)


def test_refusals(as_shipped):
    with pytest.raises(ValueError, match="no network 'resnet19'; there is resnet1"):
        models.build("resnet19", rngs=nnx.Rngs(0))
    with pytest.raises(
        ValueError, match="`size` is 40, but alexnet needs at least 63: "
    ):
        models.build("alexnet", size=40, rngs=nnx.Rngs(0))
    with pytest.raises(
        ValueError, match="stage 'pool5'.*needs|needs at least 32: stage"
    ):
        models.build("vgg11", size=20, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="`size` is 20, but LeNet-5 needs at least 32"):
        models.build("lenet5", size=20, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="`depth` is 17, but must be one of"):
        models.resnet(depth=17, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="`depth` is 21, but must be 6n"):
        models.small_resnet(depth=21, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="`out_features` is 0"):
        models.build("resnet20", classes=0, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="`width` is 0.01, but must leave"):
        models.mobilenet_v1(width=0.01, rngs=nnx.Rngs(0))
    net = models.outline("resnet20")
    with pytest.raises(ValueError, match="stage 'conv1', given 32×32×1: .*1 channels"):
        nn.summary(net, (32, 32, 1))
    chain = nn.Chain({"mean": nn.GlobalAvgPool()})
    with pytest.raises(TypeError, match="last stage is 'mean', a GlobalAvgPool"):
        models.with_head(chain, classes=3, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="`branches` is empty"):
        nn.Branches({})


def digits(size, count=64):
    """Real pictures, in three channels and at a size of one's choosing."""
    found = load_digits()
    images = np.repeat(found.images[:count, ..., None] / 8 - 1, 3, axis=-1)
    shape = (count, size, size, 3)
    grown = np.asarray(jax.image.resize(images.astype(np.float32), shape, "linear"))
    split = {"image": grown, "label": found.target[:count].astype(np.int32)}
    return data.Dataset(split, split, tuple("0123456789"))


# One of each kind of block; the other depths are made by the same functions.
LEARNING = (
    "alexnet", "vgg16", "vgg11_bn", "googlenet", "resnet20", "resnet18", "resnet50",
    "densenet121", "mobilenet_v1",
)  # fmt: skip


@pytest.mark.full
@pytest.mark.parametrize("name", LEARNING)
def test_one_step_of_training(name):
    sets = digits(16 if name in SMALL else 64, 4)
    narrow = {"hidden": 32} if name.startswith("vgg") else {}
    net = models.build(name, classes=10, rngs=nnx.Rngs(0), **narrow)
    before = [np.array(w) for w in jax.tree.leaves(nnx.state(net, nnx.Param))]
    heads = models.hyperparameters(name).get("head_weights", ())
    config = training.Config(1, batch_size=4, optimizer="sgd", head_weights=heads)
    (record,) = training.fit(net, sets, config)
    assert np.isfinite(record.loss)
    after = jax.tree.leaves(nnx.state(net, nnx.Param))
    moved = [(a != b).any() for a, b in zip(after, before, strict=True)]
    assert np.mean(moved) > 0.9


SMALLER = {
    "resnet20": ({}, 8),
    "densenet121": ({"blocks": (2, 2, 2), "growth": 8}, 32),
    "googlenet": ({"heads": False, "dropout": 0.0}, 32),
}


@pytest.mark.full
@pytest.mark.parametrize("name", SMALLER)
def test_64_pictures_are_learned_by_heart(name):
    options, size = SMALLER[name]
    net = models.build(name, classes=10, rngs=nnx.Rngs(0), **options)
    config = training.Config(150, batch_size=32, learning_rate=3e-3, desired_error=0.0)
    *_, last = training.fit(net, digits(size), config)
    assert last.metrics["error"] == 0


def test_a_network_is_checked_against_its_pictures():
    sets = digits(8)
    net = models.build("resnet20", classes=7, rngs=nnx.Rngs(0))
    config = training.Config(1, batch_size=8)
    with pytest.raises(ValueError, match="10 classes, but the network has 7 logits"):
        Trainer(net, sets, config, loss=None, optimizer=None, augment=None)


def test_only_pictures_are_augmented():
    waves = {"signal": np.zeros((9, 900), np.float32), "label": np.zeros(9, np.int32)}
    sets = data.Dataset(waves, waves, ("a", "b"))
    net = models.build("sound_net", rate=8000, classes=2, rngs=nnx.Rngs(0))
    config = training.Config(1, batch_size=4, augment=("time_mask",))
    with pytest.raises(ValueError, match=r"`augment` is \('time_mask',\), .* \(900,\)"):
        Trainer(net, sets, config, loss=None, optimizer=None, augment=None)


def heard(net):
    graph, state = nnx.split(net)
    return jax.jit(lambda wave: nnx.merge(graph, state)(wave))


@pytest.mark.full
def test_a_batch_of_mixed_lengths_gives_the_logits_of_each_alone():
    net = heard(models.build("sound_net", rate=8000, classes=3, rngs=nnx.Rngs(0)))
    lengths = 700, 1023, 1024, 1025, 2000, 3001
    waves = [
        0.1 * jax.random.normal(jax.random.key(i), (n,)) for i, n in enumerate(lengths)
    ]
    longest = max(lengths)
    batch = jnp.stack([jnp.pad(wave, (0, longest - len(wave))) for wave in waves])
    together = net(batch)
    assert jnp.abs(together[0] - together[1]).max() > 1e-2
    for logits, wave in zip(together, waves, strict=True):
        np.testing.assert_allclose(logits, net(wave), atol=1e-5)
    longer = net(jnp.pad(batch, ((0, 0), (0, 777))))
    np.testing.assert_allclose(longer, together, atol=1e-5)


@pytest.mark.full
def test_silence_is_a_sound_like_any_other():
    net = models.build("sound_net", rate=8000, classes=3, rngs=nnx.Rngs(0))
    bias, logit = net.stages["classifier"].bias, heard(net)
    np.testing.assert_array_equal(logit(jnp.zeros(5000)), bias)
    whisper = 1e-4 * jax.random.normal(jax.random.key(0), (5000,))
    assert jnp.abs(logit(whisper) - bias).max() > 1e-2
    gradient = jax.jit(jax.grad(lambda wave: logit(wave)[0]))(jnp.zeros(5000))
    assert jnp.isfinite(gradient).all()


@pytest.mark.full
def test_a_sound_is_heard_at_any_length_and_loudness():
    net = heard(models.build("sound_net", rate=8000, classes=3, rngs=nnx.Rngs(0)))
    wave = jax.random.normal(jax.random.key(0), (2, 3000))
    logits = net(wave)
    assert logits.shape == (2, 3)
    np.testing.assert_allclose(net(5 * wave), logits, atol=1e-3)
    assert net(wave[:, :300]).shape == (2, 3)
    assert np.abs(logits[0] - logits[1]).max() > 1e-4
    gradient = jax.jit(jax.grad(lambda wave: net(wave)[0, 0]))(wave)
    assert jnp.isfinite(gradient).all()
    assert jnp.abs(gradient[0]).max() > 0
    assert jnp.abs(gradient[1]).max() == 0


@pytest.mark.full
def test_a_dense_network_does_not_know_the_order_of_its_columns():
    net = models.mlp(shape=(2, 3, 1), hidden=(5, 4), classes=2, rngs=nnx.Rngs(0))
    x = jax.random.normal(jax.random.key(0), (7, 2, 3, 1))
    h = x.reshape(7, 6)
    for name in "hidden1", "hidden2":
        layer = net.stages[name]
        h = jnp.maximum(h @ layer.kernel[...].reshape(h.shape[-1], -1), 0)
    want = h @ net.stages["classifier"].kernel[...]
    np.testing.assert_allclose(net(x), want, rtol=1e-5, atol=1e-6)
    assert "drop1" in models.mlp(shape=3, dropout=0.5, rngs=nnx.Rngs(0)).names


def test_options_for_one_size_are_for_those_that_need_them():
    for name, shape in (("lenet5", (40, 40, 1)), ("resnet20", (40, 40, 3))):
        net = models.outline(name, size=40)
        assert nn.summary(net, shape).rows[-1].volume[-1] in (10, 1000)
