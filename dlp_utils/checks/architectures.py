"""What `dlp.check` asks of the exercises and the bug zoo of the chapter on architectures."""

import itertools

import numpy as np

from dlp_utils.exercises import Wrong, call, exercise, free_form, number

# --- bug zoo -------------------------------------------------------------------------------------------


@free_form("arch-zoo-shared")
def _check_stack(stack, rng):
    import torch
    from torch import nn

    made = []

    def make():
        made.append(nn.Linear(3, 3))
        return made[-1]

    for n in (1, 3, 4):
        made.clear()
        found = stack(make, n)
        if not isinstance(found, nn.Sequential):
            raise Wrong(
                f"your answer is {type(found).__name__}, not nn.Sequential.", "nn.Sequential(*layers)"
            )
        if len(found) != n:
            raise Wrong(
                f"{len(found)} layers for n = {n}.", "How often is the layer there, and how often wanted?"
            )
        if len({id(layer) for layer in found}) < n:
            raise Wrong(
                f"of {n} layers only {len({id(layer) for layer in found})} are different objects.",
                "[layer] * n repeats one layer. How often must make be called?",
            )
        own = {p.data_ptr() for layer in found for p in layer.parameters()}
        if len(own) < 2 * n:
            raise Wrong("layers share their weights.", "Each layer needs weights of its own.")
        values = [layer.weight.detach() for layer in found if isinstance(layer, nn.Linear)]
        if any(torch.equal(a, b) for a, b in itertools.pairwise(values)):
            raise Wrong(
                "the layers start with the same numbers.",
                "A copy of one layer begins as its twin. Ask make for each.",
            )
        if not all(any(layer is other for other in made) for layer in found):
            raise Wrong("a layer does not come from make.", "Call make() for each layer.")


@free_form("arch-zoo-norm")
def _check_two_convolutions(two_convolutions, rng):
    import torch
    from torch import nn

    for c in (3, 8):
        block = two_convolutions(c)
        if not isinstance(block, nn.Sequential):
            raise Wrong(f"your answer is {type(block).__name__}, not nn.Sequential.")
        order = [type(m).__name__ for m in block if not isinstance(m, nn.Sequential)]
        flat, names = list(block), ["Conv2d", "BatchNorm2d", "ReLU"] * 2
        if any(isinstance(m, nn.Sequential) for m in flat):
            flat = [part for m in flat for part in (m if isinstance(m, nn.Sequential) else [m])]
            order = [type(m).__name__ for m in flat]
        if order != names:
            raise Wrong(f"the layers are {', '.join(order)}.", "Convolution, norm, ReLU, and the same again.")
        norms = [m for m in flat if isinstance(m, nn.BatchNorm2d)]
        convs = [m for m in flat if isinstance(m, nn.Conv2d)]
        if norms[0] is norms[1]:
            raise Wrong(
                "both places hold one and the same batch norm.",
                "Its running mean would follow two different layers. Make two.",
            )
        if convs[0] is convs[1]:
            raise Wrong("both places hold one and the same convolution.", "Make two convolutions as well.")
        if any(conv.bias is not None for conv in convs):
            raise Wrong("a convolution has a bias.", "The norm behind it takes the mean away: bias=False.")
        if any(conv.kernel_size != (3, 3) for conv in convs):
            raise Wrong("a kernel is not 3 × 3.")
        if any(conv.groups != 1 or conv.dilation != (1, 1) for conv in convs):
            raise Wrong("a convolution has groups or holes.", "Which channels does a plain convolution see?")
        if any(norm.weight is None or norm.running_mean is None for norm in norms):
            raise Wrong("a norm has no scale or no running mean.", "What does it need in evaluation mode?")
        y = block.eval()(torch.zeros(2, c, 6, 5))
        if y.shape != (2, c, 6, 5):
            raise Wrong(
                f"(2, {c}, 6, 5) becomes {tuple(y.shape)}.",
                "Which padding keeps the size with a kernel of 3?",
            )


@free_form("arch-zoo-list")
def _check_hidden(hidden, rng):
    from torch import nn

    def model(**parts):
        made = nn.Module()
        for name, part in parts.items():
            setattr(made, name, part)
        return made

    one, two = nn.Linear(1, 1), nn.ReLU()
    cases = [
        (model(blocks=[one, two], head=nn.Linear(1, 1)), ["blocks"], ""),
        (model(head=nn.Linear(1, 1), sizes=[1, 2]), [], "A list of numbers hides no module."),
        (
            model(zeta=(one,), alpha={"a": two}, names={"a": "b"}),
            ["alpha", "zeta"],
            "Lists, tuples and dicts; sorted.",
        ),
        (model(mixed=["a", 3, two]), ["mixed"], "One module among the members is enough."),
        (
            model(kept=nn.ModuleList([one, two]), also=nn.Sequential(one)),
            [],
            "nn.ModuleList is a module: it hides nothing.",
        ),
        (model(empty=[], nothing=None, dropped={}), [], "An empty list hides nothing."),
        (model(), [], "A model without lists hides nothing."),
    ]
    for made, expected, hint in cases:
        shown = {k: v for k, v in vars(made).items() if not k.startswith("_") and k != "training"}
        found = hidden(made)
        if isinstance(found, (str, dict)) or not hasattr(found, "__iter__"):
            raise Wrong(f"your answer is {found!r}.", "A list of names.")
        found = list(found)
        if found != expected:
            if any(name.startswith("_") for name in found if isinstance(name, str)):
                hint = (
                    "torch keeps its own dicts in attributes that begin with _: those are no hiding places."
                )
            elif sorted(map(str, found)) == expected:
                hint = "Sorted by name."
            raise Wrong(f"attributes {sorted(shown)}: expected {expected}, got {found}.", hint)


def _company(model, x):
    alone = np.concatenate([np.asarray(model(x[i : i + 1])) for i in range(len(x))])
    return float(np.abs(np.asarray(model(x)) - alone).max())


def _company_cases(rng):
    w = rng.normal(size=(3, 2))
    yield (lambda x: x @ w), np.array([[1.0, 2, 3], [4, 5, 6]])
    yield (lambda x: (x - x.mean(axis=0)) @ w), rng.normal(size=(4, 3))
    yield (lambda x: x - x.mean(axis=0)), np.array([[0.0], [10.0]])
    yield (lambda x: np.cumsum(x, axis=0)), rng.normal(size=(5, 2))
    yield (lambda x: -np.cumsum(np.abs(x), axis=0)), rng.normal(size=(3, 1))
    yield (lambda x: x * (-1) ** len(x)), np.array([[1.0], [2.0]])  # only signs change


@exercise(
    "arch-zoo-batch",
    _company_cases,
    atol=1e-6,
    mistakes=[
        (
            lambda model, x: float(np.abs(model(x)[:1] - model(x[:1])).max()),
            "That compares the first member only. A sum along the batch changes the later ones.",
        ),
        (
            lambda model, x: float(
                (model(x) - np.concatenate([model(x[i : i + 1]) for i in range(len(x))])).max()
            ),
            "A difference may be negative: take its absolute value first.",
        ),
        (
            lambda model, x: float(
                np.abs(model(x) - np.concatenate([model(x[i : i + 1]) for i in range(len(x))])).mean()
            ),
            "The largest difference is wanted, not the mean.",
        ),
        (
            lambda model, x: float(np.abs(model(x) - model(x)).max()),
            "Both times the model sees the whole batch.",
        ),
        (
            lambda model, x: float(
                np.abs(model(x) - np.stack([model(x[i : i + 1]) for i in range(len(x))])).max()
            ),
            "Which shape has the joined one? Does NumPy compare each member with itself alone?",
        ),
        (
            lambda model, x: float(np.abs(model(x)[-1:] - model(x[-1:])).max()),
            "That compares the last member only.",
        ),
        (
            lambda model, x: float(
                np.abs(model(x) - np.concatenate([model(x[i : i + 1]) for i in range(len(x))])).sum()
            ),
            "The largest difference is wanted, not the sum.",
        ),
        (
            lambda model, x: np.abs(model(x) - np.concatenate([model(x[i : i + 1]) for i in range(len(x))])),
            "One number: the largest of them.",
        ),
        (
            lambda model, x: float(np.abs(model(x) - model(x[::-1])[::-1]).max()),
            "Reversing the batch keeps the company. Who sees a member alone?",
        ),
    ],
)
def depends_on_company(model, x):
    return _company(model, x)


def _reversal_cases(rng):
    w, place = rng.normal(size=(2, 3)), rng.normal(size=(4, 2))
    yield (lambda x: (x + np.arange(2)[:, None] * x).sum(axis=1)), np.array([[[1.0], [2.0]]])
    yield (lambda x: np.tanh(x @ w).mean(axis=1)), rng.normal(size=(3, 5, 2))
    yield (lambda x: np.tanh((x + place) @ w).mean(axis=1)), rng.normal(size=(3, 4, 2))
    yield (lambda x: x[:, 0]), rng.normal(size=(2, 3, 2))
    yield (lambda x: -np.abs(x[:, 0])), np.array([[[0.5], [0.1], [3.0]]])
    yield (lambda x: x[:, 0]), np.array([[[0.5], [0.5]], [[1.0], [-2.0]], [[1.0], [1.5]]])  # the second most


@exercise(
    "arch-zoo-places",
    _reversal_cases,
    atol=1e-6,
    mistakes=[
        (
            lambda model, x: float(np.abs(model(x) - model(x[::-1])).max()),
            "That reverses the batch. On which axis do the rows lie?",
        ),
        (
            lambda model, x: float(np.abs(model(x) - model(x[:, :, ::-1])).max()),
            "That reverses the numbers within each row. On which axis do the rows lie?",
        ),
        (
            lambda model, x: float((model(x) - model(x[:, ::-1])).max()),
            "A difference may be negative: take its absolute value first.",
        ),
        (
            lambda model, x: float(np.abs(model(x) - model(x[:, ::-1])).mean()),
            "The largest change is wanted, not the mean.",
        ),
        (
            lambda model, x: float(np.abs(model(x) - np.asarray(model(x[:, ::-1]))[::-1]).max()),
            "Only the input is reversed; its outputs stay where they are.",
        ),
        (
            lambda model, x: float(np.abs(model(x) - model(x[::-1, ::-1, ::-1])).max()),
            "That reverses every axis. On which one do the rows lie?",
        ),
        (
            lambda model, x: np.abs(model(x) - model(x[:, ::-1])),
            "One number: the largest of them.",
        ),
    ],
)
def change_when_reversed(model, x):
    return float(np.abs(np.asarray(model(x)) - np.asarray(model(x[:, ::-1].copy()))).max())


@free_form("arch-zoo-frozen")
def _check_only_the_head(only_the_head, rng):
    import torch
    from torch import nn

    def model(*front):
        made = nn.Sequential(*front, nn.Flatten(), nn.Linear(8, 3))
        return made.eval() if len(front) == 1 else made

    conv, norm = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)
    inner = nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2), nn.Dropout(0.5))
    deep = nn.Sequential(nn.Conv2d(2, 2, 1), nn.Flatten(), nn.Sequential(nn.Dropout(0.5), nn.Linear(8, 3)))
    deep.requires_grad_(False).eval()  # was frozen as a whole
    for made in (model(conv, norm, nn.ReLU()), model(nn.Sequential(inner, nn.ReLU())), model(), deep):
        before = {k: v.clone() for k, v in made.state_dict().items()}
        found = only_the_head(made)
        if found is None:
            raise Wrong("nothing is returned.", "Return the model.")
        if found is not made:
            raise Wrong("another model is returned.", "Change the model itself, in place, and return it.")
        if len(made) < 2 or {k: v.shape for k, v in made.state_dict().items()} != {
            k: v.shape for k, v in before.items()
        }:
            raise Wrong("the model's layers have changed.", "Only modes and requires_grad change.")
        if any(not torch.equal(v, made.state_dict()[k]) for k, v in before.items()):
            raise Wrong("weights or statistics have changed.", "Freezing changes no number.")
        body, head = made[:-1], made[-1]
        if any(p.requires_grad for p in body.parameters()):
            raise Wrong("a parameter of the backbone still wants a gradient.", "requires_grad_(False)")
        if not all(p.requires_grad for p in head.parameters()):
            raise Wrong("the head is frozen, too.", "The last layer must learn.")
        modes = [m for layer in body for m in layer.modules() if m.training]
        if modes:
            raise Wrong(
                f"{type(modes[0]).__name__} in the backbone is in training mode.",
                "Norms and dropouts in training mode behave as in training, gradient or not. "
                "And which mode does model.train() give to the parts?",
            )
        if not all(m.training for m in head.modules()):
            raise Wrong("the head is in evaluation mode.", "It trains: give it its mode back.")


def _bytes(rng):
    yield np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3) * 23
    yield rng.integers(0, 256, (2, 3, 5, 3), dtype=np.uint8)
    yield np.zeros((1, 4, 2, 3), dtype=np.uint8)
    yield np.arange(255, 243, -1, dtype=np.uint8).reshape(1, 2, 2, 3)  # 255 is no -1
    yield rng.integers(0, 256, (3, 3, 3, 3), dtype=np.uint8)


def _prepared(pixels, shift=127.0, scale=128.0):
    return ((pixels.astype(np.float32) - shift) / scale).transpose(0, 3, 1, 2).astype(np.float32)


@exercise(
    "arch-zoo-range",
    _bytes,
    atol=1e-5,
    mistakes=[
        (
            lambda p: ((p - np.uint8(127)) / np.float32(128)).transpose(0, 3, 1, 2),
            "Bytes cannot be negative: 0 - 127 gives 129. Make floats first.",
        ),
        (
            lambda p: _prepared(p).transpose(0, 2, 3, 1),
            "The numbers are right; the channels belong on axis 1.",
        ),
        (lambda p: _prepared(p).transpose(0, 1, 3, 2), "Rows and columns have changed places."),
        (
            lambda p: ((p.astype(np.float32) - 127) / 128).reshape(len(p), 3, *p.shape[1:3]),
            "Reshape reads on in the old order and exchanges no axes.",
        ),
        (lambda p: _prepared(p, 0, 255), "That is the range 0 to 1, of another network."),
        (lambda p: _prepared(p, 127.5, 127.5), "127 and 128, not 127.5: this network's own numbers."),
        (lambda p: _prepared(p[..., ::-1]), "Are the colors still in their order?"),
        (lambda p: _prepared(p, 128, 127), "Which of 127 and 128 is taken off?"),
        (lambda p: _prepared(p, 128, 128), "Which of 127 and 128 is taken off?"),
        (lambda p: _prepared(p, 0, 128), "127 is taken off first."),
        (lambda p: p.astype(np.float32).transpose(0, 3, 1, 2), "The values still go from 0 to 255."),
    ],
)
def to_network(pixels):
    return _prepared(pixels)


@free_form("arch-zoo-strict")
def _check_fitted(fitted, rng):
    import torch
    from torch import nn

    def model():
        return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(2, 2))

    there, here = model(), model()
    good = there.state_dict()
    for prefix in ("module.", ""):
        found = call(fitted, {prefix + k: v for k, v in good.items()}, here)
        if not isinstance(found, dict):
            raise Wrong(f"your answer is {type(found).__name__}, not a dict.")
        if set(found) != set(good):
            raise Wrong(
                f"names {sorted(found)[:2]} …, the model's are {sorted(good)[:2]} …",
                "Take the prefix off where it is, and only there.",
            )
        if not all(torch.equal(found[k], v) for k, v in good.items()):
            raise Wrong("a tensor has changed.", "Only names change.")
    named = nn.ModuleDict({"module": nn.Linear(1, 1)})  # a model whose own names begin so
    own = named.state_dict()
    found = fitted(dict(own), named)
    if set(found) != set(own):
        raise Wrong(
            "a model whose own names begin with 'module.' loses them.",
            "Compare with the names that the model knows.",
        )
    inner = nn.ModuleDict({"model": nn.ModuleDict({"module": nn.Linear(1, 1)}), "out": nn.Linear(1, 1)})
    for prefix in ("module.", ""):
        given = {prefix + k: v for k, v in inner.state_dict().items()}
        try:
            found = fitted(given, inner)
        except ValueError:
            found = {}
        if set(found) != set(inner.state_dict()):
            raise Wrong(
                f"from {sorted(given)[:2]} … come {sorted(found)[:2]} …",
                "Does your code take off letters, or every 'module.', or the prefix once, in front?",
            )
        if found is given:
            raise Wrong("the dict that was given is returned.", "Return a new dict.")
    less = {k: v for k, v in good.items() if k != "0.bias"}
    wide = dict(good) | {"2.weight": torch.zeros(3, 2)}
    for wrong, what in (
        (less, "a missing name"),
        (good | {"3.weight": torch.zeros(1)}, "a name too many"),
        (wide, "another shape"),
        (good | {"2.weight": torch.zeros(4, 1)}, "another shape with as many numbers"),
        (good | {"2.weight": torch.zeros(1, 2)}, "another shape, which broadcasts,"),
        ({"model." + k: v for k, v in good.items()}, "an unknown prefix"),
        ({}, "an empty dict"),
    ):
        before = dict(wrong)
        try:
            fitted(wrong, here)
        except ValueError:
            pass
        except (RuntimeError, KeyError, AssertionError) as error:
            raise Wrong(f"{what} raises {type(error).__name__}.", "Which error is asked for?") from None
        else:
            raise Wrong(f"{what} raises no ValueError.", "Names and shapes must be exactly the model's.")
        if list(before) != list(wrong):
            raise Wrong("your code changes the dict that it was given.", "Return a new dict.")


# --- exercises -----------------------------------------------------------------------------------------

number(
    "arch-bottleneck",
    69632,
    mistakes=[
        (36864, "That is the middle layer. The two 1 × 1 are layers too."),
        (32768, "Those are the two 1 × 1. And the 3 × 3?"),
        (53248, "A 1 × 1 comes before the middle AND behind it."),
        (70016, "No biases: the norms behind the convolutions have their own."),
        (70400, "Without the norms."),
        (36992, "The 3 × 3 has 9 weights for each PAIR of channels, 64 × 64 pairs."),
        (589824, "That is a 3 × 3 from 256 to 256. The middle has 64 channels."),
        (1179648, "Those are two full 3 × 3 convolutions, what the bottleneck replaces."),
    ],
)
number(
    "arch-three",
    27 / 49,
    atol=5e-3,
    mistakes=[
        (2700 / 49, "A share lies between 0 and 1."),
        (9 / 49, "That is one of the three."),
        (49 / 27, "The other way round: the new over the old."),
        (18 / 25, "That is two for a 5 × 5."),
        (22 / 49, "That is the share that is saved."),
        (9 / 7, "Weights of a kernel in the plane: K squared."),
        (18 / 49, "Two 3 × 3 see 5 pixels. How many see 7?"),
    ],
)
number(
    "arch-compound",
    (1.2 * 1.1**2 * 1.15**2) ** 3,
    atol=0.02,
    mistakes=[
        (8, "That is the round 2 to the third. Use the product."),
        (1.2 * 1.1**2 * 1.15**2, "That is one step, φ = 1."),
        ((1.2 * 1.1 * 1.15) ** 3, "Width and resolution count squared. Why?"),
        (3 * 1.2 * 1.1**2 * 1.15**2, "Each step multiplies again: a power."),
        ((1.2**2 * 1.1**2 * 1.15**2) ** 3, "Depth counts once: twice the layers, twice the MACs."),
        ((1.2 * 1.1**2 * 1.15) ** 3, "A picture is larger in both directions."),
    ],
)
number(
    "arch-stochastic",
    40.25,
    atol=1e-6,
    mistakes=[
        (27, "That is as if every block were left out with probability 1/2. The first hardly ever is."),
        (13.75, "That many are left out. How many are there?"),
        (40.5, "The mean of l/L over l = 1 … L is (L + 1)/(2L), a little more than 1/2."),
        (40, "A mean over many steps need not be whole."),
        (54, "That is the depth at test time."),
        (40.75, "l runs from 1 to L, not from 0 to L - 1."),
    ],
)


def _se_cases(rng):
    yield (
        np.array([[[2.0]], [[-2.0]]]),
        np.array([[1.0, 0.0]]),
        np.array([0.0]),
        np.array([[1.0], [0.0]]),
        np.array([0.0, 0.5]),
    )
    for c, r, h, w in ((4, 2, 3, 5), (3, 5, 2, 2)):
        yield (
            rng.normal(size=(c, h, w)),
            rng.normal(size=(r, c)),
            rng.normal(size=r),
            rng.normal(size=(c, r)),
            rng.normal(size=c),
        )


def _se(x, w1, b1, w2, b2, relu=True, gate="sigmoid", pool="mean", bias=True, scale=True):
    s = x.mean(axis=(1, 2)) if pool == "mean" else x.max(axis=(1, 2))
    z = w1 @ s + (b1 if bias else 0)
    z = np.maximum(z, 0) if relu else z
    z = w2 @ z + (b2 if bias else 0)
    if gate == "sigmoid":
        z = 1 / (1 + np.exp(-z))
    elif gate == "softmax":
        z = np.exp(z - z.max())
        z = z / z.sum()
    return z[:, None, None] * x if scale else z


@exercise(
    "arch-se",
    _se_cases,
    atol=1e-6,
    mistakes=[
        (lambda *a: _se(*a, relu=False), "Between the two dense layers stands a ReLU."),
        (lambda *a: _se(*a, gate=""), "The numbers lie between 0 and 1: which function stands at the end?"),
        (
            lambda *a: _se(*a, gate="softmax"),
            "Each channel for itself: several may be important. No softmax.",
        ),
        (lambda *a: _se(*a, pool="max"), "That is the largest of each map. The mean is squeezed."),
        (
            lambda x, *a: x * _se(x * x[0].size, *a, scale=False)[:, None, None],
            "That is the sum of each map. The mean is squeezed.",
        ),
        (lambda *a: _se(*a, bias=False), "The biases are missing."),
        (lambda *a: _se(*a, scale=False), "Those are the numbers. Multiply each map by its own."),
        (lambda x, *a: x + _se(x, *a), "Multiply only; nothing is added here."),
        (lambda x, *a: x + _se(x, *a, scale=False)[:, None, None], "The number multiplies its map."),
    ],
)
def squeeze_excite(x, w1, b1, w2, b2):
    return _se(x, w1, b1, w2, b2)


def _mobile(a, head=True, norms=2, bias=True, c0=None, fixed=False):
    from dlp_utils.models.architectures import MOBILE

    c = int(32 * a) if c0 is None else c0
    total = 27 * c + norms * c
    for o, _ in MOBILE:
        o = o if fixed else int(o * a)
        total += 9 * c + norms * c + c * o + norms * o
        c = o
    return total + (c * 1000 + (1000 if bias else 0) if head else 0)


@exercise(
    "arch-mobile",
    lambda rng: iter([(1,), (0.5,), (2,), (0.25,), (0.75,)]),
    mistakes=[
        (
            lambda a: _mobile(a, norms=0),
            "The norms have two numbers a channel, behind each of the 27 convolutions.",
        ),
        (lambda a: _mobile(a, norms=1), "A norm has a scale AND a shift for each channel."),
        (lambda a: _mobile(a, norms=4), "Running means and variances are no weights."),
        (lambda a: _mobile(a, bias=False), "The dense layer has 1,000 biases."),
        (lambda a: _mobile(a, head=False), "The dense layer is missing."),
        (lambda a: _mobile(a, c0=32), "The first convolution's 32 channels are scaled too."),
        (lambda a: int(_mobile(1) * a), "Most layers have channels in AND out: not all weights scale alike."),
        (
            lambda a: int(_mobile(1) * a**2),
            "Depthwise layers, norms and the dense layer have ONE scaled factor.",
        ),
        (lambda a: _mobile(1), "That is the width a = 1."),
    ],
)
def mobile_weights(a):
    return _mobile(a)


def _fold_cases(rng):
    yield (
        np.ones((1, 1, 1, 1)),
        np.array([2.0]),
        np.array([1.0]),
        np.array([3.0]),
        np.array([4.0]),
        0.0,
    )
    for o, c, k in ((3, 2, 3), (2, 4, 1), (4, 1, 5)):
        yield (
            rng.normal(size=(o, c, k, k)),
            rng.normal(size=o),
            rng.normal(size=o),
            rng.normal(size=o),
            rng.uniform(0.01, 2, o),
            0.01,
        )


def _fold(w, g, b, m, v, eps=1e-5, root=True, minus=True, axis=0, scaled=True, shift=True, with_eps=True):
    a = g / np.sqrt(v + (eps if with_eps else 0)) if root else g / (v + eps)
    shape = (-1, 1, 1, 1)
    new = w * a.reshape(shape)
    move = (a if scaled else 1) * m if minus else 0
    return new, (b - move if shift else -move)


@exercise(
    "arch-fold",
    _fold_cases,
    atol=1e-6,
    mistakes=[
        (
            lambda *a: _fold(*a, root=False),
            "The norm divides by the standard deviation, the ROOT of the variance.",
        ),
        (
            lambda w, g, b, m, v, eps=1e-5: _fold(w, g, b, -m, v, eps),
            "Which sign has the mean in the bias?",
        ),
        (lambda *a: _fold(*a)[::-1], "First the kernel, then the bias."),
        (lambda w, g, b, m, v, eps=1e-5: _fold(w, g, b, m, v), "eps is an argument: do you use it?"),
        (lambda *a: _fold(*a, minus=False), "The norm takes the mean off, before it scales."),
        (lambda *a: _fold(*a, scaled=False), "The mean goes through the scale as well."),
        (lambda *a: _fold(*a, shift=False), "beta is missing from the bias."),
        (lambda *a: _fold(*a, with_eps=False), "eps stands under the root."),
        (
            lambda w, g, b, m, v, eps=1e-5: _fold(w, np.ones_like(g), b, m, v, eps),
            "gamma is missing.",
        ),
        (lambda w, g, b, m, v, eps=1e-5: (w, _fold(w, g, b, m, v, eps)[1]), "The kernel is scaled, too."),
        (
            lambda w, g, b, m, v, eps=1e-5: (w * (g / np.sqrt(v + eps)), _fold(w, g, b, m, v, eps)[1]),
            "NumPy aligns the LAST axes. On which axis of w lie the output channels?",
        ),
        (
            lambda w, g, b, m, v, eps=1e-5: (
                w * (g / np.sqrt(v + eps))[None, :, None, None],
                _fold(w, g, b, m, v, eps)[1],
            ),
            "Which axis of w belongs to the output channels, the first or the second?",
        ),
        (lambda *a: _fold(*a)[0], "Two arrays: kernel and bias."),
        (
            lambda w, g, b, m, v, eps=1e-5: (
                w * g[:, None, None, None] / (np.sqrt(v) + eps)[:, None, None, None],
                b - g * m / (np.sqrt(v) + eps),
            ),
            "eps is added to the variance, under the root.",
        ),
    ],
)
def fold(w, gamma, beta, mean, var, eps=1e-5):
    return _fold(w, gamma, beta, mean, var, eps)


def _merge_cases(rng):
    yield np.zeros((1, 1, 3, 3)), np.array([[[[2.0]]]])
    for c in (2, 3, 4):
        yield rng.normal(size=(c, c, 3, 3)), rng.normal(size=(c, c, 1, 1))


def _merge(w3, w1, place=(1, 1), identity="diagonal"):
    w = w3.copy()
    w[:, :, place[0], place[1]] += w1[:, :, 0, 0]
    if identity == "diagonal":
        w[np.arange(len(w)), np.arange(len(w)), place[0], place[1]] += 1
    elif identity == "all":
        w[:, :, place[0], place[1]] += 1
    return w


@exercise(
    "arch-merge",
    _merge_cases,
    atol=1e-6,
    mistakes=[
        (lambda a, b: _merge(a, b, identity=""), "And the shortcut? As a convolution, which kernel is it?"),
        (lambda a, b: a + b, "Adding w1 everywhere makes a blur of it. At which place does a 1 × 1 look?"),
        (lambda a, b: _merge(a, b, identity="all"), "The shortcut hands channel c to channel c alone."),
        (
            lambda a, b: _merge(a, b, identity="") + 1,
            "A convolution with ones sums all channels and places. Which kernel changes nothing?",
        ),
        (lambda a, b: _merge(a, b)[..., ::-1, ::-1], "Nothing need be turned round."),
        (lambda a, b: _merge(a, b, (0, 0)), "The middle of a 3 × 3 is at row 1, column 1."),
        (lambda a, b: _merge(a, b.swapaxes(0, 1)), "Which axis of w1 is the output, which the input?"),
        (lambda a, b: _merge(a, np.zeros_like(b)), "w1 is missing."),
        (
            lambda a, b: a + b + np.eye(len(a))[:, :, None, None],
            "Both belong to the middle of the kernel alone.",
        ),
        (lambda a, b: _merge(a, b) + 0 * a - a, "w3 is missing."),
    ],
)
def merge(w3, w1):
    return _merge(w3, w1)


@free_form("arch-zero")
def _check_zero_start(zero_start, rng):
    import torch

    from dlp_utils.models.architectures import Config, SmallNet

    for depth in (8, 14):
        torch.manual_seed(depth)
        model = SmallNet(Config(depth))
        names = {k: v.shape for k, v in model.state_dict().items()}
        others = {k: v.detach().clone() for k, v in model.named_parameters() if ".bn2." not in k}
        found = zero_start(model)
        if found is None:
            raise Wrong("nothing is returned.", "Return the model.")
        if found is not model or {k: v.shape for k, v in model.state_dict().items()} != names:
            raise Wrong("another network is returned.", "Change the numbers of this one, in place.")
        x = torch.randn(6, 1, 16, 16)
        model.train()
        inside = _relu(model.bn(model.conv(x)))
        if inside.abs().max() == 0:
            raise Wrong(
                "the first layer gives nothing but zeros.", "Only the last norm of each BLOCK starts at 0."
            )
        for place, block in enumerate(model.blocks):
            expected = _relu(block.downsample(inside))
            got = block(inside)
            if (got - expected).abs().max() > 1e-5:
                raise Wrong(
                    f"block {place} adds something to its shortcut.",
                    "Which of the two norms comes last, in front of the sum? And its shift?",
                )
            inside = expected
        loss = torch.nn.functional.cross_entropy(model(x), torch.arange(6))
        loss.backward()
        for place, block in enumerate(model.blocks):
            grads = [p.grad for p in block.bn2.parameters()]
            if any(grad is None for grad in grads) or grads[0].abs().max() == 0:
                raise Wrong(
                    f"the last norm of block {place} gets no gradient.",
                    "Something else is zero or frozen. With F = scale · something, the something must not be 0.",
                )
            if block.conv1.weight.abs().max() == 0 or block.conv2.weight.abs().max() == 0:
                raise Wrong("convolutions are zero.", "They keep He's weights; the norm's scale is 0.")
            if block.bn1.weight.abs().max() == 0:
                raise Wrong(
                    "the first norm of a block has the scale 0, too.",
                    "Then nothing in F gets a gradient but the last shift.",
                )
            if block.bn2.weight.abs().max() > 0:
                raise Wrong(f"the scale of block {place}'s last norm is small, not 0.", "Exactly 0.")
        now = dict(model.named_parameters())
        changed = [k for k, v in others.items() if not torch.equal(v, now[k])]
        if changed:
            raise Wrong(f"{changed[0]} has changed.", "Which numbers alone are to be changed?")
        if not all(p.requires_grad for p in now.values()):
            raise Wrong("a parameter wants no gradient.", "At the start F is 0; who shall learn later?")


def _relu(x):
    return x.clamp(min=0)
