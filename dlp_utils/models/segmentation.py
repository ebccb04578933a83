"""Generated from notebooks/segmentation.ipynb by `make export`: edit the notebook, not this file."""
# %%
__all__ = ['CONFIGS', 'Config', 'ElasticDeformation', 'check_pairs', 'Pairs', 'augmentation', 'dice', 'iou', 'soft_dice_loss',
           'segmentation_loss', 'step', 'train', 'predict', 'double_conv', 'FCN', 'enlarge', 'UNet', 'BasicBlock',
           'ResNetEncoder', 'CBAM', 'UpBlock', 'ResNetUNet', 'build', 'example_batch', 'crops', 'train_crops',
           'segment', 'gaps', 'tile_weight', 'tile_starts', 'tiled']

# %%
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from scipy import ndimage
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

import dlp_utils as dlp

# %%
@dataclass(frozen=True)
class Config:
    """Sizes of all three networks; the defaults are those of the papers.

    size: side of a picture. stages: how often the FCN halves it. width:
    channels of the U-Net's first level. stem, stride, blocks: channels and
    stride of the ResNet's first layer, blocks of its stages. bridge, decoder:
    channels.
    """

    size: int = 256
    stages: int = 5
    width: int = 64
    stem: int = 64
    stride: int = 2
    blocks: tuple = (3, 4, 6, 3)
    bridge: int = 256
    decoder: int = 32


CONFIGS = {
    "smoke": Config(32, 3, 4, 8, 1, (1, 1, 1, 1), 16, 8),
    "cpu": Config(64, 3, 8, 12, 1, (3, 4, 6, 3), 48, 16),
    "gpu": Config(),
}

# %%
class ElasticDeformation(v2.Transform):
    """Bend image and mask alike, sigma in pixels of 256.

    Source: def-segmentation-elastic.
    """

    def __init__(self, sigma=10.0, grid=3):
        super().__init__()
        self.sigma, self.grid = sigma, grid

    def make_params(self, inputs):
        h, w = v2.functional.get_size(inputs[0])
        coarse = torch.randn(1, 2, self.grid, self.grid) * self.sigma * 2 / 256
        how = {"mode": "bicubic", "align_corners": True}
        u = F.interpolate(coarse, size=(h, w), **how)[0].permute(1, 2, 0)
        y, x = (torch.arange(n) * 2 / n + 1 / n - 1 for n in (h, w))  # centers
        at = torch.stack([x.expand(h, w), y[:, None].expand(h, w)], dim=-1)
        return {"at": at + u}  # (H, W, 2), in units of half the picture

    def transform(self, x, params):
        mode = "nearest" if isinstance(x, tv_tensors.Mask) else "bilinear"
        at = params["at"][None].to(x.device)
        how = {"padding_mode": "reflection", "align_corners": False}
        new = F.grid_sample(x[None].float(), at, mode, **how)[0]
        new = new if x.is_floating_point() else new.round().to(x.dtype)
        return tv_tensors.wrap(new, like=x)

# %%
def check_pairs(images, masks):
    """Raise for images and masks that would train, and wrongly."""
    size, mask_size = tuple(images.shape), tuple(masks.shape)
    if mask_size != (size[0], 1, *size[2:]):
        raise ValueError(f"images {size} and masks {mask_size} do not match")
    if not images.dtype == masks.dtype == torch.uint8:
        types = f"{images.dtype}, {masks.dtype}"
        raise TypeError(f"images and masks must be uint8, not {types}")
    if masks.max() > 1:
        raise ValueError(f"masks hold 0 and 1, these hold up to {masks.max()}")

# %%
class Pairs(Dataset):
    """Images (n, C, H, W) and masks (n, 1, H, W), uint8, transformed as one.

    Item i: image float (C, H, W) in [-1, 1] and mask float (1, H, W), 0 or 1.
    """

    def __init__(self, images, masks, transform=None):
        self.images = torch.as_tensor(images)
        self.masks = torch.as_tensor(masks)
        self.transform = transform
        check_pairs(self.images, self.masks)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        image = tv_tensors.Image(self.images[i])
        mask = tv_tensors.Mask(self.masks[i])
        if self.transform is not None:
            image, mask = self.transform(image, mask)  # one draw
        image, mask = (
            t.as_subclass(torch.Tensor).float() for t in (image, mask)
        )
        return image / 127.5 - 1, mask

# %%
def augmentation(elastic=10.0):
    """Flips, elastic deformation (0: none), colors: for the training part."""
    bend = [ElasticDeformation(elastic)] if elastic else []
    colors = v2.ColorJitter(0.3, 0.3, 0.3, 0.1)
    return v2.Compose([v2.RandomHorizontalFlip(), *bend, colors])

# %%
def dice(prediction, target):
    """Dice of bool masks (N, 1, H, W): (N,). See def-segmentation-scores."""
    if prediction.shape != target.shape:
        sizes = tuple(prediction.shape), tuple(target.shape)
        raise ValueError("masks of different shapes, {} and {}".format(*sizes))
    if not prediction.dtype == target.dtype == torch.bool:
        types = f"{prediction.dtype} and {target.dtype}"
        raise TypeError(f"dice needs bool masks, not {types}: compare, z > 0")
    overlap = (prediction & target).sum(dim=(1, 2, 3)).double()
    total = prediction.sum(dim=(1, 2, 3)) + target.sum(dim=(1, 2, 3))
    return torch.where(total > 0, 2 * overlap / total.clamp(min=1), 1.0)


def iou(prediction, target):
    """IoU of bool masks (N, 1, H, W): (N,). See eq-segmentation-dice-iou."""
    score = dice(prediction, target)
    return score / (2 - score)

# %%
def soft_dice_loss(logits, target, eps=1.0, pooled=False):
    """1 - soft Dice of each picture, then the mean; logits, target (N, 1, H,
    W). pooled: all pictures of the batch counted as one.

    Source: def-segmentation-soft-dice.
    """
    p, axes = torch.sigmoid(logits.float()), (1, 2, 3)
    axes = (0, *axes) if pooled else axes
    overlap = (p * target).sum(dim=axes)  # (N,), or () if pooled
    total = p.sum(dim=axes) + target.sum(dim=axes)
    return (1 - (2 * overlap + eps) / (total + eps)).mean()

# %%
def segmentation_loss(logits, target, kind="both", weight=None):
    """kind: "bce", "dice", "pooled" (Dice of a batch), "both": bce + dice.

    weight: of a foreground pixel in the cross-entropy, 1 if not given.
    """
    if kind not in ("bce", "dice", "pooled", "both"):
        raise ValueError(
            f"no loss {kind!r}; there are bce, dice, pooled, both"
        )
    loss = 0.0
    if kind in ("bce", "both"):
        weight = None if weight is None else torch.as_tensor(weight)
        loss = F.binary_cross_entropy_with_logits(
            logits, target, pos_weight=weight
        )
    if kind != "bce":
        loss = loss + soft_dice_loss(logits, target, pooled=kind == "pooled")
    return loss


def step(model, batch, loss="both", weight=None):
    """Loss of a batch: images (N, C, H, W), masks (N, 1, H, W)."""
    images, masks = batch
    return {"loss": segmentation_loss(model(images), masks, loss, weight)}

# %%
def train(
    model, pairs, epochs, loss="both", lr=4e-3, batch=16, seed=0, evaluate=None
):
    """Train on `pairs`: the history. evaluate: called every third epoch."""
    last = len(pairs) > batch  # drop a last batch that is small
    loader = DataLoader(pairs, batch, shuffle=True, drop_last=last)
    options = {"lr": lr, "weight_decay": 1e-4, "clip": 1.0, "warmup": 50}
    options |= {"schedule": "cosine", "channels_last": True, "seed": seed}
    options |= {"evaluate": evaluate, "evaluate_every": 3, "progress": False}
    loss_step = partial(step, loss=loss)
    return dlp.fit(model, loss_step, loader, epochs=epochs, **options)


@torch.no_grad()
def predict(model, pairs, batch=50):
    """Logits (n, 1, H, W) for all pairs, on the cpu, in evaluation mode."""
    device = next(model.parameters()).device
    model.eval()
    loader = DataLoader(pairs, batch)
    return torch.cat([model(images.to(device)).cpu() for images, _ in loader])

# %%
def double_conv(inputs, outputs):
    """Two times 3×3 convolution, batch norm, ReLU; the size stays."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )

# %%
class FCN(nn.Module):
    """Down by 2**stages, one logit a place of that grid, enlarged."""

    def __init__(self, width, stages, channels=3):
        super().__init__()
        widths = [width * 2 ** min(i, 3) for i in range(stages + 1)]
        pairs = zip([channels, *widths], widths, strict=False)
        self.down = nn.ModuleList(double_conv(a, b) for a, b in pairs)
        self.head = nn.Conv2d(widths[-1], 1, 1)

    def coarse(self, x):
        """Logits (N, 1, H / 2**stages, W / 2**stages)."""
        least = 2 ** (len(self.down) - 1)
        if min(x.shape[-2:]) < least:
            size = " × ".join(map(str, x.shape[-2:]))
            raise ValueError(
                f"{size} pixels: give pictures of at least {least} × {least}"
            )
        for i, convs in enumerate(self.down):
            x = convs(F.max_pool2d(x, 2) if i else x)
        return self.head(x)

    def forward(self, x):
        return F.interpolate(
            self.coarse(x), size=x.shape[-2:], mode="bilinear"
        )

# %%
def enlarge(inputs, outputs, up):
    """A layer that doubles height and width. up: "transposed" or "resize"."""
    if up == "transposed":
        return nn.ConvTranspose2d(inputs, outputs, 2, stride=2)
    if up == "resize":
        resize = nn.Upsample(scale_factor=2, mode="bilinear")
        return nn.Sequential(resize, nn.Conv2d(inputs, outputs, 3, padding=1))
    raise ValueError(
        f"no way up called {up!r}; there are transposed and resize"
    )

# %%
class UNet(nn.Module):
    """U-Net for H and W multiples of 16. skips=False: zeros for skips."""

    def __init__(self, width, channels=3, up="transposed", skips=True):
        super().__init__()
        widths = [width * 2**i for i in range(5)]
        steps = list(pairwise(widths))  # (finer, coarser), four
        first, self.skips = (channels, width), skips
        self.down = nn.ModuleList(double_conv(*s) for s in [first, *steps])
        self.up = nn.ModuleList(enlarge(b, a, up) for a, b in steps)
        self.merge = nn.ModuleList(double_conv(2 * a, a) for a in widths[:-1])
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, x):
        if x.shape[-1] % 16 or x.shape[-2] % 16:
            raise ValueError(f"{tuple(x.shape[-2:])}: pad to multiples of 16")
        kept = []
        for i, convs in enumerate(self.down):
            x = convs(F.max_pool2d(x, 2) if i else x)  # (N, 2^i w, H / 2^i, …)
            kept.append(x)
        for i in reversed(range(4)):
            skip = kept[i] if self.skips else torch.zeros_like(kept[i])
            x = torch.cat([skip, self.up[i](x)], dim=1)
            x = self.merge[i](x)  # (N, 2^i w, H / 2^i, …)
        return self.head(x)  # (N, 1, H, W)

# %%
class BasicBlock(nn.Module):
    """ReLU(x + F(x)). Source: def-segmentation-residual."""

    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        how = {"padding": 1, "bias": False}
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, **how)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, **how)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.downsample is not None:
            x = self.downsample(x)
        return F.relu(y + x)

# %%
class ResNetEncoder(nn.Module):
    """ResNet without classifier, named as torchvision's: strides 4 to 32."""

    def __init__(self, stem=64, blocks=(3, 4, 6, 3), channels=3, stride=2):
        super().__init__()
        how = {"padding": 3, "bias": False}
        self.conv1 = nn.Conv2d(channels, stem, 7, stride, **how)
        self.bn1 = nn.BatchNorm2d(stem)
        self.layer1 = self.stage(stem, stem, blocks[0], stride=1)
        self.layer2 = self.stage(stem, 2 * stem, blocks[1], stride=2)
        self.layer3 = self.stage(2 * stem, 4 * stem, blocks[2], stride=2)
        self.layer4 = self.stage(4 * stem, 8 * stem, blocks[3], stride=2)

    @staticmethod
    def stage(inputs, outputs, count, stride):
        rest = [BasicBlock(outputs, outputs) for _ in range(count - 1)]
        return nn.Sequential(BasicBlock(inputs, outputs, stride), *rest)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        features = []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            features.append(x)
        return features  # (N, c, H/4, W/4), …, (N, 8c, H/32, W/32)

# %%
class CBAM(nn.Module):
    """Weights for channels, then for places; (N, C, H, W) in and out."""

    def __init__(self, channels, reduction=8, kernel=7):
        super().__init__()
        hidden = max(1, channels // reduction)
        self.mlp = nn.Sequential(
            nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels)
        )
        self.spatial = nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, x):
        mean, largest = x.mean(dim=(2, 3)), x.amax(dim=(2, 3))
        channel = self.mlp(mean) + self.mlp(largest)  # (N, C)
        x = x * torch.sigmoid(channel)[:, :, None, None]
        both = torch.stack([x.mean(dim=1), x.amax(dim=1)], dim=1)
        return x * torch.sigmoid(self.spatial(both))  # weights (N, 1, H, W)

# %%
class UpBlock(nn.Module):
    """Resize by `scale`, convolve 3×3, batch norm, ReLU, attention."""

    def __init__(self, inputs, outputs, scale=2):
        super().__init__()
        self.scale = scale
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        self.attention = CBAM(outputs)

    def forward(self, x):
        if self.scale > 1:
            x = F.interpolate(x, scale_factor=self.scale, mode="bilinear")
        return self.attention(F.relu(self.bn(self.conv(x))))

# %%
class ResNetUNet(nn.Module):
    """ResNet34-U-Net, for sides that are multiples of 16 · stride."""

    def __init__(
        self, stem=64, blocks=(3, 4, 6, 3), bridge=256, decoder=32, stride=2
    ):
        super().__init__()
        self.encoder = ResNetEncoder(stem, blocks, stride=stride)
        skips = [8 * stem, 4 * stem, 2 * stem, stem]  # 512, 256, 128, 64
        conv = nn.Conv2d(skips[0], bridge, 3, padding=1, bias=False)
        self.bridge = nn.Sequential(conv, nn.BatchNorm2d(bridge), nn.ReLU())
        below = [bridge, decoder, decoder, decoder]
        pairs = zip(below, skips, strict=True)
        self.up = nn.ModuleList(UpBlock(a + b, decoder) for a, b in pairs)
        self.last = UpBlock(decoder, decoder, scale=stride)
        self.head = nn.Conv2d(decoder, 1, 1)

    def forward(self, x):
        least = 16 * self.last.scale
        if x.shape[-1] % least or x.shape[-2] % least:
            size = tuple(x.shape[-2:])
            raise ValueError(f"{size}: pad to multiples of {least}")
        skips = self.encoder(x)
        x = self.bridge(skips[-1])  # (N, bridge, H/32, W/32)
        for up, skip in zip(self.up, reversed(skips), strict=True):
            x = up(torch.cat([x, skip], dim=1))  # (N, decoder, H/16, …), …
        return self.head(self.last(x))  # (N, 1, H, W)

# %%
def build(config, name="unet"):
    """The network "fcn", "unet" or "resnet" in the sizes of a `Config`."""
    if name == "fcn":
        return FCN(config.width, config.stages)
    if name == "unet":
        return UNet(config.width)
    if name == "resnet":
        widths = config.stem, config.blocks, config.bridge, config.decoder
        return ResNetUNet(*widths, stride=config.stride)
    known = "fcn, unet and resnet"
    raise ValueError(f"no network called {name!r}; there are {known}")


def example_batch(config, device):
    """Random images and masks in the form of a batch."""
    images = torch.randn(2, 3, config.size, config.size, device=device)
    return images, (images[:, :1] > 0).float()

# %%
def crops(image, mask, count, size=64):
    """Random crops of one picture, flipped and bent as it is.

    image: (1, H, W). mask: bool (H, W). Returns images and masks, both
    (count, 1, size, size).
    """
    flips = v2.RandomHorizontalFlip(), v2.RandomVerticalFlip()
    joint = v2.Compose([v2.RandomCrop(size), *flips, ElasticDeformation()])
    image = tv_tensors.Image(image)
    mask = tv_tensors.Mask(torch.as_tensor(mask)[None].byte())
    drawn = [joint(image, mask) for _ in range(count)]
    x, y = (torch.stack(list(part)) for part in zip(*drawn, strict=True))
    return x.as_subclass(torch.Tensor), y.as_subclass(torch.Tensor).float()

# %%
def train_crops(image, mask, steps, loss, seed=0, width=8, weight=None):
    """A U-Net of one channel, trained on `steps` batches of 16 crops."""
    torch.manual_seed(seed)
    model = UNet(width, channels=1)
    x, y = crops(image, mask, 16 * steps)
    loader = DataLoader(torch.utils.data.TensorDataset(x, y), 16)
    options = {"lr": 4e-3, "schedule": "cosine", "warmup": 20, "seed": seed}
    options |= {"channels_last": True, "progress": False}
    loss_step = partial(step, loss=loss, weight=weight)
    dlp.fit(model, loss_step, loader, epochs=1, **options)
    return model


@torch.no_grad()
def segment(model, image):
    """Probabilities (H, W) of a whole picture (1, H, W), in one pass."""
    h, w = image.shape[1:]
    border = 0, -w % 16, 0, -h % 16
    x = F.pad(image[None], border, mode="reflect")
    x = x.to(next(model.parameters()).device)
    return torch.sigmoid(model.eval()(x))[0, 0, :h, :w].cpu()

# %%
def gaps(labels, size=5):
    """Pixels with two different nuclei in the square around them: bool.

    labels: int (H, W), 0 is background. size: side of the square.
    """
    far = labels.max() + 1
    above = ndimage.maximum_filter(labels, size)
    below = ndimage.minimum_filter(np.where(labels > 0, labels, far), size)
    return (above > 0) & (below < far) & (above != below)

# %%
def tile_weight(start, tile, length, margin=0):
    """Hat min(i + 1, tile - i), zero in a margin inside the picture."""
    i = torch.arange(tile)
    inside = (i >= margin) | (start == 0)
    inside &= (i < tile - margin) | (start + tile == length)
    return torch.minimum(i + 1, tile - i) * inside


def tile_starts(length, tile, overlap=0, margin=0):
    """Where tiles begin on a side of `length`; the last one ends at the
    border.

    ValueError for tiles that leave gaps or, with a margin, off the grid of the
    pooling.
    """
    sizes = f"side {length}, tile {tile}, overlap {overlap}, margin {margin}"
    if not 0 <= 2 * margin <= overlap < tile <= length:
        rule = "2 · margin <= overlap < tile <= side"
        raise ValueError(f"{sizes}: it takes {rule}")
    starts = [*range(0, length - tile, tile - overlap), length - tile]
    if margin and any(start % 16 for start in starts):
        where = f"tiles begin at {starts}, not all multiples of 16"
        raise ValueError(f"{sizes}: {where}")
    return starts

# %%
@torch.no_grad()
def tiled(model, image, tile=64, overlap=0, margin=0):
    """Logits (H, W) of image (C, H, W), tile by tile. Source:
    def-segmentation-blend.

    overlap: pixels that neighbors share, at least 2 · margin; 0: side by side.
    margin: thrown away where the picture goes on; then tiles must begin at
    multiples of 16.
    """
    device = next(model.parameters()).device
    total, weights = torch.zeros(2, *image.shape[-2:])
    starts = [tile_starts(n, tile, overlap, margin) for n in image.shape[-2:]]
    model.eval()
    for top in starts[0]:
        for left in starts[1]:
            rows = tile_weight(top, tile, image.shape[-2], margin)
            columns = tile_weight(left, tile, image.shape[-1], margin)
            weight = rows[:, None] * columns
            where = slice(top, top + tile), slice(left, left + tile)
            part = image[None, :, where[0], where[1]].to(device)
            total[where] += weight * model(part)[0, 0].cpu()
            weights[where] += weight
    return total / weights
