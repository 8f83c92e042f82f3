"""Parameter counts, shapes and starting values of the tasks, against hand-written networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tasks
from tasks import modules, networks
from tasks.datasets import SPECS
from tasks.images import CONSTANTS, NETWORKS

pytestmark = pytest.mark.slow

# MLP: in·128+128 + 2·(128²+128) + 1,290. Conv: 9·in·32+32 + 18,496 + 36,928 + 650.
# ResNet-20: 269,072 of convolutions and batch norm (He et al.'s 0.27 M) + 650.
COUNTS = {
    "mnist_mlp": 134_794,
    "mnist_conv": 56_394,
    "fashion_mnist_mlp": 134_794,
    "fashion_mnist_conv": 56_394,
    "cifar10_mlp": 427_658,
    "cifar10_conv": 56_970,
    "cifar10_resnet20": 269_722,
}


def dataset_of(name):
    return name.rsplit("_", 1)[0]


def images_of(name, count=4, seed=0):
    generator = np.random.default_rng(seed)
    shape = (count, *SPECS[dataset_of(name)].image_shape)
    return jnp.asarray(generator.integers(0, 256, shape, dtype=np.uint8))


def prepared(task, count=4):
    """Images as the task's network sees them."""
    return task.prepare({"x": images_of(task.name, count)}, None)["x"]


def network(name, **settings):
    """The functions init and apply of the task's network."""
    module = NETWORKS[name.rsplit("_", 1)[1]](**settings)
    return modules.functions(module, SPECS[dataset_of(name)].image_shape)


@pytest.mark.parametrize("width", [4, networks.NARROW + 8])
@pytest.mark.parametrize("axes", [(None, 0), (0, 0), (0, None)])
def test_product_of_dense_layers_has_the_derivatives_of_a_product(axes, width):
    """Batched as in the engine: over runs, which share x in the first layer, within seeds."""
    seeds, runs, x_shape, w_shape = 2, 3, (5, 7), (7, width)
    x, w = (
        jax.random.normal(jax.random.key(i), (seeds, *([runs] if axis == 0 else []), *shape))
        for i, (axis, shape) in enumerate(zip(axes, (x_shape, w_shape), strict=True))
    )
    weights = jax.random.normal(jax.random.key(2), (5, width))

    def derivatives(product):
        def of_run(x, w):
            return jnp.sum(weights * jnp.sin(product(x, w)))

        def size_of_gradient(x, w):
            return sum(jnp.sum(g**2) for g in jax.grad(of_run, argnums=(0, 1))(x, w))

        first, second = (jax.value_and_grad(f, argnums=(0, 1)) for f in (of_run, size_of_gradient))
        return [jax.vmap(jax.vmap(f, in_axes=axes))(x, w) for f in (first, second)]

    ours, plain = derivatives(networks.product), derivatives(jnp.matmul)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6 * jnp.abs(b).max())  # float32 sums


def test_names_are_the_papers_tasks():
    assert set(tasks.names()) == set(COUNTS)


@pytest.mark.parametrize("name", tasks.names())
def test_parameter_counts_and_output(name):
    task = tasks.make(name)
    params, state = task.init(jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == COUNTS[name]
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves((params, state)))
    x = prepared(task)
    logits, new_state = jax.jit(network(name)[1], static_argnums=3)(params, state, x, True)
    assert logits.shape == (4, 10)
    assert logits.dtype == jnp.float32
    assert jax.tree.structure(new_state) == jax.tree.structure(state)


def test_projection_shortcuts_add_their_weights():
    params, _ = tasks.make("cifar10_resnet20", shortcut="projection").init(jax.random.key(0))
    extra = 16 * 32 + 32 * 64 + 2 * (32 + 64)
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 269_722 + extra


def test_weights_start_like_haikus():
    params, _ = tasks.make("cifar10_mlp").init(jax.random.key(0))
    w = np.asarray(params["Dense_0"]["w"]) * np.sqrt(3072)
    assert abs(w).max() <= 2
    # A standard normal cut at ±2 has standard deviation 0.8796; 393,216 draws: error 0.001.
    assert w.std() == pytest.approx(0.8796, abs=4e-3)
    assert not np.asarray(params["Dense_0"]["b"]).any()
    conv, _ = tasks.make("cifar10_conv").init(jax.random.key(0))
    assert np.asarray(conv["Convolution_2"]["w"]).std() * 24 == pytest.approx(0.8796, abs=0.01)
    wide, _ = tasks.make("cifar10_mlp", initialisation="lecun_normal").init(jax.random.key(0))
    assert np.asarray(wide["Dense_0"]["w"]).std() * np.sqrt(3072) == pytest.approx(1, abs=4e-3)


@pytest.mark.parametrize("name", tasks.names())
def test_normalisation_uses_the_papers_constants(name):
    mean, std = (np.array(constant) for constant in CONSTANTS[dataset_of(name)])
    expected = (np.asarray(images_of(name)) / 255 - mean) / std
    np.testing.assert_allclose(prepared(tasks.make(name)), expected, rtol=1e-5, atol=1e-6)


def plain_convolution(x, w, stride):
    dimensions = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(
        x, w, (stride, stride), "SAME", dimension_numbers=dimensions, precision="highest"
    )


@pytest.mark.parametrize("pooling", ["average", "max"])
def test_conv_is_the_network_written_out(pooling):
    init, apply = network("cifar10_conv", pooling=pooling)
    params, state = init(jax.random.key(1))
    x = prepared(tasks.make("cifar10_conv", pooling=pooling))
    y = x
    for i, stride in enumerate((2, 1, 1)):
        layer = params[f"Convolution_{i}"]
        y = jnp.maximum(plain_convolution(y, layer["w"], stride) + layer["b"], 0)
    assert y.shape == (4, 16, 16, 64)
    y = y.mean(axis=(1, 2)) if pooling == "average" else y.max(axis=(1, 2))
    expected = y @ params["Dense_0"]["w"] + params["Dense_0"]["b"]
    np.testing.assert_allclose(apply(params, state, x, True)[0], expected, atol=1e-5)


def written_out_resnet(params, state, x, train):
    """ResNet-20 from its definition; batch norm i of the traversal is BatchNorm_i."""
    numbers = iter(range(19))

    def conv_norm(x, stride):
        i = next(numbers)
        x = plain_convolution(x, params[f"Convolution_{i}"]["w"], stride)
        running = state[f"BatchNorm_{i}"]
        mean = x.mean(axis=(0, 1, 2)) if train else running["mean"]
        var = x.var(axis=(0, 1, 2)) if train else running["var"]
        norm = params[f"BatchNorm_{i}"]
        return (x - mean) / jnp.sqrt(var + 1e-5) * norm["scale"] + norm["bias"]

    x = jnp.maximum(conv_norm(x, 1), 0)
    for level, features in enumerate((16, 32, 64)):
        for block in range(3):
            stride = 2 if level and not block else 1
            y = conv_norm(jnp.maximum(conv_norm(x, stride), 0), 1)
            short = x[:, ::stride, ::stride]
            short = jnp.pad(short, [(0, 0)] * 3 + [(0, features - short.shape[-1])])
            x = jnp.maximum(short + y, 0)
    return x.mean(axis=(1, 2)) @ params["Dense_0"]["w"] + params["Dense_0"]["b"]


@pytest.mark.parametrize("train", [True, False])
def test_resnet_is_the_network_written_out(train):
    init, apply = network("cifar10_resnet20")
    params, state = init(jax.random.key(1))
    generator = np.random.default_rng(0)  # statistics and scales away from their start
    params, state = jax.tree.map(
        lambda v: v * generator.uniform(0.5, 1.5, v.shape).astype(np.float32), (params, state)
    )
    x = prepared(tasks.make("cifar10_resnet20"), 8)
    logits, _ = jax.jit(apply, static_argnums=3)(params, state, x, train)
    expected = jax.jit(written_out_resnet, static_argnums=3)(params, state, x, train)
    scale = np.abs(np.asarray(expected)).max()  # 20 layers of float32 rounding: some 1e-5
    np.testing.assert_allclose(logits / scale, expected / scale, atol=1e-4)


def test_running_statistics_follow_the_batches_and_are_used_in_test():
    init, apply = network("cifar10_resnet20", norm_decay=0.75)
    params, state = init(jax.random.key(1))
    x = prepared(tasks.make("cifar10_resnet20"), 8)
    apply = jax.jit(apply, static_argnums=3)
    _, after = apply(params, state, x, True)
    y = np.asarray(plain_convolution(x, params["Convolution_0"]["w"], 1), np.float64)
    mean, var = y.mean(axis=(0, 1, 2)), y.var(axis=(0, 1, 2))
    got = after["BatchNorm_0"]
    np.testing.assert_allclose(got["mean"], 0.25 * mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(got["var"], 0.75 + 0.25 * var, rtol=1e-4)
    _, same = apply(params, state, x, False)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), same, state))


def test_half_width_is_close_and_leaves_parameters_alone():
    exact, half = (tasks.make("mnist_conv", compute_dtype=d) for d in ("float32", "bfloat16"))
    params, state = half.init(jax.random.key(0))
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(params))
    batch = {"x": prepared(exact), "y": jnp.array([1, 2, 3, 4])}

    def gradient(task):
        def loss(params):
            return task.loss(params, state, batch, jax.random.key(0), True)[0]

        return jax.jit(jax.grad(loss))(params)

    flat, flat_half = (jax.flatten_util.ravel_pytree(gradient(t))[0] for t in (exact, half))
    # bfloat16 keeps 8 bits: relative errors of 0.4 % per operation, some per cent in all.
    difference = jnp.linalg.norm(flat - flat_half) / jnp.linalg.norm(flat)
    assert 0 < difference < 0.05


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("mnist", {}, "unknown task 'mnist'; known: mnist_mlp"),
        ("mnist_conv", {"pool": "max"}, "mnist_conv has no setting 'pool'; known: .*pooling"),
        ("mnist_conv", {"pooling": "mean"}, "pooling='mean' must be one of average, max"),
        ("mnist_mlp", {"zoom": (1, 1)}, "mnist_mlp has no setting 'zoom'"),
        ("mnist_mlp", {"hidden": [128, 0]}, "hidden=.* must be a list of positive integers"),
        ("cifar10_conv", {"compute_dtype": "float16"}, "compute_dtype='float16' must be one of"),
        ("cifar10_resnet20", {"norm_decay": 1.5}, "norm_decay=1.5 must be a number between"),
    ],
)
def test_bad_settings_are_named(name, settings, message):
    with pytest.raises(ValueError, match=message):
        tasks.make(name, **settings)
