"""Axes for the book's computed drawings: a panel that turns numbers into places."""

from _svg import GRAY, INK, PALE


class Panel:
    """A rectangle of a Drawing with linear axes: `at(x, y)` is the place of a point."""

    def __init__(self, picture, box, x_range, y_range):
        self.picture, self.box, self.x_range, self.y_range = picture, box, x_range, y_range

    def at(self, x, y):
        left, top, width, height = self.box
        (x0, x1), (y0, y1) = self.x_range, self.y_range
        return left + width * (x - x0) / (x1 - x0), top + height * (y1 - y) / (y1 - y0)

    def axes(self, x_ticks=(), y_ticks=(), x_label="", y_label="", size=16):
        left, top, width, height = self.box
        for value, words in y_ticks:
            y = self.at(self.x_range[0], value)[1]
            self.picture.path([(left, y), (left + width, y)], stroke=PALE, line=1)
            self.picture.text(left - 8, y + 5, words, size=size, anchor="end")
        self.picture.path(
            [(left, top), (left, top + height), (left + width, top + height)], stroke=GRAY, line=1.5
        )
        for value, words in x_ticks:
            x = self.at(value, self.y_range[0])[0]
            self.picture.path([(x, top + height), (x, top + height + 5)], stroke=GRAY, line=1.5)
            self.picture.text(x, top + height + 22, words, size=size)
        if x_label:
            self.picture.text(left + width / 2, top + height + 44, x_label, size=size + 1)
        if y_label:
            self.picture.text(left, top - 12, y_label, size=size + 1, anchor="start", fill=INK)

    def curve(self, xs, ys, stroke, line=3, dash=None):
        self.picture.path(
            [self.at(x, y) for x, y in zip(xs, ys, strict=True)], stroke=stroke, line=line, dash=dash
        )
