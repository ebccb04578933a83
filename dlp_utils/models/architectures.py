"""Generated from notebooks/architectures.ipynb by `make export`: edit the notebook, not this file."""
# %%
__all__ = ['CONFIGS', 'DEPTH_STUDY', 'GRADIENT_STUDY', 'LITE0', 'FORMS', 'RATES', 'TUNING', 'TRANSFER_STUDY', 'RESNETS', 'MOBILE',
           'RACE', 'RACE_STUDY', 'Pad', 'shortcut', 'BasicBlock', 'Config', 'SmallNet', 'he_start', 'build',
           'example_batch', 'step', 'gray_patches', 'outputs', 'one_cycle', 'depth_run', 'signals', 'macs_of', 'count',
           'conv_bn', 'separable', 'Bottleneck', 'GlobalMean', 'nin', 'Inception', 'SqueezeExcite', 'Fire', 'Dense',
           'MBConv', 'Lite0', 'load_in_order', 'lite0', 'color_patches', 'divided', 'tune', 'transfer_run', 'ResNet',
           'resnet', 'mobilenet', 'mobile_table', 'NextBlock', 'ViT', 'staged', 'lenet', 'densenet', 'convnext',
           'residual', 'bottleneck', 'vgg', 'bare', 'race_run']

# %%
import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from dlp_utils.data import fetch, textures
from dlp_utils.models.training import (
    MLP,
    Batches,
    cosine,
    scores,
    train,
    warmup,
)

# %%
class Pad(nn.Module):
    """Every `stride`-th pixel, and zeros for new channels: no weights."""

    def __init__(self, c, o, stride):
        super().__init__()
        self.new, self.stride = o - c, stride

    def forward(self, x):  # (N, c, H, W)
        x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, 0, self.new))  # (N, o, …)


def shortcut(c, o, stride, kind):
    """What brings x to the shape of F(x); kind: "project", "pad", None."""
    if kind not in ("project", "pad", None):
        raise ValueError(f"no shortcut {kind!r}: project, pad or None")
    if kind is None:
        return None
    if stride == 1 and c == o:
        return nn.Identity()
    if kind == "pad":
        return Pad(c, o, stride)
    conv = nn.Conv2d(c, o, 1, stride, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(o))

# %%
class BasicBlock(nn.Module):
    """ReLU(x + F(x)) with two 3 × 3 convolutions: def-architectures-block.

    kind: of the shortcut; None for the plain stack. norm: None leaves the
    batch norms out. gate: a layer between F and the sum (SENet).
    """

    grows = 1  # output channels over `width`

    def __init__(
        self, c, width, stride=1, kind="project", norm=True, gate=None
    ):
        super().__init__()
        layer = nn.BatchNorm2d if norm else nn.Identity
        self.conv1 = nn.Conv2d(c, width, 3, stride, 1, bias=False)
        self.bn1 = layer(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = layer(width)
        self.gate = gate(width) if gate else nn.Identity()
        self.downsample = shortcut(c, width, stride, kind)

    def forward(self, x):  # (N, c, H, W)
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.gate(self.bn2(self.conv2(y)))  # (N, width, …)
        if self.downsample is not None:
            y = y + self.downsample(x)
        return F.relu(y)

# %%
@dataclass(frozen=True)
class Config:
    depth: int = 20  # layers with weights: 8, 14, 20, …
    width: int = 8  # channels of the first stage, then twice and 4 times
    side: int = 16  # pixels of a row
    channels: int = 1
    num_classes: int = 16
    kind: str | None = "pad"  # of the shortcuts; None for the plain stack
    norm: bool = True
    batch: int = 64  # pictures in one step


CONFIGS = {
    "smoke": Config(depth=8),
    "cpu": Config(),
    "gpu": Config(56, 16, 32, 3, 10, batch=128),
}

# %%
class SmallNet(nn.Module):
    """He's networks for small pictures: 6n + 2 layers in three stages.

    x: (N, channels, side, side); gives logits (N, num_classes).
    """

    def __init__(self, config):
        super().__init__()
        n, left = divmod(config.depth - 2, 6)
        if left or n < 1:
            raise ValueError(f"depth {config.depth} is not 6n + 2: try 20")
        c, blocks = config.width, []
        how = {"kind": config.kind, "norm": config.norm}
        for stage in range(3):
            o = config.width * 2**stage
            for block in range(n):
                stride = 2 if stage and not block else 1
                blocks.append(BasicBlock(c, o, stride, **how))
                c = o
        self.conv = nn.Conv2d(
            config.channels, config.width, 3, 1, 1, bias=False
        )
        self.bn = nn.BatchNorm2d(config.width) if config.norm else None
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(c, config.num_classes)
        he_start(self)

    def forward(self, x):
        x = self.conv(x)
        x = F.relu(self.bn(x) if self.bn else x)
        return self.fc(self.blocks(x).mean(dim=(2, 3)))

# %%
def he_start(model):
    """He's weights for all convolutions; returns the model."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return model


def build(config):
    return SmallNet(config)


def example_batch(config, device):
    """A batch of the right shapes, random, for tests and estimates."""
    shape = (config.batch, config.channels, config.side, config.side)
    x = torch.randn(shape, device=device)
    return x, torch.arange(config.batch, device=device) % config.num_classes


def step(model, batch):
    """Mean cross-entropy of a batch; x: (N, …), y: (N,)."""
    x, y = batch
    return F.cross_entropy(model(x), y)

# %%
def gray_patches(seed, size):
    """Three pairs of tensors (x, y): to train, to choose, to test."""
    parts = textures.gray(seed, size)
    return [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in parts]


@torch.no_grad()
def outputs(model, x, size=80):
    """What the model says of many pictures, in evaluation mode."""
    model.eval()
    return torch.cat([model(part) for part in x.split(size)])


def one_cycle(total):
    """Factor of the rate: a fifth of all steps up, then down as a cosine."""
    return lambda k: warmup(k, max(1, total // 5)) * cosine(k, total)

# %%
DEPTH_STUDY = {
    "depth": [8, 20, 56],
    "kind": ["plain", "residual"],
    "seed": range(3),
}


def depth_run(depth, kind, seed, epochs=8):
    """Losses and accuracies after training; kind: plain or residual."""
    fit, _, test = gray_patches(seed, 16)
    torch.manual_seed(seed)
    kind = {"plain": None, "residual": "pad"}[kind]
    model = build(Config(depth, kind=kind))
    batches = Batches(*fit, 64, seed)
    rule = torch.optim.SGD(
        model.parameters(), 0.1, 0.9, weight_decay=1e-4, nesterov=True
    )
    schedule = one_cycle(epochs * len(batches))
    train(model, rule, batches, epochs, schedule=schedule)
    loss, accuracy = scores(model, *fit)
    test_loss, test_accuracy = scores(model, *test)
    return {
        "train_loss": loss,
        "train_accuracy": accuracy,
        "test_loss": test_loss,
        "test_accuracy": test_accuracy,
    }

# %%
def signals(depth, kind, norm, seed):
    """At the start, on one batch of 64: two ratios.

    gradient: norm of the first block's gradient (`conv1`) over the last's.
    growth: standard deviation behind the last block over before the first.
    """
    (x, y), _, _ = gray_patches(seed, 16)
    torch.manual_seed(seed)
    kind = {"plain": None, "residual": "pad"}[kind]
    model, maps = build(Config(depth, kind=kind, norm=norm)), []
    for block in model.blocks:
        block.register_forward_hook(lambda layer, x, y: maps.extend((*x, y)))
    F.cross_entropy(model(x[:64]), y[:64]).backward()
    ends = [model.blocks[k].conv1.weight.grad.norm() for k in (0, -1)]
    return {
        "gradient": (ends[0] / ends[1]).item(),
        "growth": (maps[-1].std() / maps[0].std()).item(),
    }


GRADIENT_STUDY = {
    "depth": [20, 56, 110],
    "kind": ["plain", "residual"],
    "norm": [True, False],
    "seed": range(3),
}

# %%
def macs_of(layer, inputs, output):
    """MACs of one call of a layer that multiplies; others: 0."""
    if isinstance(layer, nn.Conv2d):
        k, kk = layer.kernel_size
        return output.numel() * k * kk * layer.in_channels // layer.groups
    if isinstance(layer, nn.Linear):
        return output.numel() * layer.in_features
    if isinstance(layer, nn.MultiheadAttention):
        n, length, d = inputs[0].shape  # four dense layers, two products
        return n * (4 * length * d**2 + 2 * length**2 * d)
    return 0


def count(model, shape):
    """Weights and MACs of a pass of `shape`; on "meta" nothing is computed."""
    total = [0]

    def hook(layer, inputs, output):
        total[0] += macs_of(layer, inputs, output)

    handles = [m.register_forward_hook(hook) for m in model.modules()]
    device = next(model.parameters()).device
    mode = model.training
    model.eval()(torch.zeros(shape, device=device))
    model.train(mode)
    for handle in handles:
        handle.remove()
    return sum(p.numel() for p in model.parameters()), total[0]

# %%
def conv_bn(
    c, o, kernel=3, stride=1, groups=1, act=nn.ReLU, norm=True, tf=False
):
    """Convolution, batch norm, activation; the size is kept up to stride.

    norm: False for none. tf: pad as TensorFlow does (right and below, where
    the padding is odd), and take its constants for the batch norm.
    """
    low, high = kernel // 2, kernel // 2
    if tf:
        low = (kernel - stride) // 2
        high = kernel - stride - low
    layers = [] if low == high else [nn.ZeroPad2d((low, high, low, high))]
    how = {"bias": not norm, "groups": groups}
    pad = low if low == high else 0
    layers.append(nn.Conv2d(c, o, kernel, stride, pad, **how))
    if norm:
        layers.append(nn.BatchNorm2d(o, 1e-3 if tf else 1e-5))
    if act:
        layers.append(act())
    return nn.Sequential(*layers)


def separable(c, o, stride=1):
    """Depthwise 3 × 3, then 1 × 1 (eq-architectures-separable)."""
    return nn.Sequential(conv_bn(c, c, 3, stride, c), conv_bn(c, o, 1))

# %%
class Bottleneck(nn.Module):
    """ReLU(x + F(x)), F: 1 × 1 down, 3 × 3 (perhaps grouped), 1 × 1 up.

    base: channels of each group in the middle where `width` is 64.
    """

    grows = 4

    def __init__(self, c, width, stride=1, kind="project", groups=1, base=64):
        super().__init__()
        inner, o = int(width * base / 64) * groups, width * self.grows
        self.conv1 = nn.Conv2d(c, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(
            inner, inner, 3, stride, 1, groups=groups, bias=False
        )
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, o, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(o)
        self.downsample = shortcut(c, o, stride, kind)

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        if self.downsample is not None:
            y = y + self.downsample(x)
        return F.relu(y)

# %%
class GlobalMean(nn.Module):
    """The mean of each map: (N, C, H, W) to (N, C)."""

    def forward(self, x):
        return x.mean(dim=(2, 3))


def nin(c, o, stride=1):
    """A small MLP at each place: 3 × 3, then twice 1 × 1."""
    return nn.Sequential(
        conv_bn(c, o, 3, stride), conv_bn(o, o, 1), conv_bn(o, o, 1)
    )

# %%
class Inception(nn.Module):
    """Branches of 1 × 1, 3 × 3, two 3 × 3, and a pooling, concatenated.

    o: a multiple of 8. stride 2: a pooling in front.
    """

    def __init__(self, c, o, stride=1):
        super().__init__()
        q, h = o // 4, o // 8  # channels of a branch; of a reduction
        self.pool = nn.MaxPool2d(stride) if stride > 1 else nn.Identity()
        wide = conv_bn(h, q), conv_bn(q, q)
        self.branches = nn.ModuleList(
            [
                conv_bn(c, q, 1),
                nn.Sequential(conv_bn(c, h, 1), conv_bn(h, q)),
                nn.Sequential(conv_bn(c, h, 1), *wide),
                nn.Sequential(nn.MaxPool2d(3, 1, 1), conv_bn(c, q, 1)),
            ]
        )

    def forward(self, x):
        x = self.pool(x)
        return torch.cat([branch(x) for branch in self.branches], dim=1)

# %%
class SqueezeExcite(nn.Module):
    """Each map times a number in (0, 1): def-architectures-se."""

    def __init__(self, c, squeeze=4):
        super().__init__()
        self.squeeze = MLP((c, c // squeeze, c))  # between them a ReLU

    def forward(self, x):  # (N, c, H, W)
        scale = torch.sigmoid(self.squeeze(x.mean(dim=(2, 3))))  # (N, c)
        return x * scale[:, :, None, None]


class Fire(nn.Module):
    """SqueezeNet: 1 × 1 to few channels, then 1 × 1 and 3 × 3 from them."""

    def __init__(self, c, squeeze, expand):
        super().__init__()
        self.squeeze = conv_bn(c, squeeze, 1, norm=False)
        self.point = conv_bn(squeeze, expand, 1, norm=False)
        self.wide = conv_bn(squeeze, expand, 3, norm=False)

    def forward(self, x):
        x = self.squeeze(x)
        return torch.cat([self.point(x), self.wide(x)], dim=1)

# %%
class Dense(nn.Module):
    """x and `growth` new maps of it, one behind the other (DenseNet)."""

    def __init__(self, c, growth):
        super().__init__()
        wide = 2 * growth
        self.new = nn.Sequential(
            nn.BatchNorm2d(c), nn.ReLU(), conv_bn(c, wide, 1)
        )
        self.last = nn.Conv2d(wide, growth, 3, padding=1, bias=False)

    def forward(self, x):
        return torch.cat([x, self.last(self.new(x))], dim=1)


class MBConv(nn.Module):
    """1 × 1 up, depthwise K × K, 1 × 1 down, and a shortcut if shapes fit."""

    def __init__(self, c, o, kernel=3, stride=1, expand=6, tf=False):
        super().__init__()
        wide, how = c * expand, {"act": nn.ReLU6, "tf": tf}
        up = [conv_bn(c, wide, 1, **how)] if expand > 1 else []
        deep = conv_bn(wide, wide, kernel, stride, wide, **how)
        down = conv_bn(wide, o, 1, act=None, tf=tf)
        self.layers = nn.Sequential(*up, deep, down)
        self.skip = stride == 1 and c == o

    def forward(self, x):
        y = self.layers(x)
        return x + y if self.skip else y

# %%
LITE0 = (  # of each stage: blocks, kernel, stride, expansion, channels
    *((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40)),
    *((3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192)),
    (1, 3, 1, 6, 320),
)


class Lite0(nn.Module):
    """EfficientNet-lite0: (N, 3, H, W), from (pixel - 127) / 128."""

    def __init__(self, classes=1000):
        super().__init__()
        how, blocks, c = {"act": nn.ReLU6, "tf": True}, [], 32
        self.stem = conv_bn(3, 32, 3, 2, **how)
        for depth, kernel, stride, expand, o in LITE0:
            for k in range(depth):
                s = 1 if k else stride
                blocks.append(MBConv(c, o, kernel, s, expand, tf=True))
                c = o
        self.blocks = nn.Sequential(*blocks)
        self.top = conv_bn(320, 1280, 1, **how)
        self.mean = GlobalMean()
        self.fc = nn.Linear(1280, classes)

    def forward(self, x):
        return self.fc(self.mean(self.top(self.blocks(self.stem(x)))))

# %%
def load_in_order(model, weights):
    """Copy tensors into a model one by one, in the order of both.

    ValueError where their number or a shape differs.
    """
    own = model.state_dict()
    if len(own) != len(weights):
        raise ValueError(f"{len(weights)} tensors for {len(own)} places")
    pairs = zip(own.items(), weights.items(), strict=True)
    for (name, here), (other, there) in pairs:
        if here.shape != there.shape:
            raise ValueError(
                f"{other} of shape {tuple(there.shape)} does not fit into "
                f"{name} of shape {tuple(here.shape)}"
            )
    model.load_state_dict(dict(zip(own, weights.values(), strict=True)))
    return model


def lite0():
    """EfficientNet-lite0 with ImageNet's weights, or None and a sentence."""
    try:
        path = textures.lite0_weights()
    except fetch.FetchError as error:
        print(f"The study's rows take the place of a live run: {error}")
        return None
    return load_in_order(Lite0(), torch.load(path, weights_only=True))

# %%
FORMS = ("head", "last", "all", "scratch")
RATES = {"last": (1e-3, 3e-3), "all": (3e-4, 1e-2), "scratch": (3e-3, 3e-3)}
TUNING = {  # labels of each class: epochs of last and all, of scratch
    5: (12, 24),
    20: (6, 12),
    100: (3, 0),
}
TRANSFER_STUDY = {
    "form": list(FORMS),
    "labels": list(TUNING),
    "seed": range(3),
}


def color_patches(seed):
    """Pairs to train (1600) and to test (480), in the network's range."""
    fit, _, test = textures.colored(seed, (100, 1, 30))
    return [
        ((torch.from_numpy(x).float() - 127) / 128, torch.from_numpy(y))
        for x, y in (fit, test)
    ]


def divided(model, form):
    """A frozen part and a trained part: what each form of transfer does."""
    layers = [model.stem, *model.blocks, model.top, model.mean, model.fc]
    cut = {"head": -1, "last": 11, "all": 0, "scratch": 0}[form]
    return nn.Sequential(*layers[:cut]), nn.Sequential(*layers[cut:])

# %%
def tune(model, x, y, epochs, rates, seed, norms=False):
    """Train with one rate for the body, one for the head (the last layer).

    norms: whether batch norms use the batch, as in ordinary training; else
    they keep the statistics that came with the weights.
    """
    body = [p for layer in model[:-1] for p in layer.parameters()]
    groups = [{"params": list(model[-1].parameters()), "lr": rates[1]}]
    groups += [{"params": body, "lr": rates[0]}] if body else []
    rule, k = torch.optim.AdamW(groups), 0
    starts = [group["lr"] for group in rule.param_groups]
    batches = Batches(x, y, 16, seed)
    schedule = one_cycle(epochs * len(batches))
    model.train(norms)
    for _ in range(epochs):
        for bx, by in batches:
            for group, start in zip(rule.param_groups, starts, strict=True):
                group["lr"] = start * schedule(k)
            rule.zero_grad()
            F.cross_entropy(model(bx), by).backward()
            rule.step()
            k += 1

# %%
def transfer_run(form, labels, seed):
    """Test accuracy and seconds of one form at so many labels a class.

    None where the weights cannot be had.
    """
    (x, y), (x_test, y_test) = color_patches(seed)
    x, y = x[: 16 * labels], y[: 16 * labels]
    torch.manual_seed(seed)
    model = he_start(Lite0()) if form == "scratch" else lite0()
    if model is None:
        return None
    model.fc = nn.Linear(1280, 16)
    frozen, trained = divided(model, form)
    begin = time.perf_counter()
    if form != "all" and form != "scratch":
        x, x_test = outputs(frozen, x), outputs(frozen, x_test)
    epochs = TUNING[labels][form == "scratch"]
    epochs, rates = (
        (60, (0, 1e-2)) if form == "head" else (epochs, RATES[form])
    )
    tune(trained, x, y, epochs, rates, seed, norms=form == "scratch")
    right = outputs(trained, x_test).argmax(dim=1) == y_test
    took = time.perf_counter() - begin
    return {"accuracy": right.float().mean().item(), "seconds": took}

# %%
class ResNet(nn.Module):
    """ResNet for ImageNet, with torchvision's names: (N, 3, H, W) to logits.

    depths: blocks in each of the four stages. how: for the blocks.
    """

    def __init__(self, block, depths, classes=1000, **how):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        c = 64
        for number, depth in enumerate(depths, 1):
            width, blocks = 32 * 2**number, []
            for k in range(depth):
                stride = 2 if number > 1 and not k else 1
                blocks.append(block(c, width, stride, **how))
                c = width * block.grows
            setattr(self, f"layer{number}", nn.Sequential(*blocks))
        self.fc = nn.Linear(c, classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.max_pool2d(x, 3, 2, padding=1)  # (N, 64, H / 4, W / 4)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
        return self.fc(x.mean(dim=(2, 3)))

# %%
RESNETS = {  # torchvision's name: arguments of ours
    "resnet18": (BasicBlock, (2, 2, 2, 2), {}),
    "resnet34": (BasicBlock, (3, 4, 6, 3), {}),
    "resnet50": (Bottleneck, (3, 4, 6, 3), {}),
    "resnet101": (Bottleneck, (3, 4, 23, 3), {}),
    "wide_resnet50_2": (Bottleneck, (3, 4, 6, 3), {"base": 128}),
    "resnext50_32x4d": (Bottleneck, (3, 4, 6, 3), {"groups": 32, "base": 4}),
}


def resnet(name):
    """One of the six named networks, with fresh weights."""
    if name not in RESNETS:
        raise ValueError(f"no network {name!r}; there are {list(RESNETS)}")
    block, depths, how = RESNETS[name]
    return ResNet(block, depths, **how)

# %%
MOBILE = (  # output channels and stride of the thirteen pairs
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1),) * 5,
    *((1024, 2), (1024, 1)),
)


def mobilenet(classes=1000, make=separable):
    """MobileNet; make: the layer in place of each pair."""
    layers, c = [conv_bn(3, 32, 3, 2)], 32
    for o, stride in MOBILE:
        layers.append(make(c, o, stride))
        c = o
    return nn.Sequential(*layers, GlobalMean(), nn.Linear(c, classes))


def mobile_table():
    """Rows of MobileNet at 224 × 224 by the formulas, without building it.

    Each row: name, output side, weights (no norms), MACs.
    """
    side, c = 112, 32
    rows = [("3 × 3, 3 to 32", side, 27 * c, 27 * c * side**2)]
    for o, stride in MOBILE:
        side //= stride
        rows.append((f"depthwise {c}", side, 9 * c, 9 * c * side**2))
        rows.append((f"1 × 1 to {o}", side, c * o, c * o * side**2))
        c = o
    return [*rows, ("dense", 1, c * 1000 + 1000, c * 1000)]

# %%
class NextBlock(nn.Module):
    """x + F(x): depthwise 7 × 7, layer norm, twice dense at each place."""

    def __init__(self, c):
        super().__init__()
        self.deep = nn.Conv2d(c, c, 7, padding=3, groups=c)
        self.norm = nn.LayerNorm(c)
        self.up, self.down = nn.Linear(c, 4 * c), nn.Linear(4 * c, c)

    def forward(self, x):
        y = self.norm(self.deep(x).movedim(1, -1))  # (N, H, W, c)
        return x + self.down(F.gelu(self.up(y))).movedim(-1, 1)


class ViT(nn.Module):
    """Patches of 4 × 4 as vectors, with positions, through a transformer."""

    def __init__(self, side=32, dim=16, depth=3):
        super().__init__()
        self.patches = nn.Conv2d(1, dim, 4, 4)
        self.place = nn.Parameter(0.02 * torch.randn((side // 4) ** 2, dim))
        layer = nn.TransformerEncoderLayer(
            dim, 2, 4 * dim, 0.0, "gelu", batch_first=True, norm_first=True
        )
        norm = nn.LayerNorm(dim)
        self.body = nn.TransformerEncoder(layer, depth, norm, False)
        self.fc = nn.Linear(dim, 16)

    def forward(self, x):
        x = self.patches(x).flatten(2).mT  # (N, L, dim)
        return self.fc(self.body(x + self.place).mean(1))

# %%
def staged(make, widths, depth=1, first=None):
    """Stem, three stages of `depth` layers make(c, o, stride), mean, dense."""
    layers, c = [first or conv_bn(1, widths[0], 3, 2)], widths[0]
    for stage, o in enumerate(widths):
        for k in range(depth):
            layers.append(make(c, o, 2 if stage and not k else 1))
            c = o
    return nn.Sequential(*layers, GlobalMean(), nn.Linear(c, 16))


def lenet(a=11, b=25):
    first = nn.Conv2d(1, a, 5), nn.ReLU(), nn.MaxPool2d(2)  # 14 × 14
    second = nn.Conv2d(a, b, 5), nn.ReLU(), nn.MaxPool2d(2)  # 5 × 5
    head = MLP((25 * b, 120, 84, 16))
    return nn.Sequential(*first, *second, nn.Flatten(), head)


def densenet(c=12, growth=6, depth=3):
    layers = [conv_bn(1, c, 3, 2)]
    for stage in range(3):
        for _ in range(depth):
            layers.append(Dense(c, growth))
            c += growth
        if stage < 2:
            layers += [conv_bn(c, c // 2, 1), nn.AvgPool2d(2)]
            c //= 2
    return nn.Sequential(*layers, GlobalMean(), nn.Linear(c, 16))

# %%
def convnext(widths=(10, 20, 40), depth=1):
    layers, c = [nn.Conv2d(1, widths[0], 2, 2)], widths[0]
    for o in widths:
        if o != c:
            layers += [nn.GroupNorm(1, c), nn.Conv2d(c, o, 2, 2)]
            c = o
        layers += [NextBlock(c) for _ in range(depth)]
    return nn.Sequential(*layers, GlobalMean(), nn.Linear(c, 16))


def residual(kind="pad", gate=None):
    """A maker of basic blocks for `staged`."""

    def make(c, o, stride):
        return BasicBlock(c, o, stride, kind, gate=gate)

    return make


def bottleneck(c, o, stride):
    """ResNeXt's block in small: two groups in the middle of o // 2."""
    return Bottleneck(c, o // 4, stride, "project", groups=2, base=64)

# %%
def vgg(c, o, stride, norm=True):
    """The layer of VGG, with batch norm; in a stage, one after another."""
    return conv_bn(c, o, 3, stride, norm=norm)


def bare(c, o, stride):
    return vgg(c, o, stride, norm=False)


RACE = {  # name: a network with fresh weights, about 1 million MACs
    "MLP": lambda: nn.Sequential(nn.Flatten(), MLP((1024, 700, 384, 16))),
    "LeNet": lenet,
    "VGG, no norm": lambda: staged(bare, (14, 28, 56), 1, bare(1, 14, 2)),
    "VGG": lambda: staged(vgg, (14, 28, 56)),
    "NIN": lambda: staged(nin, (12, 24, 48)),
    "Inception": lambda: staged(Inception, (24, 56, 112)),
    "plain": lambda: staged(residual(None), (9, 18, 36)),
    "ResNet": lambda: staged(residual(), (9, 18, 36)),
    "SENet": lambda: staged(residual(gate=SqueezeExcite), (9, 18, 36)),
    "ResNeXt": lambda: staged(bottleneck, (20, 40, 80)),
    "DenseNet": densenet,
    "MobileNet": lambda: staged(separable, (40, 80, 160)),
    "ConvNeXt": convnext,
    "ViT": ViT,
}
RACE_STUDY = {
    "network": list(RACE),
    "rate": [2e-3, 1e-2, 5e-2],
    "seed": range(4),
}

# %%
def race_run(network, rate, seed, epochs=10):
    """Accuracies after training by AdamW; `valid` chooses the rate."""
    if network not in RACE:
        raise ValueError(f"no network {network!r}; there are {list(RACE)}")
    fit, valid, test = gray_patches(seed, 32)
    torch.manual_seed(seed)
    model = he_start(RACE[network]())
    batches = Batches(*fit, 64, seed)
    rule = torch.optim.AdamW(model.parameters(), rate)
    schedule = one_cycle(epochs * len(batches))
    train(model, rule, batches, epochs, schedule=schedule)
    parts = {"train": fit, "valid": valid, "test": test}
    return {name: scores(model, *part)[1] for name, part in parts.items()}
