"""The exercises of the chapter on architectures: wrong answers that readers give, and the hint each must get."""

import copy

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from dlp_utils.models.architectures import MOBILE, mobilenet, separable

# --- bug zoo -------------------------------------------------------------------------------------------


def stacked(make, n):
    layers = []
    while len(layers) < n:
        layers.append(make())
    return nn.Sequential(*layers)


def stacked_one_by_one(make, n):
    model = nn.Sequential()
    for k in range(n):
        model.add_module(f"block{k}", make())
    return model


def copies(make, n):
    first = make()
    return nn.Sequential(first, *(copy.deepcopy(first) for _ in range(n - 1)))


def convolutions(c, norms=2, convs=2, bias=False, padding=1, relu=True, kernel=3):
    conv = [nn.Conv2d(c, c, kernel, padding=padding, bias=bias) for _ in range(convs)]
    norm = [nn.BatchNorm2d(c) for _ in range(norms)]
    layers = [conv[0], norm[0], nn.ReLU(), conv[-1], norm[-1]]
    return nn.Sequential(*layers, *([nn.ReLU()] if relu else []))


def depthwise(c):
    conv = [nn.Conv2d(c, c, 3, padding=1, groups=c, bias=False) for _ in range(2)]
    return nn.Sequential(conv[0], nn.BatchNorm2d(c), nn.ReLU(), conv[1], nn.BatchNorm2d(c), nn.ReLU())


def pairs_of(c):
    def one():
        return nn.Sequential(nn.Conv2d(c, c, 3, padding="same", bias=False), nn.BatchNorm2d(c), nn.ReLU(True))

    return nn.Sequential(one(), one())


def hidden(model, kinds=(list, tuple, dict), test=any, values=True, private=False, order=True):
    found = []
    for name, part in vars(model).items():
        if isinstance(part, kinds) and (private or not name.startswith("_")):
            members = part.values() if isinstance(part, dict) and values else part
            if len(part) and test(isinstance(member, nn.Module) for member in members):
                found.append(name)
    return sorted(found) if order else found


def hidden_by_registry(model):
    known = {id(m) for m in model.modules()}
    out = set()
    for name in model.__dict__:
        part = getattr(model, name)
        if name[0] == "_" or not isinstance(part, (list, tuple, dict)):
            continue
        for member in list(part.values()) if isinstance(part, dict) else part:
            if isinstance(member, nn.Module) and id(member) not in known:
                out.add(name)
    return sorted(out)


def alone(model, x):
    return np.stack([np.asarray(model(x[[i]]))[0] for i in range(len(x))])


def company_by_loop(model, x):
    worst, together = 0.0, model(x)
    for i in range(len(x)):
        worst = max(worst, np.max(np.abs(together[i] - model(x[i : i + 1])[0])))
    return worst


def frozen(model, body_mode=False, grad=False, head=True, head_mode=True, whole=False):
    for layer in model[:-1]:
        layer.requires_grad_(grad)
        layer.train(body_mode)
    if whole:
        for layer in model[:-1]:
            layer.training = False
            for part in layer.children():
                part.train()
    model[-1].requires_grad_(head)
    model[-1].train(head_mode)
    return model


def frozen_by_names(model):
    last = str(len(model) - 1)
    for name, p in model.named_parameters():
        p.requires_grad = name.split(".")[0] == last
    model.eval()
    model[-1].train()
    return model


def frozen_without_gradients(model):
    for p in model[:-1].parameters():
        p.requires_grad = False
    return model.train()


def frozen_but_never_thawed(model):
    model[:-1].requires_grad_(False).eval()
    model[-1].train()
    return model


def fitted(weights, model, prefix="module.", names=True, shapes=True, always=False, subset=False):
    own = model.state_dict()
    new = {}
    for name, value in weights.items():
        short = name.removeprefix(prefix) if always or name not in own else name
        new[short] = value
    if names and (not set(own) <= set(new) if subset else set(new) != set(own)):
        raise ValueError("names")
    if shapes and any(k in own and own[k].shape != v.shape for k, v in new.items()):
        raise ValueError("shapes")
    return new


def fitted_by_loading(weights, model):
    own = set(model.state_dict())
    new = {k if k in own else k.replace("module.", "", 1): v for k, v in weights.items()}
    trial = copy.deepcopy(model)
    try:
        trial.load_state_dict(new, strict=True)
    except RuntimeError as error:
        raise ValueError(str(error)) from error
    return new


# --- exercises -----------------------------------------------------------------------------------------


def excited(x, w1, b1, w2, b2):
    x, w1, b1, w2, b2 = (torch.from_numpy(np.array(a)) for a in (x, w1, b1, w2, b2))
    s = torch.sigmoid(F.linear(F.relu(F.linear(x.mean((1, 2)), w1, b1)), w2, b2))
    return (x * s.reshape(-1, 1, 1)).numpy()


def excited_by_loop(x, w1, b1, w2, b2):
    s = np.array([channel.sum() / channel.size for channel in x])
    z = np.clip(np.dot(w1, s) + b1, 0, None)
    g = np.dot(w2, z) + b2
    return np.stack([c * (0.5 + 0.5 * np.tanh(v / 2)) for c, v in zip(x, g, strict=True)])


def counted(a):
    c, total = int(32 * a), 0
    total = 29 * c
    for o, _ in MOBILE:
        o = int(a * o)
        total += 11 * c + c * o + 2 * o
        c = o
    return total + 1001 * c - c + 1000


def built(a):
    layers, c = [nn.Conv2d(3, int(32 * a), 3, 2, 1, bias=False), nn.BatchNorm2d(int(32 * a))], int(32 * a)
    for o, stride in MOBILE:
        layers.append(separable(c, int(o * a), stride))
        c = int(o * a)
    model = nn.Sequential(*layers, nn.Linear(c, 1000))
    return sum(p.numel() for p in model.parameters())


def folded(w, gamma, beta, mean, var, eps=1e-5):
    root = np.sqrt(var + eps)
    kernels = np.array([k * g / r for k, g, r in zip(w, gamma, root, strict=True)])
    return [kernels, (beta * root - gamma * mean) / root]


def folded_by_torch(w, gamma, beta, mean, var, eps=1e-5):
    from torch.nn.utils.fusion import fuse_conv_bn_weights

    parts = [torch.from_numpy(np.array(a)) for a in (w, mean, var, gamma, beta)]
    kernel, bias = fuse_conv_bn_weights(parts[0], None, parts[1], parts[2], eps, parts[3], parts[4])
    return kernel.detach().numpy(), bias.detach().numpy()


def merged(w3, w1):
    return w3 + np.pad(w1 + np.eye(len(w1))[:, :, None, None], ((0, 0), (0, 0), (1, 1), (1, 1)))


def merged_by_impulses(w3, w1):
    """What the block answers to a single pixel is its kernel, turned round."""
    c = len(w3)
    x = torch.zeros(c, c, 3, 3, dtype=torch.float64)
    for k in range(c):
        x[k, k, 1, 1] = 1
    y = F.conv2d(x, torch.from_numpy(w3.copy()), padding=1) + F.conv2d(x, torch.from_numpy(w1.copy())) + x
    return y.flip(2, 3).transpose(0, 1).numpy()


def zeroed(model, which="bn2", shift=False, conv=False, freeze=False, front=False):
    for block in model.blocks:
        norm = getattr(block, which)
        nn.init.zeros_(norm.weight)
        if shift:
            nn.init.ones_(norm.bias)
        if conv:
            nn.init.zeros_(block.conv2.weight)
        if freeze:
            norm.weight.requires_grad = False
    if front:
        nn.init.zeros_(model.bn.weight)
    return model


def zeroed_by_name(model):
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith("bn2.weight"):
                p *= 0
    return model


def almost_zeroed(model):
    for block in model.blocks:
        nn.init.constant_(block.bn2.weight, 1e-8)
    return model


def all_zeroed(model):
    for layer in model.blocks.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.zeros_(layer.weight)
    return model


# id: [(wrong answer, part of the hint that it must get)]
WRONG = {
    "arch-zoo-shared": [
        (lambda make, n: nn.Sequential(*[make()] * n), "How often must make be called"),
        (copies, "twin"),
        (lambda make, n: [make() for _ in range(n)], "nn.Sequential"),
        (lambda make, n: nn.Sequential(*[make() for _ in range(3)]), "How often"),
        (lambda make, n: nn.Sequential(*[nn.Linear(3, 3) for _ in range(n)]), "Call make()"),
    ],
    "arch-zoo-norm": [
        (lambda c: convolutions(c, norms=1), "Make two"),
        (lambda c: convolutions(c, convs=1), "Make two convolutions"),
        (lambda c: convolutions(c, bias=True), "bias=False"),
        (lambda c: convolutions(c, padding=0), "padding"),
        (lambda c: convolutions(c, relu=False), "the same again"),
        (depthwise, "plain convolution"),
    ],
    "arch-zoo-list": [
        (lambda m: hidden(m, kinds=(list,)), "tuples and dicts"),
        (lambda m: hidden(m, test=all), "One module among"),
        (lambda m: hidden(m, values=False), "tuples and dicts"),
        (lambda m: hidden(m, private=True), "begin with _"),
        (lambda m: hidden(m, test=lambda members: True), "list of numbers"),
        (lambda m: hidden(m, order=False), "Sorted"),
        (lambda m: [n for n, p in vars(m).items() if isinstance(p, list)], "list of numbers"),
    ],
    "arch-zoo-batch": [
        (lambda model, x: np.abs(model(x)[:1] - model(x[:1])).max(), "first member"),
        (lambda model, x: (model(x) - alone(model, x)).max(), "absolute value"),
        (lambda model, x: np.abs(model(x) - alone(model, x)).mean(), "not the mean"),
        (lambda model, x: np.abs(model(x) - model(x.copy())).max(), "whole batch"),
        (lambda model, x: np.abs(model(x) - alone(model, x)).sum(), "not the sum"),
        (lambda model, x: np.abs(np.abs(model(x)) - np.abs(alone(model, x))).max(), ""),
        (lambda model, x: np.abs(model(x) - model(x[::-1])[::-1]).max(), "keeps the company"),
    ],
    "arch-zoo-places": [
        (lambda model, x: np.abs(model(x) - model(x[::-1])).max(), "reverses the batch"),
        (lambda model, x: np.abs(model(x) - model(x[..., ::-1])).max(), "within each row"),
        (lambda model, x: (model(x) - model(x[:, ::-1])).max(), "absolute value"),
        (lambda model, x: np.abs(model(x) - model(x[:, ::-1])).mean(), "not the mean"),
        (lambda model, x: np.abs(model(x) - model(np.flip(x))).max(), "every axis"),
        (lambda model, x: np.abs(model(x)[0] - model(x[:, ::-1])[0]).max(), ""),
    ],
    "arch-zoo-frozen": [
        (frozen_without_gradients, "behave as in training"),
        (lambda m: frozen(m, grad=True), "requires_grad_(False)"),
        (lambda m: frozen(m, head=False), "must learn"),
        (lambda m: frozen(m, head_mode=False), "mode back"),
        (frozen_but_never_thawed, "must learn"),
        (lambda m: frozen(m, whole=True), "behave as in training"),
        (lambda m: frozen(copy.deepcopy(m)), "in place"),
        (lambda m: frozen(m) and None, "Return the model"),
    ],
    "arch-zoo-range": [
        (lambda p: ((p - np.uint8(127)) / np.float32(128)).transpose(0, 3, 1, 2), "floats first"),
        (lambda p: (p.astype(np.float32) - 127) / 128, "axis 1"),
        (lambda p: ((p.astype(np.float32) - 127) / 128).reshape(len(p), 3, *p.shape[1:3]), "Reshape"),
        (lambda p: p.transpose(0, 3, 1, 2) / np.float32(255), "another network"),
        (lambda p: (p.transpose(0, 3, 1, 2) / np.float32(127.5)) - 1, "own numbers"),
        (lambda p: p.transpose(0, 3, 1, 2) / np.float32(128), "taken off first"),
        (lambda p: (p.astype(np.int8).transpose(0, 3, 1, 2) - np.int8(127)) / np.float32(128), ""),
        (lambda p: p.transpose(0, 3, 1, 2).astype(np.float32), "0 to 255"),
    ],
    "arch-zoo-strict": [
        (lambda w, m: w, "prefix off"),
        (lambda w, m: fitted(w, m, names=False), "exactly the model's"),
        (lambda w, m: fitted(w, m, shapes=False), "exactly the model's"),
        (lambda w, m: fitted(w, m, subset=True), "exactly the model's"),
        (lambda w, m: fitted(w, m, always=True), ""),
        (lambda w, m: {k[7:]: v for k, v in w.items()}, "only there"),
        (lambda w, m: m.load_state_dict(w, strict=False), ""),
        (lambda w, m: {k: v.zero_() for k, v in fitted(w, m).items()}, "Work on a copy"),
        (
            lambda w, m: fitted({k if k in m.state_dict() else k.lstrip("module."): w[k] for k in w}, m),
            "letters",
        ),
    ],
    "arch-bottleneck": [
        (36864, "middle layer"),
        (32768, "And the 3 × 3"),
        (53248, "behind it"),
        (589824, "64 channels"),
        (1179648, "replaces"),
    ],
    "arch-three": [
        (9 / 49, "one of the three"),
        (49 / 27, "other way"),
        (18 / 25, "5 × 5"),
        (22 / 49, "saved"),
        (0.5, ""),
    ],
    "arch-compound": [
        (8, "round 2"),
        (1.92027, "one step"),
        (1.518**3, "squared"),
        (5.76, "a power"),
        (9.0, ""),
    ],
    "arch-stochastic": [
        (27, "hardly ever"),
        (13.75, "left out"),
        (40.5, "little more"),
        (54, "test time"),
        (40.75, "from 1"),
        (40, "whole"),
    ],
    "arch-se": [
        (lambda x, w1, b1, w2, b2: excited(x, w1, b1, w2, 0 * b2), ""),
        (
            lambda x, w1, b1, w2, b2: (
                x / (1 + np.exp(-(w2 @ (w1 @ x.mean((1, 2)) + b1) + b2)))[:, None, None]
            ),
            "a ReLU",
        ),
        (
            lambda x, w1, b1, w2, b2: x * (w2 @ np.maximum(w1 @ x.mean((1, 2)) + b1, 0) + b2)[:, None, None],
            "between 0 and 1",
        ),
        (lambda x, w1, b1, w2, b2: excited(x, w1, 0 * b1, w2, 0 * b2), "biases"),
        (lambda *a: a[0] + excited(*a), "nothing is added"),
    ],
    "arch-mobile": [
        (lambda a: counted(a) - 2 * sum(p.numel() for p in ()) - 1000, "1,000 biases"),
        (lambda a: int(counted(1) * a), "scale alike"),
        (lambda a: int(counted(1) * a * a), "ONE scaled"),
        (lambda a: counted(1), "a = 1"),
    ],
    "arch-fold": [
        (lambda w, g, b, m, v, eps=1e-5: folded(w, g, b, m, (v + eps) ** 2 - eps, eps), "ROOT"),
        (lambda w, g, b, m, v, eps=1e-5: folded(w, g, b, 0 * m, v, eps), "mean off"),
        (lambda w, g, b, m, v, eps=1e-5: (folded(w, g, b, m, v, eps)[0], b - m), "through the scale"),
        (lambda w, g, b, m, v, eps=1e-5: folded(w, g, 0 * b, m, v, eps), "beta"),
        (lambda w, g, b, m, v, eps=1e-5: folded(w, g, b, m, v, 0.0), "under the root"),
        (lambda w, g, b, m, v, eps=1e-5: folded(w, 0 * g + 1, b, m, v, eps), "gamma"),
        (lambda *a: folded(*a)[0], "Two arrays"),
        (
            lambda w, g, b, m, v, eps=1e-5: (w * (g / np.sqrt(v + eps)), folded(w, g, b, m, v, eps)[1]),
            "LAST axes",
        ),
        (lambda w, g, b, m, v, eps=1e-5: (w, folded(w, g, b, m, v, eps)[1]), "kernel is scaled"),
    ],
    "arch-merge": [
        (lambda a, b: a + np.pad(b, ((0, 0), (0, 0), (1, 1), (1, 1))), "shortcut"),
        (lambda a, b: a + b, "blur"),
        (
            lambda a, b: (
                merged(a, b) + np.pad(1 - np.eye(len(a))[:, :, None, None], ((0, 0), (0, 0), (1, 1), (1, 1)))
            ),
            "channel c alone",
        ),
        (lambda a, b: merged(a, b.swapaxes(0, 1)), "axis of w1"),
        (lambda a, b: merged(a, 0 * b), "w1 is missing"),
        (lambda a, b: merged(0 * a, b), "w3 is missing"),
    ],
    "arch-zero": [
        (lambda m: zeroed(m, "bn1"), "zero or frozen"),
        (lambda m: zeroed(m, shift=True), "comes last"),
        (lambda m: zeroed(m, conv=True), "must not be 0"),
        (lambda m: zeroed(m, freeze=True), "zero or frozen"),
        (lambda m: zeroed(m, front=True), "each BLOCK"),
        (almost_zeroed, "Exactly 0"),
        (lambda m: zeroed(copy.deepcopy(m)), "in place"),
        (lambda m: zeroed(m) and None, "Return the model"),
        (all_zeroed, ""),
    ],
}

# Right answers in another form than the page's.
RIGHT = {
    "arch-zoo-shared": [stacked, stacked_one_by_one],
    "arch-zoo-norm": [convolutions, pairs_of],
    "arch-zoo-list": [hidden, hidden_by_registry, lambda m: tuple(hidden(m))],
    "arch-zoo-batch": [
        company_by_loop,
        lambda model, x: np.float32(np.abs(model(x) - alone(model, x)).max()),
    ],
    "arch-zoo-places": [
        lambda model, x: np.max(np.abs(model(x) - model(np.flip(x, 1)))),
        lambda model, x: np.abs(model(x[:, np.arange(x.shape[1])[::-1]]) - model(x)).max(),
    ],
    "arch-zoo-frozen": [frozen, frozen_by_names],
    "arch-zoo-range": [
        lambda p: np.moveaxis((p.astype(np.float64) - 127) / 128, 3, 1).astype(np.float32),
        lambda p: ((torch.from_numpy(p.copy()).permute(0, 3, 1, 2).float() - 127) / 128).numpy(),
        lambda p: (p.transpose(0, 3, 1, 2).astype(int) - 127) / np.float32(128),
    ],
    "arch-zoo-strict": [fitted, fitted_by_loading],
    "arch-bottleneck": [69632, 2 * 256 * 64 + 9 * 64**2],
    "arch-three": [27 / 49, 0.551, np.float32(0.55102)],
    "arch-compound": [7.08, 1.92027**3],
    "arch-stochastic": [40.25, sum(1 - k / 54 / 2 for k in range(1, 55))],
    "arch-se": [excited, excited_by_loop, lambda *a: excited(*a).astype(np.float32)],
    "arch-mobile": [counted, built, lambda a: float(counted(a))],
    "arch-fold": [folded, folded_by_torch],
    "arch-merge": [merged, merged_by_impulses],
    "arch-zero": [zeroed, zeroed_by_name],
}

assert sum(p.numel() for p in mobilenet().parameters()) == counted(1)
