"""Generated from notebooks/training.ipynb by `make export`: edit the notebook, not this file."""
# %%
__all__ = ['CONFIGS', 'BY_HEART', 'PATIENTS', 'BEDS', 'OPTIMIZERS', 'RATE_STUDY', 'BATCH_STUDY', 'SCHEDULES', 'SCHEDULE_STUDY',
           'ACTIVATIONS', 'AXES', 'REMEDIES', 'digit_parts', 'MLP', 'Config', 'build', 'example_batch', 'step',
           'Batches', 'train', 'Patient', 'noisy', 'ward', 'admit', 'diagnostic_loss', 'checkup', 'scores', 'quadratic',
           'rosenbrock', 'Optimizer', 'SGD', 'RMSProp', 'Adam', 'AdamW', 'race', 'steps_to_stay', 'rate_run',
           'gradient_noise', 'batch_run', 'step_decay', 'exponential', 'cosine', 'warmup', 'schedule_run', 'normal_cdf',
           'normal_pdf', 'softplus', 'mish_slope', 'normalize', 'group_normalize', 'Shifted', 'Best', 'remedied',
           'remedy_run']

# %%
import math
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from dlp_utils.data import digits
from dlp_utils.models.learning import (
    calibration_error,
    fit_temperature,
    softmax,
)

# %%
def digit_parts(seed=0, source=None):
    """Training, validation and test digits: three pairs (x, y).

    x: (n, 64), float32, 0 to 1; y: (n,), int64; n = 903, 300 and 594.
    source: other arrays than those of `digits.split`, in its order.
    """
    x, y, *test = map(torch.from_numpy, source or digits.split(seed))
    held = len(x) // 4  # for validation
    parts = (x[:-held], y[:-held]), (x[-held:], y[-held:]), test
    return [(x.float(), y) for x, y in parts]

# %%
class MLP(nn.Module):
    """Fully connected network from (N, d) to logits (N, C).

    sizes: e.g. (64, 128, 128, 10). norm: batch norm in front of each
    activation. dropout: share of the activations that training drops.
    """

    def __init__(self, sizes, activation=nn.ReLU, norm=False, dropout=0.0):
        super().__init__()
        layers = []
        for d_in, d_out in pairwise(sizes[:-1]):
            layers.append(nn.Linear(d_in, d_out))
            if norm:
                layers.append(nn.BatchNorm1d(d_out))
            layers.append(activation())
            if dropout:
                layers.append(nn.Dropout(dropout))
        layers.append(nn.Linear(sizes[-2], sizes[-1]))  # nothing behind it
        self.layers = nn.Sequential(*layers)

    def forward(self, x):  # (N, d)
        return self.layers(x)  # (N, C)

# %%
@dataclass(frozen=True)
class Config:
    sizes: tuple = (64, 128, 128, 10)  # layer widths, pixels to logits
    norm: bool = True  # batch norm in front of each activation
    dropout: float = 0.0  # share of activations dropped in training
    batch: int = 64  # pictures in one step


CONFIGS = {
    "smoke": Config((64, 32, 10)),
    "cpu": Config(),
    "gpu": Config((784, 1024, 1024, 10), batch=512),
}


def build(config):
    return MLP(config.sizes, norm=config.norm, dropout=config.dropout)

# %%
def example_batch(config, device):
    """A batch of the right shapes, random, for tests and estimates."""
    x = torch.rand(config.batch, config.sizes[0], device=device)
    return x, torch.arange(config.batch, device=device) % config.sizes[-1]


def step(model, batch):
    """Mean cross-entropy of a batch; x: (N, d), y: (N,)."""
    x, y = batch
    return F.cross_entropy(model(x), y)

# %%
class Batches:
    """Goes through (x, y) in batches of `size`, in a new order each time:
    what a DataLoader does with tensors, without its detours.
    """

    def __init__(self, x, y, size, seed=0, shuffle=True):
        self.x, self.y, self.size, self.shuffle = x, y, size, shuffle
        self.generator = torch.Generator().manual_seed(seed)

    def __len__(self):
        return math.ceil(len(self.x) / self.size)

    def __iter__(self):
        order = torch.arange(len(self.x))
        if self.shuffle:
            order = torch.randperm(len(self.x), generator=self.generator)
        for chosen in order.split(self.size):
            yield self.x[chosen], self.y[chosen]  # (b, d), (b,)

# %%
def train(
    model,
    optimizer,
    batches,
    epochs,
    *,
    loss=F.cross_entropy,
    schedule=None,
    watch=None,
):
    """The loop: returns the loss of each step.

    loss: of logits and labels. schedule: from the step (0, 1, …) to a factor
    of the rate. watch: called with the model, evaluating, after each epoch.
    """
    losses, rate = [], optimizer.param_groups[0]["lr"]
    for _ in range(epochs):
        model.train()
        for x, y in batches:
            for group in optimizer.param_groups if schedule else ():
                group["lr"] = rate * schedule(len(losses))
            optimizer.zero_grad()
            value = loss(model(x), y)
            value.backward()
            optimizer.step()
            losses.append(value.item())
        model.eval()
        if watch:
            watch(model)
    return losses

# %%
@dataclass(frozen=True)
class Patient:
    """What differs from the healthy recipe; `checkup` runs it."""

    lr: float = 0.03
    width: int = 128
    images: int = 903  # to train on
    labels: str = "true"  # or "shuffled", "noisy", "rare"
    adam: bool = False  # in place of SGD with momentum 0.9
    dropout: float = 0.0
    zero_grad: bool = True
    eval_mode: bool = True
    shuffle: bool = True
    softmax: bool = False  # in front of the loss
    scale: float = 1.0  # of the validation pixels


def noisy(labels, share, seed):
    """Labels of which a share is drawn anew, from all ten classes."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(10, labels.shape, generator=generator)
    chosen = torch.rand(labels.shape, generator=generator) < share
    return torch.where(chosen, drawn, labels)

# %%
def ward(patient, seed):
    """The patient's training and validation data."""
    (x, y), (vx, vy), _ = digit_parts(seed)
    if patient.labels == "rare":  # is it an 8? Of the 8s, 1 % are left
        parts = []
        for pixels, names in ((x, y), (vx, vy)):
            rest = (names != 8).nonzero()[:, 0]
            eights = (names == 8).nonzero()[:, 0][: len(rest) // 100]
            kept = torch.cat([rest, eights])
            parts += [pixels[kept], (names[kept] == 8).long()]
        x, y, vx, vy = parts
    elif patient.labels == "shuffled":
        order = torch.Generator().manual_seed(seed)
        y = y[torch.randperm(len(y), generator=order)]
    elif patient.labels == "noisy":
        y = noisy(y, 0.3, seed)
    x, y = x[: patient.images], y[: patient.images]
    if not patient.shuffle:
        order = y.argsort(stable=True)
        x, y = x[order], y[order]
    return (x, y), (vx * patient.scale, vy)

# %%
def admit(patient, seed):
    """The patient's model and optimizer."""
    classes = 2 if patient.labels == "rare" else 10
    torch.manual_seed(seed)
    sizes = (64, patient.width, patient.width, classes)
    model = MLP(sizes, dropout=patient.dropout)
    if patient.adam:
        return model, torch.optim.Adam(model.parameters(), lr=patient.lr)
    return model, torch.optim.SGD(model.parameters(), patient.lr, 0.9)


def diagnostic_loss(patient, logits, labels):
    if patient.softmax:
        logits = logits.softmax(dim=1)
    return F.cross_entropy(logits, labels)

# %%
def checkup(patient, epochs=60, seed=0):
    """Training loss, validation loss and accuracy: (epochs, 3)."""
    (x, y), (vx, vy) = ward(patient, seed)
    model, optimizer = admit(patient, seed)
    rows = []
    for _ in range(epochs):
        model.train()
        total = 0.0
        for bx, by in Batches(x, y, 64, seed + len(rows), patient.shuffle):
            if patient.zero_grad:
                optimizer.zero_grad()
            loss = diagnostic_loss(patient, model(bx), by)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(bx)
        if patient.eval_mode:
            model.eval()
        with torch.no_grad():
            out = model(vx)
        right = (out.argmax(dim=1) == vy).float().mean().item()
        valid_loss = diagnostic_loss(patient, out, vy).item()
        rows.append((total / len(x), valid_loss, right))
    return np.array(rows)

# %%
BY_HEART = Patient(labels="shuffled", width=256, adam=True, lr=3e-3)
PATIENTS = {
    "healthy": Patient(),
    "rate too small": Patient(lr=3e-4),
    "rate too large": Patient(lr=1.0),
    "labels shuffled": BY_HEART,
    "100 images": Patient(images=100),
    "wrong labels": Patient(labels="noisy", lr=0.1),
    "no zero_grad": Patient(zero_grad=False),
    "no eval": Patient(dropout=0.5, eval_mode=False),
    "not shuffled": Patient(shuffle=False),
    "double softmax": Patient(softmax=True),
    "other scale": Patient(scale=16.0),
    "rare class": Patient(labels="rare"),
}
BEDS = dict(zip("DGBHCJKILAFE", PATIENTS, strict=True))  # letter: patient

# %%
@torch.no_grad()
def scores(model, x, y):
    """Loss (nats) and accuracy of the model, as it stands: mode and all."""
    logits = model(x)  # (N, C)
    right = (logits.argmax(dim=1) == y).float().mean()
    return F.cross_entropy(logits, y).item(), right.item()

# %%
def quadratic(p, curvature=100.0, angle=0.0):
    """½ (x² + curvature·y²), turned by `angle`; p: (…, 2) to (…)."""
    c, s = math.cos(angle), math.sin(angle)
    x, y = c * p[..., 0] + s * p[..., 1], c * p[..., 1] - s * p[..., 0]
    return 0.5 * (x**2 + curvature * y**2)


def rosenbrock(p):
    """A bent valley, its bottom at (1, 1). Source: Rosenbrock (1960)."""
    x, y = p[..., 0], p[..., 1]
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2

# %%
class Optimizer:
    """Moves parameters against their gradients; `update` says how.

    lr: a number, or a tensor that fits the parameters.
    """

    def __init__(self, parameters, lr):
        self.parameters, self.lr, self.steps = list(parameters), lr, 0
        self.memory = [{} for _ in self.parameters]

    def zero_grad(self):
        for p in self.parameters:
            p.grad = None

    @torch.no_grad()
    def step(self):
        self.steps += 1
        for p, memory in zip(self.parameters, self.memory, strict=True):
            if p.grad is not None:
                self.update(p, p.grad, memory)

# %%
class SGD(Optimizer):
    """Gradient descent, with momentum, or with Nesterov's.

    Source: def-training-momentum, def-training-nesterov, def-training-l2.
    """

    def __init__(
        self, parameters, lr, momentum=0.0, nesterov=False, decay=0.0
    ):
        super().__init__(parameters, lr)
        self.momentum, self.nesterov, self.decay = momentum, nesterov, decay

    def update(self, p, g, memory):
        g = g + self.decay * p  # the gradient of ρ‖θ‖²/2
        v = memory["v"] = self.momentum * memory.get("v", 0) + g
        p -= self.lr * (g + self.momentum * v if self.nesterov else v)

# %%
class RMSProp(Optimizer):
    """A gradient over the root of its mean square (def-training-rmsprop)."""

    def __init__(self, parameters, lr, beta=0.99, eps=1e-8):
        super().__init__(parameters, lr)
        self.beta, self.eps = beta, eps

    def update(self, p, g, memory):
        s = self.beta * memory.get("s", 0) + (1 - self.beta) * g**2
        memory["s"] = s
        p -= self.lr * g / (s.sqrt() + self.eps)

# %%
class Adam(Optimizer):
    """Both means, without bias. Source: alg-training-adam."""

    def __init__(
        self, parameters, lr, betas=(0.9, 0.999), eps=1e-8, decay=0.0
    ):
        super().__init__(parameters, lr)
        self.betas, self.eps, self.decay = betas, eps, decay

    def update(self, p, g, memory):
        (b1, b2), k = self.betas, self.steps
        g = self.decayed(p, g)
        m = memory["m"] = b1 * memory.get("m", 0) + (1 - b1) * g
        s = memory["s"] = b2 * memory.get("s", 0) + (1 - b2) * g**2
        m, s = m / (1 - b1**k), s / (1 - b2**k)  # eq-training-adam-bias
        p -= self.lr * m / (s.sqrt() + self.eps)

    def decayed(self, p, g):
        return g + self.decay * p  # L2: goes through both means


class AdamW(Adam):
    """Adam whose decay shrinks the weights themselves: def-training-adamw."""

    def decayed(self, p, g):
        p *= 1 - self.lr * self.decay
        return g

# %%
def race(surface, make, start, rates, steps):
    """Paths of one optimizer at many rates at once: (steps + 1, R, 2).

    make: function from [parameter] and rates (R, 1) to an Optimizer.
    """
    rates = torch.as_tensor(rates, dtype=torch.float64)
    p = torch.tensor(start, dtype=torch.float64).repeat(len(rates), 1)
    p.requires_grad_()  # (R, 2)
    optimizer, path = make([p], rates[:, None]), [p.detach().clone()]
    for _ in range(steps):
        optimizer.zero_grad()
        surface(p).sum().backward()
        optimizer.step()
        path.append(p.detach().clone())
    return torch.stack(path)


def steps_to_stay(values, tolerance):
    """Steps after which `values` (steps, R) stay below; inf if never."""
    above = ~(values <= tolerance)  # also where a value is no number
    last = above.shape[0] - above.flip(0).int().argmax(dim=0)
    last = torch.where(above.any(dim=0), last, 0).double()
    return torch.where(above[-1], torch.inf, last)

# %%
OPTIMIZERS = {
    "SGD": lambda p, lr: torch.optim.SGD(p, lr=lr),
    "momentum": lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9),
    "RMSProp": lambda p, lr: torch.optim.RMSprop(p, lr=lr),
    "Adam": lambda p, lr: torch.optim.Adam(p, lr=lr),
}
RATE_STUDY = {
    "optimizer": list(OPTIMIZERS),
    "norm": [False, True],
    "rate": [1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0],
    "seed": range(5),
}

# %%
def rate_run(optimizer, norm, rate, seed):
    """Validation accuracy after 10 epochs at a constant rate, batch 64."""
    fit, valid, _ = digit_parts(seed)
    torch.manual_seed(seed)
    model = MLP((64, 128, 128, 10), norm=norm)
    rule = OPTIMIZERS[optimizer](model.parameters(), rate)
    losses = train(model, rule, Batches(*fit, 64, seed), epochs=10)
    return {"accuracy": scores(model, *valid)[1], "loss": losses[-1]}

# %%
def gradient_noise(model, x, y, sizes, draws=400, seed=0):
    """Mean of ‖g_b - g‖² over `draws` batches of b points: {b: number}.

    Source: eq-training-noise.
    """
    generator = torch.Generator().manual_seed(seed)
    weights = list(model.parameters())

    def gradient(chosen):
        loss = F.cross_entropy(model(x[chosen]), y[chosen])
        parts = torch.autograd.grad(loss, weights)
        return torch.cat([part.flatten() for part in parts])

    whole, found = gradient(torch.arange(len(x))), {}
    for b in sizes:
        apart = 0.0
        for _ in range(draws):
            chosen = torch.randint(len(x), (b,), generator=generator)
            apart += (gradient(chosen) - whole).square().sum().item()
        found[b] = apart / draws
    return found

# %%
BATCH_STUDY = {
    "batch": [8, 16, 32, 64, 128, 256],
    "rate": [0.0125, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6],
    "seed": range(5),
}


def batch_run(batch, rate, seed):
    """Training loss after 12 epochs of plain SGD at a constant rate."""
    fit, _, _ = digit_parts(seed)
    torch.manual_seed(seed)
    model = MLP((64, 128, 128, 10))
    rule = torch.optim.SGD(model.parameters(), lr=rate)
    train(model, rule, Batches(*fit, batch, seed), epochs=12)
    return {"loss": scores(model, *fit)[0]}

# %%
def step_decay(k, every, factor=0.1):
    """Factor of the rate at step k: times `factor` every `every` steps."""
    return factor ** (k // every)


def exponential(k, per_step):
    return per_step**k


def cosine(k, total):
    """From 1 at step 0 to 0 at step `total`, and 0 from there on."""
    return 0.5 * (1 + math.cos(math.pi * min(k, total) / total))


def warmup(k, steps):
    """Linear growth to 1: (k + 1) / steps, at most 1."""
    return min(1.0, (k + 1) / steps)

# %%
SCHEDULES = {
    "constant": lambda k, total: 1.0,
    "step": lambda k, total: step_decay(k, total // 3),
    "exponential": lambda k, total: exponential(k, 0.01 ** (1 / total)),
    "cosine": cosine,
    "warm-up": lambda k, total: warmup(k, total // 5),
    "warm-up + cosine": lambda k, total: (
        warmup(k, total // 5) * cosine(k, total)
    ),
}
SCHEDULE_STUDY = {
    "network": ["shallow, momentum 0.3", "deep, Adam 0.01"],
    "schedule": list(SCHEDULES),
    "seed": range(10),
}


def schedule_run(network, schedule, seed):
    """Validation accuracy after 15 epochs, batch 64: two networks."""
    fit, valid, _ = digit_parts(seed)
    torch.manual_seed(seed)
    deep = network.startswith("deep")
    model = MLP((64, *[64] * 6, 10) if deep else (64, 128, 128, 10))
    kind, rate = ("Adam", 0.01) if deep else ("momentum", 0.3)
    rule = OPTIMIZERS[kind](model.parameters(), rate)
    batches, factor = Batches(*fit, 64, seed), SCHEDULES[schedule]
    total = 15 * len(batches)
    train(model, rule, batches, 15, schedule=lambda k: factor(k, total))
    return {"accuracy": scores(model, *valid)[1]}

# %%
def normal_cdf(z):
    return 0.5 * (1 + torch.erf(z / math.sqrt(2)))


def normal_pdf(z):
    return torch.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)


ACTIVATIONS = {  # name: (value, slope), functions of a tensor
    "sigmoid": (torch.sigmoid, lambda z: z.sigmoid() * (1 - z.sigmoid())),
    "tanh": (torch.tanh, lambda z: 1 - z.tanh() ** 2),
    "ReLU": (lambda z: z.clamp(min=0), lambda z: (z > 0).to(z)),
    "leaky ReLU": (
        lambda z: torch.where(z > 0, z, 0.01 * z),
        lambda z: torch.where(z > 0, torch.ones_like(z), 0.01),
    ),
    "ReLU6": (
        lambda z: z.clamp(0, 6),
        lambda z: ((z > 0) & (z < 6)).to(z),
    ),
}

# %%
def softplus(z):
    return torch.logaddexp(z, torch.zeros_like(z))


def mish_slope(z):
    gate = softplus(z).tanh()
    return gate + z * z.sigmoid() * (1 - gate**2)  # eq-training-slopes


ACTIVATIONS |= {
    "SiLU": (
        lambda z: z * z.sigmoid(),
        lambda z: z.sigmoid() * (1 + z * (1 - z.sigmoid())),
    ),
    "GELU": (
        lambda z: z * normal_cdf(z),
        lambda z: normal_cdf(z) + z * normal_pdf(z),
    ),
    "Mish": (lambda z: z * softplus(z).tanh(), mish_slope),
}

# %%
def normalize(x, axes, eps=1e-5):
    """Mean 0 and variance 1 over `axes`, each set by itself.

    Source: def-training-norm, without γ and β.
    """
    mean = x.mean(axes, keepdim=True)
    variance = x.var(axes, correction=0, keepdim=True)
    return (x - mean) / (variance + eps).sqrt()


AXES = {"batch": (0, 2, 3), "layer": (1, 2, 3), "instance": (2, 3)}


def group_normalize(x, groups, eps=1e-5):
    """`normalize` over groups of channels; x: (N, C, H, W)."""
    n, c, h, w = x.shape
    parts = x.reshape(n, groups, c // groups, h, w)
    return normalize(parts, (2, 3, 4), eps).reshape(x.shape)

# %%
class Shifted(Batches):
    """Batches of 8 × 8 pictures, each moved by -1, 0 or 1 pixel both ways."""

    def __iter__(self):
        for x, y in super().__iter__():
            wide = F.pad(x.reshape(-1, 8, 8), (1, 1, 1, 1))  # (b, 10, 10)
            down, right = torch.randint(
                3, (2, len(x), 1, 1), generator=self.generator
            )
            rows = torch.arange(8)[:, None] + down  # (b, 8, 1)
            columns = torch.arange(8) + right  # (b, 1, 8)
            b = torch.arange(len(x))[:, None, None]
            yield wide[b, rows, columns].flatten(1), y  # (b, 64)

# %%
REMEDIES = {  # what differs from AdamW without decay, 100 epochs
    "nothing": {},
    "early stopping": {"stop": True},
    "dropout 0.5": {"dropout": 0.5},
    "weight decay 1 (AdamW)": {"decay": 1.0},
    "weight decay 5 (AdamW)": {"decay": 5.0},
    "L2 0.01 (Adam)": {"l2": 0.01},
    "smoothing 0.1": {"smoothing": 0.1},
    "smoothing 0.3": {"smoothing": 0.3},
    "augmentation": {"batches": Shifted},
}


class Best:
    """Keeps the weights with the lowest validation loss so far."""

    def __init__(self, valid):
        self.valid, self.loss, self.weights = valid, math.inf, None

    def __call__(self, model):
        loss = scores(model, *self.valid)[0]
        if loss < self.loss:
            state = model.state_dict().items()
            self.loss, self.weights = loss, {k: v.clone() for k, v in state}

# %%
def remedied(
    seed,
    noise,
    stop=False,
    dropout=0.0,
    decay=0.0,
    l2=0.0,
    smoothing=0.0,
    batches=Batches,
):
    """A network of width 256, trained on 400 digits, a share mislabeled."""
    (x, y), valid, _ = digit_parts(seed)
    x, y = x[:400], noisy(y[:400], noise, seed)
    torch.manual_seed(seed)
    model = MLP((64, 256, 256, 10), dropout=dropout)
    kind = torch.optim.Adam if l2 else torch.optim.AdamW
    rule = kind(model.parameters(), lr=1e-3, weight_decay=l2 or decay)
    best = Best(valid)
    loss = nn.CrossEntropyLoss(label_smoothing=smoothing)
    train(model, rule, batches(x, y, 64, seed), 100, loss=loss, watch=best)
    if stop:
        model.load_state_dict(best.weights)
    return model

# %%
def remedy_run(remedy, noise, seed):
    """Accuracy and calibration on test digits, before and after scaling."""
    model = remedied(seed, noise, **REMEDIES[remedy])
    _, (vx, vy), (x, y) = digit_parts(seed)
    with torch.no_grad():
        known, logits = model(vx).numpy(), model(x).numpy()
    labels, temperature = y.numpy(), fit_temperature(known, vy.numpy())
    nll, accuracy = scores(model, x, y)
    cooled = softmax(logits / temperature)
    return {
        "accuracy": accuracy,
        "nll": nll,
        "ece": calibration_error(softmax(logits), labels),
        "temperature": temperature,
        "ece_scaled": calibration_error(cooled, labels),
    }
