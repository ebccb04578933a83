"""The networks, scores and transforms of the lab on segmentation, held against other people's versions."""

import numpy as np
import pytest
import torch
import torchvision
from scipy import ndimage
from torch.nn import functional as F
from torchvision import tv_tensors
from torchvision.transforms import v2

import dlp_utils as dlp
from dlp_utils.models import segmentation as lab


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


# --- networks ------------------------------------------------------------------------------------------


def torchvision_features(model, x):
    x = model.maxpool(model.relu(model.bn1(model.conv1(x))))
    features = []
    for layer in (model.layer1, model.layer2, model.layer3, model.layer4):
        x = layer(x)
        features.append(x)
    return features


@pytest.mark.parametrize("training", [False, True])
def test_encoder_is_torchvision_s_resnet34(training):
    theirs = torchvision.models.resnet34(weights=None)
    for module in theirs.modules():  # fresh norms are the identity and would hide a wrong order
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    ours = lab.ResNetEncoder(64, (3, 4, 6, 3))
    state = {name: value for name, value in theirs.state_dict().items() if not name.startswith("fc.")}
    ours.load_state_dict(state)  # strict: every name and every shape
    ours.train(training)
    theirs.train(training)
    x = torch.randn(2, 3, 96, 128)
    for own, other in zip(ours(x), torchvision_features(theirs, x), strict=True):
        torch.testing.assert_close(own, other, rtol=1e-5, atol=1e-5)
    assert dlp.count_parameters(ours) == dlp.count_parameters(theirs) - (512 * 1000 + 1000)


@pytest.mark.parametrize(
    ("config", "name", "count"),
    [
        (lab.CONFIGS["gpu"], "unet", 7574 * 64**2 + 227 * 64 + 1),
        (lab.CONFIGS["cpu"], "unet", 7574 * 8**2 + 227 * 8 + 1),
        (lab.CONFIGS["gpu"], "resnet", 22_854_207),
    ],
)
def test_parameters_are_those_of_the_formula(config, name, count):
    with torch.device("meta"):
        assert dlp.count_parameters(lab.build(config, name)) == count


@pytest.mark.parametrize("name", ["fcn", "unet", "resnet"])
def test_logits_have_the_size_of_the_picture(name):
    model = lab.build(lab.CONFIGS["smoke"], name)
    assert model(torch.randn(2, 3, 64, 96)).shape == (2, 1, 64, 96)


def test_other_sizes_and_names_are_refused():
    with pytest.raises(ValueError, match=r"\(40, 64\): pad to multiples of 16"):
        lab.UNet(2)(torch.randn(1, 3, 40, 64))
    with pytest.raises(ValueError, match=r"\(64, 48\): pad to multiples of 32"):
        lab.ResNetUNet(4, (1, 1, 1, 1), 8, 8)(torch.randn(1, 3, 64, 48))
    with pytest.raises(ValueError, match="no network called 'net'"):
        lab.build(lab.CONFIGS["smoke"], "net")
    with pytest.raises(ValueError, match="no way up called 'bilinear'"):
        lab.UNet(2, up="bilinear")


def test_skips_can_be_cut_and_nothing_else_changes():
    torch.manual_seed(1)
    whole = lab.UNet(4)
    torch.manual_seed(1)
    cut = lab.UNet(4, skips=False)
    for a, b in zip(whole.parameters(), cut.parameters(), strict=True):
        assert torch.equal(a, b)
    x = torch.randn(2, 3, 32, 32)
    assert not torch.allclose(whole(x), cut(x))
    # without skips all four levels of the way down but the last are read through the bottom alone
    bottom = []
    cut.down[4].register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
    cut.eval()
    for _ in range(2):
        bottom.append(cut(torch.randn(2, 3, 32, 32)))
    assert torch.equal(*bottom)


def test_cbam_weights_lie_between_zero_and_one_and_act_in_order():
    attention, x = lab.CBAM(16), torch.randn(2, 16, 8, 8)
    y = attention(x)
    ratio = y / x
    assert ratio.min() > 0 and ratio.max() < 1
    # channel weights times a map of places: the ratio of two places is the same in each channel
    relative = ratio[:, :, 0, 0] / ratio[:, :, 3, 5]
    torch.testing.assert_close(relative, relative[:, :1].expand_as(relative), rtol=1e-4, atol=1e-5)
    channel = torch.sigmoid(attention.mlp(x.mean((2, 3))) + attention.mlp(x.amax((2, 3))))
    x1 = x * channel[:, :, None, None]
    place = torch.sigmoid(attention.spatial(torch.stack([x1.mean(1), x1.amax(1)], 1)))
    torch.testing.assert_close(y, x1 * place)


def test_an_up_block_keeps_a_constant_constant_inside():
    block = lab.UpBlock(4, 16).eval()
    y = block(torch.ones(1, 4, 32, 32))[0, :, 16:48, 16:48]
    assert y.std(dim=(1, 2)).max() < 1e-6 and y.abs().max() > 0


# --- scores and losses ---------------------------------------------------------------------------------


def pairs_of_masks():
    shares = torch.linspace(0.02, 0.98, 40)[:, None, None, None]
    truth = torch.rand(40, 1, 24, 30) < shares
    return truth ^ (torch.rand(truth.shape) < 0.25), truth


def test_scores_equal_torchmetrics():
    segmentation = pytest.importorskip("torchmetrics.functional.segmentation")
    classification = pytest.importorskip("torchmetrics.functional.classification")
    guess, truth = pairs_of_masks()
    options = {"num_classes": 1, "include_background": True, "input_format": "one-hot"}
    theirs = segmentation.dice_score(guess.int(), truth.int(), average="macro", **options)
    assert (lab.dice(guess, truth) - theirs.squeeze()).abs().max() < 1e-6
    f1 = classification.binary_f1_score(guess.int(), truth.int(), multidim_average="samplewise")
    assert (lab.dice(guess, truth) - f1).abs().max() < 1e-6
    theirs = segmentation.mean_iou(guess.int(), truth.int(), **options)
    assert (lab.iou(guess, truth) - theirs.squeeze()).abs().max() < 1e-6


def test_empty_masks_agree_and_a_false_alarm_scores_zero():
    empty, full = torch.zeros(1, 1, 4, 4, dtype=torch.bool), torch.ones(1, 1, 4, 4, dtype=torch.bool)
    for score in (lab.dice, lab.iou):
        assert [
            score(a, b).item() for a, b in ((empty, empty), (empty, full), (full, empty), (full, full))
        ] == [1, 0, 0, 1]


def test_dice_takes_bool_masks_of_one_shape_only():
    mask = torch.ones(2, 1, 4, 4, dtype=torch.bool)
    for wrong in (255 * mask.byte(), mask.float()):  # 255 & 1 is 1: the score would be small and silent
        for pair in ((wrong, mask), (mask, wrong), (wrong, wrong)):
            with pytest.raises(TypeError, match=r"dice needs bool masks, not .*(uint8|float32)"):
                lab.dice(*pair)
    for score in (lab.dice, lab.iou):
        with pytest.raises(ValueError, match=r"different shapes, \(2, 1, 4, 4\) and \(1, 1, 4, 4\)"):
            score(mask, mask[:1])  # would be broadcast


def test_soft_dice_meets_dice_at_certainty():
    guess, truth = pairs_of_masks()
    logits = torch.where(guess, 40.0, -40.0)
    loss = lab.soft_dice_loss(logits, truth.float(), eps=0.0)
    torch.testing.assert_close(loss.double(), 1 - lab.dice(guess, truth).mean(), rtol=1e-5, atol=1e-6)


def test_losses_and_their_sum():
    logits, truth = torch.randn(3, 1, 8, 8), (torch.rand(3, 1, 8, 8) < 0.3).float()
    parts = {kind: lab.segmentation_loss(logits, truth, kind).item() for kind in ("bce", "dice", "both")}
    assert parts["bce"] == pytest.approx(
        F.binary_cross_entropy(torch.sigmoid(logits), truth).item(), rel=1e-5
    )
    assert parts["both"] == pytest.approx(parts["bce"] + parts["dice"], rel=1e-6)
    assert lab.segmentation_loss(torch.full((1, 1, 4, 4), -200.0), torch.zeros(1, 1, 4, 4)).isfinite()
    with pytest.raises(ValueError, match="no loss 'focal'"):
        lab.segmentation_loss(logits, truth, "focal")


# --- transforms ----------------------------------------------------------------------------------------


def test_elastic_bends_image_and_mask_alike():
    """A picture whose brightness is its mask stays so, whatever the draw."""
    mask = torch.zeros(1, 64, 64, dtype=torch.uint8)
    mask[:, 20:45, 10:50] = 1
    image = (255 * mask).expand(3, 64, 64)
    moved = 0
    for _ in range(5):
        new_image, new_mask = lab.ElasticDeformation(30)(tv_tensors.Image(image), tv_tensors.Mask(mask))
        assert isinstance(new_mask, tv_tensors.Mask) and new_mask.dtype == torch.uint8
        assert set(new_mask.unique().tolist()) <= {0, 1}
        sure = (new_image[0] < 20) | (new_image[0] > 235)  # away from the interpolated edge
        assert torch.equal((new_image[0] > 127)[sure], (new_mask[0] > 0)[sure])
        assert sure.float().mean() > 0.8
        moved += (new_mask != mask).sum().item()
    assert moved > 200


def test_elastic_keeps_labels_and_without_sigma_everything():
    trimap = tv_tensors.Mask(torch.randint(1, 4, (1, 48, 48), dtype=torch.uint8))
    image = tv_tensors.Image(torch.randint(0, 256, (3, 48, 48), dtype=torch.uint8))
    bent = lab.ElasticDeformation(20)(trimap)
    assert set(bent.unique().tolist()) == {1, 2, 3} and not torch.equal(bent, trimap)
    stripes = tv_tensors.Mask(1 + 2 * (torch.arange(48) // 3 % 2).byte().expand(1, 48, 48))
    assert set(lab.ElasticDeformation(20)(stripes).unique().tolist()) == {1, 3}  # and no 2 in between
    same_image, same = lab.ElasticDeformation(0)(image, trimap)
    assert torch.equal(same_image, image) and torch.equal(same, trimap)


@pytest.mark.parametrize("size", [64, 256])
def test_elastic_displaces_grid_points_by_sigma_of_256(size):
    lengths = []
    for _ in range(300):
        at = lab.ElasticDeformation(10).make_params([torch.zeros(1, size, size)])["at"]
        start = torch.tensor([1 / size - 1, 1 / size - 1])  # the first pixel is a corner of the coarse grid
        lengths.append((at[0, 0] - start) * 128)  # in pixels of 256
    spread = torch.stack(lengths)
    assert abs(spread.std().item() / 10 - 1) < 0.1 and abs(spread.mean().item()) < 1.5


def test_pairs_give_floats_and_transform_both():
    images = torch.arange(2 * 3 * 8 * 8).reshape(2, 3, 8, 8).to(torch.uint8)
    masks = (images[:, :1] > 100).byte()
    x, y = lab.Pairs(images, masks)[1]
    assert x.dtype == y.dtype == torch.float32 and type(x) is type(y) is torch.Tensor
    torch.testing.assert_close(x, images[1] / 127.5 - 1)
    assert torch.equal(y, masks[1].float())
    flipped = lab.Pairs(images, masks, v2.RandomHorizontalFlip(p=1.0))[1]
    assert torch.equal(flipped[0], x.flip(-1)) and torch.equal(flipped[1], y.flip(-1))


def test_pairs_refuse_what_would_train_silently_wrong():
    images = torch.zeros(4, 3, 32, 32, dtype=torch.uint8)
    masks = torch.zeros(4, 1, 32, 32, dtype=torch.uint8)
    assert len(lab.Pairs(images, masks)) == 4
    for wrong in (masks[:3], masks[..., :16, :16], masks[:, 0], masks.expand(4, 3, 32, 32)):
        with pytest.raises(ValueError, match=r"images \(4, 3, 32, 32\) and masks \(.*\) do not match"):
            lab.Pairs(images, wrong)
    with pytest.raises(TypeError, match=r"must be uint8, not torch.float32, torch.uint8"):
        lab.Pairs(images / 255, masks)
    with pytest.raises(TypeError, match=r"must be uint8, not torch.uint8, torch.int64"):
        lab.Pairs(images, masks.long())
    for top in (3, 255):  # a trimap; a mask in 0 and 255
        with pytest.raises(ValueError, match=rf"masks hold 0 and 1, these hold up to {top}"):
            lab.Pairs(images, masks + top)


def test_pairs_draw_once_for_image_and_mask():
    half = torch.zeros(1, 1, 16, 16, dtype=torch.uint8)
    half[..., :8] = 1
    pairs = lab.Pairs((255 * half).expand(1, 3, 16, 16), half, v2.RandomHorizontalFlip())
    drawn = [pairs[0] for _ in range(20)]
    assert all(torch.equal((x[:1] + 1) / 2, y) for x, y in drawn)
    assert 0 < sum(y[0, 0, 0].item() for _, y in drawn) < 20  # some were flipped, some not


def test_augmentation_changes_colors_of_the_image_only():
    image, mask = torch.full((3, 32, 32), 100, dtype=torch.uint8), torch.ones(1, 32, 32, dtype=torch.uint8)
    new_image, new_mask = lab.augmentation()(tv_tensors.Image(image), tv_tensors.Mask(mask))
    assert not torch.equal(new_image, image) and torch.equal(new_mask, mask)
    kinds = [type(t).__name__ for t in lab.augmentation(0).transforms]
    assert "ElasticDeformation" not in kinds and "ElasticDeformation" in repr(lab.augmentation())


# --- training and tiles --------------------------------------------------------------------------------


def test_predict_gives_all_logits_in_evaluation_mode():
    model = lab.build(lab.CONFIGS["smoke"]).train()
    pairs = lab.Pairs(
        torch.randint(0, 256, (7, 3, 32, 32), dtype=torch.uint8), torch.zeros(7, 1, 32, 32, dtype=torch.uint8)
    )
    z = lab.predict(model, pairs, batch=3)
    assert z.shape == (7, 1, 32, 32)
    torch.testing.assert_close(z, lab.predict(model, pairs, batch=7))


@pytest.mark.slow
def test_training_learns_a_simple_mask():
    images = torch.randint(0, 100, (32, 3, 32, 32), dtype=torch.uint8)
    masks = torch.zeros(32, 1, 32, 32, dtype=torch.uint8)
    for i in range(32):
        masks[i, :, i % 8 : i % 8 + 16, 4:20] = 1
    images += 120 * masks
    model, pairs = lab.UNet(4), lab.Pairs(images, masks)
    lab.train(model, pairs, epochs=30, batch=8)
    assert lab.dice(lab.predict(model, pairs) > 0, masks.bool()).mean() > 0.9


def test_tiles_with_enough_margin_are_one_pass():
    model = lab.UNet(2, channels=1).eval()
    image = torch.randn(1, 320, 272)
    with torch.no_grad():
        whole = model(image[None])[0, 0]
    exact = lab.tiled(model, image, tile=256, overlap=240, margin=112)
    torch.testing.assert_close(exact, whole, rtol=1e-4, atol=1e-5)
    assert (lab.tiled(model, image, tile=64, overlap=0)[:, 1:] - whole[:, 1:]).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("side", "tile", "overlap", "margin", "what"),
    [
        (128, 64, 0, 16, "2 · margin <= overlap"),  # gaps between the tiles: 0 / 0
        (128, 64, 100, 0, "overlap < tile"),
        (128, 64, 64, 0, "overlap < tile"),
        (48, 64, 0, 0, "tile <= side"),
        (128, 64, -8, 0, "2 · margin <= overlap"),
        (312, 256, 224, 112, r"\[0, 32, 56\], not all multiples of 16"),  # would be off by some logits
    ],
)
def test_tilings_that_cannot_be_right_are_refused(side, tile, overlap, margin, what):
    model = lab.UNet(2, channels=1)
    with pytest.raises(ValueError, match=rf"side {side}, tile {tile}, .*{what}"):
        lab.tiled(model, torch.randn(1, side, 320), tile, overlap, margin)


def test_tiles_cover_a_side_to_its_border():
    assert lab.tile_starts(150, 64) == [0, 64, 86]
    assert lab.tile_starts(128, 64, 32) == [0, 32, 64]
    assert lab.tile_starts(64, 64, 32) == [0]
    assert lab.tile_starts(320, 256, 224, 112) == [0, 32, 64]


@pytest.mark.parametrize("overlap", [0, 16, 32])
def test_tiles_that_agree_blend_to_what_they_say(overlap):
    class Identity(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.unused = torch.nn.Parameter(torch.zeros(1))

        def forward(self, x):
            return x

    image = torch.randn(1, 150, 100)
    torch.testing.assert_close(lab.tiled(Identity(), image, 64, overlap), image[0])


def test_tile_weights_are_hats_with_a_margin_inside_the_picture():
    assert lab.tile_weight(0, 6, 6).tolist() == [1, 2, 3, 3, 2, 1]
    assert lab.tile_weight(4, 6, 20, margin=2).tolist() == [0, 0, 3, 3, 0, 0]
    assert lab.tile_weight(0, 6, 20, margin=2).tolist() == [1, 2, 3, 3, 0, 0]
    assert lab.tile_weight(14, 6, 20, margin=2).tolist() == [0, 0, 3, 3, 2, 1]


def test_a_picture_too_small_for_the_fcn_is_named():
    with pytest.raises(ValueError, match="7 × 7 pixels: give pictures of at least 16 × 16"):
        lab.FCN(4, 4).eval()(torch.zeros(1, 3, 7, 7))
    assert lab.FCN(4, 4).eval()(torch.zeros(1, 3, 16, 16)).shape == (1, 1, 16, 16)


def test_pooled_dice_counts_a_batch_as_one_picture():
    logits = torch.randn(3, 1, 5, 7, generator=dlp.generator(0))
    target = (torch.rand(3, 1, 5, 7, generator=dlp.generator(1)) < 0.3).float()
    target[1] = 0  # a picture without foreground
    as_one = lab.soft_dice_loss(logits.reshape(1, 1, 15, 7), target.reshape(1, 1, 15, 7))
    pooled = lab.segmentation_loss(logits, target, "pooled")
    torch.testing.assert_close(pooled, as_one)
    each = torch.stack([lab.soft_dice_loss(logits[i : i + 1], target[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(lab.segmentation_loss(logits, target, "dice"), each.mean())
    assert (each.mean() - pooled).abs() > 1e-3


def test_the_weight_counts_foreground_pixels_more_often():
    logits = torch.randn(2, 1, 4, 4, generator=dlp.generator(0))
    target = (torch.rand(2, 1, 4, 4, generator=dlp.generator(1)) < 0.4).float()
    p = torch.sigmoid(logits)
    terms = -(3.0 * target * p.log() + (1 - target) * (1 - p).log())
    torch.testing.assert_close(lab.segmentation_loss(logits, target, "bce", 3.0), terms.mean())
    both = lab.segmentation_loss(logits, target, "both", 3.0)
    torch.testing.assert_close(both, terms.mean() + lab.soft_dice_loss(logits, target))


def test_gaps_lie_between_two_nuclei_and_nowhere_else():
    labels = np.zeros((9, 16), int)
    labels[2:7, 2:6], labels[2:7, 6:10], labels[2:7, 12:15] = 4, 7, 2  # two that touch, one two pixels off
    near = lab.gaps(labels, 3)
    assert np.argwhere(near.any(0)).ravel().tolist() == [5, 6] and np.argwhere(
        near.any(1)
    ).ravel().tolist() == [*range(1, 8)]
    assert np.argwhere(lab.gaps(labels, 5)[4]).ravel().tolist() == [4, 5, 6, 7, 10, 11]
    assert not lab.gaps((labels == 4) * 4, 5).any()  # background is no nucleus
    assert ndimage.label(labels > 0)[1] == 2 and ndimage.label((labels > 0) & ~near)[1] == 3


def test_crops_are_bent_as_their_masks_are():
    square = np.zeros((90, 90), bool)
    square[20:60, 30:70] = True
    torch.manual_seed(0)
    x, y = lab.crops(torch.as_tensor(square).float()[None], square, 20)
    assert x.shape == y.shape == (20, 1, 64, 64) and set(y.unique().tolist()) == {0.0, 1.0}
    assert ((x > 0.5) == (y > 0.5)).float().mean() > 0.995  # bilinear and nearest differ at the edge alone
    assert len({m.numpy().tobytes() for m in y}) == 20
