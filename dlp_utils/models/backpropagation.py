"""Generated from notebooks/backpropagation.ipynb by `make export`: edit the notebook, not this file."""
# %%
__all__ = ['CONFIGS', 'Linear', 'sigmoid', 'Activation', 'Sigmoid', 'Tanh', 'LeakyReLU', 'ReLU', 'Identity', 'BCEWithLogits',
           'MeanSquaredError', 'Network', 'mlp', 'SGD', 'train', 'numerical_gradients', 'relative_error', 'Value',
           'as_value', 'add', 'mul', 'power', 'relu_of', 'sigmoid_of', 'bce_of', 'scalar_forward', 'scalar_weights',
           'Config', 'build', 'example_batch', 'step', 'copy_weights']

# %%
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

# %%
class Linear:
    """Affine layer Z = A W + b; A: (N, d_in), W: (d_in, d_out), b: (d_out,).

    std: standard deviation of the first weights. Source:
    eq-backpropagation-weight, eq-backpropagation-bias,
    eq-backpropagation-input.
    """

    def __init__(self, d_in, d_out, rng, std):
        self.W = rng.normal(0, std, (d_in, d_out))
        self.b = np.zeros(d_out)
        self.dW, self.db = np.zeros_like(self.W), np.zeros_like(self.b)

    def forward(self, A):
        self.A = A  # (N, d_in), needed for dW
        return A @ self.W + self.b  # (N, d_out)

    def backward(self, dZ):
        self.dW = self.A.T @ dZ  # (d_in, N) @ (N, d_out)
        self.db = dZ.sum(axis=0)  # (d_out,)
        return dZ @ self.W.T  # (N, d_out) @ (d_out, d_in)

    def parameters(self):
        return [(self.W, self.dW), (self.b, self.db)]

# %%
def sigmoid(z):
    """Logistic function 1 / (1 + exp(-z)), without overflow for finite z."""
    small = np.exp(-np.abs(z))  # in (0, 1], never overflows
    return np.where(z >= 0, 1, small) / (1 + small)


class Activation:
    """Function of each entry; subclasses give `value(z)` and `slope(z, a)`."""

    def forward(self, Z):
        self.Z, self.A = Z, self.value(Z)
        return self.A

    def backward(self, dA):
        return dA * self.slope(self.Z, self.A)  # entry by entry

    def parameters(self):
        return []

# %%
class Sigmoid(Activation):
    def value(self, z):
        return sigmoid(z)

    def slope(self, z, a):
        return a * (1 - a)  # at most 1/4


class Tanh(Activation):
    def value(self, z):
        return np.tanh(z)

    def slope(self, z, a):
        return 1 - a**2  # at most 1


class LeakyReLU(Activation):
    leak = 0.01

    def value(self, z):
        return np.where(z > 0, z, self.leak * z)

    def slope(self, z, a):
        return np.where(z > 0, 1.0, self.leak)

# %%
class ReLU(LeakyReLU):
    leak = 0.0


class Identity(Activation):
    """No activation at all: what a network loses without one."""

    def value(self, z):
        return z

    def slope(self, z, a):
        return np.ones_like(z)

# %%
class BCEWithLogits:
    """Mean binary cross-entropy of logits and targets in [0, 1], both (N, 1).

    Source: eq-backpropagation-bce and eq-backpropagation-bce-gradient.
    """

    def forward(self, logits, targets):
        self.logits, self.targets = logits, targets
        log_part = np.log1p(np.exp(-np.abs(logits)))
        return np.mean(np.maximum(logits, 0) - targets * logits + log_part)

    def backward(self):
        return (sigmoid(self.logits) - self.targets) / self.logits.size


class MeanSquaredError:
    """Mean of (prediction - target)², both (N, d).

    Source: eq-backpropagation-mse-gradient.
    """

    def forward(self, predictions, targets):
        self.difference = predictions - targets
        return np.mean(self.difference**2)

    def backward(self):
        return 2 * self.difference / self.difference.size

# %%
class Network:
    """Layers in sequence. `backward` turns ∂L/∂output into ∂L/∂input."""

    def __init__(self, layers):
        self.layers = layers

    def forward(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, gradient):
        for layer in reversed(self.layers):
            gradient = layer.backward(gradient)
        return gradient

    def parameters(self):
        return [pair for layer in self.layers for pair in layer.parameters()]

# %%
def mlp(sizes, activation, seed=0):
    """Linear layers with `activation` between them; the output is a logit.

    sizes: e.g. (2, 10, 10, 1). seed: of the weights, whose variance follows He
    for ReLU kinds (eq-backpropagation-he), else Xavier
    (eq-backpropagation-xavier).
    """
    rng = np.random.default_rng(seed)
    he = issubclass(activation, LeakyReLU)
    layers = []
    for d_in, d_out in pairwise(sizes):
        std = np.sqrt(2 / d_in if he else 2 / (d_in + d_out))
        layers += [Linear(d_in, d_out, rng, std), activation()]
    return Network(layers[:-1])  # no activation behind the logits

# %%
class SGD:
    """(Stochastic) gradient descent with momentum, in place:
    v ← μ v + g, θ ← θ - lr v.
    """

    def __init__(self, lr, momentum=0.0):
        self.lr, self.momentum, self.velocity = lr, momentum, None

    def step(self, parameters):
        if self.velocity is None:
            self.velocity = [np.zeros_like(p) for p, _ in parameters]
        for v, (p, g) in zip(self.velocity, parameters, strict=True):
            v *= self.momentum
            v += g
            p -= self.lr * v  # in place: the layer sees it

# %%
def train(network, loss, optimizer, x, y, epochs, watch=None):
    """Full-batch training; returns loss and accuracy before each step, both
    (epochs,).

    watch: optional function (epoch, network), called before each step. Raises
    FloatingPointError on a non-finite loss, with epoch and learning rate.
    """
    losses, accuracies = np.empty(epochs), np.empty(epochs)
    for epoch in range(epochs):
        logits = network.forward(x)
        losses[epoch] = loss.forward(logits, y)
        accuracies[epoch] = np.mean((logits > 0) == (y > 0.5))
        if not np.isfinite(losses[epoch]):
            raise FloatingPointError(
                f"loss {losses[epoch]} at epoch {epoch}: "
                f"try lr below {optimizer.lr}"
            )
        network.backward(loss.backward())
        if watch:
            watch(epoch, network)
        optimizer.step(network.parameters())
    return losses, accuracies

# %%
def numerical_gradients(network, loss, x, y, h=6e-6):
    """Central differences of the loss: arrays shaped like the parameters."""
    gradients = []
    for parameter, _ in network.parameters():
        gradient = np.empty_like(parameter)
        for index in np.ndindex(parameter.shape):
            kept = parameter[index]
            parameter[index] = kept + h
            above = loss.forward(network.forward(x), y)
            parameter[index] = kept - h
            below = loss.forward(network.forward(x), y)
            parameter[index] = kept  # restored exactly
            gradient[index] = (above - below) / (2 * h)
        gradients.append(gradient)
    return gradients


def relative_error(a, b):
    """‖a - b‖ / (‖a‖ + ‖b‖) of two lists of arrays: 0 if equal."""
    flat = [
        np.concatenate([np.ravel(part) for part in parts]) for parts in (a, b)
    ]
    size = np.linalg.norm(flat[0]) + np.linalg.norm(flat[1])
    return np.linalg.norm(flat[0] - flat[1]) / size

# %%
class Value:
    """A number that remembers its parents and ∂self/∂parent.

    Source: eq-backpropagation-chain.
    """

    def __init__(self, data, parents=(), partials=()):
        self.data, self.grad = float(data), 0.0
        self.parents, self.partials = parents, partials

    def backward(self):
        """Add ∂self/∂v to v.grad for every leaf v that self was made from."""
        order, seen, stack = [], set(), [(self, False)]
        while stack:  # depth first, without recursion: no depth limit
            value, done = stack.pop()
            if done:
                order.append(value)
            elif id(value) not in seen:
                seen.add(id(value))
                stack.append((value, True))
                stack.extend((parent, False) for parent in value.parents)
        for value in order:
            value.grad = 0.0 if value.parents else value.grad
        self.grad += 1.0
        for value in reversed(order):  # consumers before producers
            for u, partial in zip(value.parents, value.partials, strict=True):
                u.grad += value.grad * partial

# %%
def as_value(number):
    return number if isinstance(number, Value) else Value(number)


def add(a, b):
    a, b = as_value(a), as_value(b)
    return Value(a.data + b.data, (a, b), (1.0, 1.0))


def mul(a, b):
    a, b = as_value(a), as_value(b)
    return Value(a.data * b.data, (a, b), (b.data, a.data))


def power(a, n):
    """a**n for a number n (not a Value); its slope is n·a**(n - 1)."""
    slope = n * a.data ** (n - 1) if n else 0.0
    return Value(a.data**n, (a,), (slope,))


def relu_of(a):
    return Value(max(a.data, 0.0), (a,), (float(a.data > 0),))

# %%
def sigmoid_of(a):
    s = float(sigmoid(a.data))
    return Value(s, (a,), (s * (1 - s),))


def bce_of(logit, target):
    """Binary cross-entropy of one logit (eq-backpropagation-bce)."""
    z = logit.data
    loss = max(z, 0) - target * z + np.log1p(np.exp(-abs(z)))
    return Value(loss, (logit,), (float(sigmoid(z)) - target,))


Value.__add__ = Value.__radd__ = add
Value.__mul__ = Value.__rmul__ = mul
Value.__pow__ = power
Value.__neg__ = lambda a: a * -1
Value.__sub__ = lambda a, b: a + -as_value(b)
Value.__rsub__ = lambda a, b: b + -a
Value.__truediv__ = lambda a, b: a * as_value(b) ** -1
Value.__rtruediv__ = lambda a, b: b * a**-1

# %%
def scalar_forward(weights, point):
    """Logit of one point. weights: a list of (W, b), nested lists of Value."""
    activations = [Value(coordinate) for coordinate in point]
    for depth, (W, b) in enumerate(weights):
        sums = [
            sum((a * W[i][j] for i, a in enumerate(activations)), b[j])
            for j in range(len(b))
        ]
        last = depth == len(weights) - 1
        activations = sums if last else [sigmoid_of(z) for z in sums]
    return activations[0]


def scalar_weights(network):
    """The weights of a layer-wise network, each wrapped in a Value."""
    linear = [p for p in network.layers if isinstance(p, Linear)]
    return [
        ([[Value(w) for w in row] for row in p.W], [Value(v) for v in p.b])
        for p in linear
    ]

# %%
@dataclass(frozen=True)
class Config:
    sizes: tuple = (2, 10, 10, 1)  # layer widths, input to logit
    batch: int = 21  # points in one step


CONFIGS = {
    "smoke": Config(),
    "cpu": Config(),
    "gpu": Config((2, 1024, 1024, 1), 65_536),
}


def build(config):
    """Sigmoid network as wide as `config` says; (N, 2) to logits (N, 1)."""
    layers = []
    for d_in, d_out in pairwise(config.sizes):
        layers += [nn.Linear(d_in, d_out), nn.Sigmoid()]
    return nn.Sequential(*layers[:-1])

# %%
def example_batch(config, device):
    """A batch of the right shapes, random, for tests and estimates."""
    x = torch.rand(config.batch, 2, device=device)
    return x, torch.ones(config.batch, 1, device=device)


def step(model, batch):
    """Mean binary cross-entropy of a batch (x: (N, 2), y: (N, 1))."""
    x, y = batch
    return F.binary_cross_entropy_with_logits(model(x), y)

# %%
def copy_weights(network, model):
    """Copy the NumPy network's weights into its torch twin."""
    linear = [p for p in network.layers if isinstance(p, Linear)]
    twins = [p for p in model if isinstance(p, nn.Linear)]
    with torch.no_grad():
        for layer, twin in zip(linear, twins, strict=True):
            twin.weight.copy_(torch.from_numpy(layer.W.T))  # (d_out, d_in)
            twin.bias.copy_(torch.from_numpy(layer.b))
