"""A timeline of backbones and the idea of each."""

from _svg import BLUE, GRAY, INK, Drawing, write

YEARS = (
    (1998, ("LeNet: convolution, pooling, dense",)),
    (2012, ("AlexNet: larger, ReLU, dropout",)),
    (2013, ("ZFNet: look inside", "NIN: 1 × 1, global mean")),
    (2014, ("VGG: only 3 × 3", "GoogLeNet: branches")),
    (2015, ("Inception-BN: normalize", "ResNet: add the input")),
    (2016, ("SqueezeNet: squeeze first", "DenseNet: keep all maps", "WideResNet, stochastic depth, ResNeXt")),
    (2017, ("MobileNet: look, then mix", "SENet: a weight for each map")),
    (2019, ("EfficientNet: scale all three",)),
    (2020, ("ViT: patches and attention",)),
    (2022, ("ConvNeXt: a modern ResNet",)),
)


def draw():
    lines = sum(len(names) for _, names in YEARS)
    picture = Drawing(520, 30 * lines + 12 * len(YEARS) + 24)
    y = 34
    picture.path([(96, 24), (96, picture.size[1] - 20)], stroke=GRAY, line=3)
    for year, names in YEARS:
        picture.text(76, y + 5, str(year), size=17, anchor="end", weight="600")
        picture.circle(96, y, 7, fill=BLUE)
        for name in names:
            title, _, idea = name.partition(": ")
            picture.text(
                120, y + 5, f"{title}{': ' if idea else ''}{idea}", size=17, fill=INK, anchor="start"
            )
            y += 30
        y += 12
    return {
        "architectures_timeline": picture.svg("Networks for pictures, 1998 to 2022, and the idea of each")
    }


if __name__ == "__main__":
    write(draw)
