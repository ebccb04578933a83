"""Drawing generated pets: cats, dogs and rabbits, from ellipses, limbs, noise and light. Used by `segmentation`.

An animal is drawn back to front in coordinates of its own: x to the right, y down, about 1 for half its size.
Each part has a signed distance, which gives its outline (ragged by fur), and a normal, which gives its shading.
"""

import functools

import numpy as np
from PIL import Image
from scipy import ndimage

SPECIES = ("cat", "dog", "rabbit")
POSES = ("portrait", "sitting", "walking", "lying")
PATTERNS = ("solid", "tabby", "patches", "points", "tuxedo", "spots")
COATS = {  # main color, second color; red, green, blue in [0, 1]
    "ginger": ((0.80, 0.47, 0.20), (0.55, 0.27, 0.10)),
    "cream": ((0.87, 0.75, 0.58), (0.66, 0.48, 0.31)),
    "gray": ((0.53, 0.54, 0.57), (0.28, 0.29, 0.33)),
    "brown": ((0.50, 0.35, 0.23), (0.24, 0.15, 0.10)),
    "black": ((0.17, 0.16, 0.17), (0.08, 0.07, 0.08)),
    "white": ((0.90, 0.89, 0.86), (0.56, 0.43, 0.33)),
    "chocolate": ((0.36, 0.22, 0.15), (0.20, 0.11, 0.08)),
    "sand": ((0.72, 0.60, 0.43), (0.33, 0.25, 0.18)),
}
IRIS = ((0.45, 0.62, 0.20), (0.78, 0.58, 0.12), (0.32, 0.55, 0.75), (0.30, 0.17, 0.08))
WHITE, PINK, DARK = np.array((0.93, 0.91, 0.88)), np.array((0.86, 0.58, 0.55)), np.array((0.07, 0.05, 0.05))


@functools.cache
def _noise(along, across):
    """A periodic tile (256, 256) of noise, blurred to the given lengths; even in [0, 1]."""
    white = np.random.default_rng(0).normal(size=(256, 256))
    tile = ndimage.gaussian_filter(white, (along, across), mode="wrap")
    return (np.argsort(np.argsort(tile, axis=None)).reshape(tile.shape) / tile.size).astype(np.float32)


def _lookup(tile, i, j):
    return tile[i.astype(np.int32) & 255, j.astype(np.int32) & 255]


class Frame:
    """An affine map from pixels of a canvas of `size` to coordinates: (x, y) = matrix @ (column, row) + origin."""

    def __init__(self, size, matrix, origin):
        self.size, self.matrix, self.origin = size, matrix, origin
        self.pixel = abs(np.linalg.det(matrix)) ** 0.5

    def inner(self, cx, cy, scale=1.0, angle=0.0):
        """The frame whose origin lies at (cx, cy) and whose unit is `scale` here, turned by `angle`."""
        c, s = np.cos(angle) / scale, np.sin(angle) / scale
        turn = np.array([[c, s], [-s, c]])
        return Frame(self.size, turn @ self.matrix, turn @ (self.origin - (cx, cy)))

    def window(self, x0, x1, y0, y1):
        """The rows and columns around a box, with room for fur and shadow, and x and y in them."""
        corners = np.array([(x, y) for x in (x0 - 0.25, x1 + 0.25) for y in (y0 - 0.25, y1 + 0.25)])
        pixels = np.linalg.solve(self.matrix, (corners - self.origin).T)
        low = np.clip(np.floor(pixels.min(1)), 0, self.size - 2).astype(int)
        high = np.clip(np.ceil(pixels.max(1)), low + 2, self.size).astype(int)
        columns = np.arange(low[0], high[0], dtype=np.float32)[None, :]
        rows = np.arange(low[1], high[1], dtype=np.float32)[:, None]
        matrix, origin = np.float32(self.matrix), np.float32(self.origin)
        x, y = (matrix[i, 0] * columns + matrix[i, 1] * rows + origin[i] for i in range(2))
        return (slice(low[1], high[1]), slice(low[0], high[0])), x, y

    def ellipse(self, cx, cy, a, b, angle=0.0):
        frame = self.inner(cx, cy, 1.0, angle)
        where, x, y = frame.window(-a, a, -b, b)
        u, v = x / np.float32(a), y / np.float32(b)
        e = np.hypot(u, v)
        around = np.arctan2(v, u) * np.float32(26 * max(a, b)) + 400
        return Part(self, where, (e - 1) * np.float32(min(a, b)), x, y, (u, v), (e * 9, around))

    def limb(self, x0, y0, x1, y1, r0, r1):
        """A stroke from (x0, y0) to (x1, y1) whose radius goes from r0 to r1."""
        length = max(np.hypot(x1 - x0, y1 - y0), 1e-6)
        frame = self.inner(x0, y0, 1.0, np.arctan2(y1 - y0, x1 - x0))
        r = max(r0, r1)
        where, u, v = frame.window(-r, length + r, -r, r)
        t = np.clip(u / np.float32(length), 0, 1)
        beyond = u - t * np.float32(length)
        radius = np.float32(r0) + t * np.float32(r1 - r0)
        outline = (v * 9, u * 26 + np.where(v > 0, np.float32(100), np.float32(0)))
        return Part(self, where, np.hypot(beyond, v) - radius, u, v, (beyond / radius, v / radius), outline)

    def triangle(self, a, b, c, rounding):
        """A triangle with rounded corners; its corners are points (x, y), clockwise on the screen."""
        points = np.array((a, b, c))
        cx, cy = points.mean(0)
        frame = self.inner(cx, cy)
        where, x, y = frame.window(*np.stack([points.min(0), points.max(0)], 1).ravel() - (cx, cx, cy, cy))
        distance = None
        for (x0, y0), (x1, y1) in ((a, b), (b, c), (c, a)):
            length = np.hypot(x1 - x0, y1 - y0)
            edge = ((x + cx - x0) * (y1 - y0) - (y + cy - y0) * (x1 - x0)) / np.float32(length)
            distance = edge if distance is None else np.logaddexp(14 * distance, 14 * edge) / 14
        return Part(self, where, distance - rounding, x, y, (x, y), (y * 9, np.arctan2(y, x) * 12 + 400))


class Part:
    """A shape in a window `where` of the canvas: signed distance, its own coordinates u and v, its normal in
    the plane (two arrays), and coordinates along its outline, in which fur is ragged."""

    def __init__(self, frame, where, distance, u, v, normal, outline):
        self.frame, self.where, self.distance, self.u, self.v = frame, where, distance, u, v
        self.normal, self.outline = normal, outline


class Painter:
    """A canvas: colors (S, S, 3) and how much of each pixel the animal covers (S, S)."""

    def __init__(self, background, light, offset):
        self.rgb, self.cover = background, np.zeros(background.shape[:2], np.float32)
        self.light, self.offset = np.float32(light), offset  # unit vector; where in the noise tiles

    def paint(self, part, color, fur=0.0, shade=1.0, strength=1.0, gloom=0.0):
        """Lay `part` over the canvas. fur: its length; shade: of the light; gloom: shadow around it."""
        distance, rgb = part.distance, self.rgb[part.where]
        if fur:
            along, around = part.outline
            distance = distance + np.float32(fur) * (
                _lookup(_noise(1, 0.8), along + self.offset, around) - 0.55
            )
        color = np.asarray(color, np.float32)
        if shade:
            color = color * self._lit(part, np.float32(shade))[..., None]
        if gloom:  # what a part lies on is darker beside it
            near = np.exp(np.maximum(distance, 0) * np.float32(-1 / 0.07)) * self.cover[part.where]
            rgb *= (1 - np.float32(gloom) * near)[..., None]
        alpha = np.clip(0.5 - distance / np.float32(1.3 * part.frame.pixel), 0, 1) * np.float32(strength)
        rgb += alpha[..., None] * (color - rgb)
        return alpha

    def _lit(self, part, shade):
        """How bright each pixel of a part is: its roundness in the light, and single hairs."""
        nx, ny = part.normal
        length2 = nx * nx + ny * ny
        outside = 1 / np.sqrt(np.maximum(1, length2))
        nz = np.sqrt(np.maximum(0, 1 - length2))
        light = (self.light[0] * nx + self.light[1] * ny) * outside + self.light[2] * nz
        bend = 9 * _lookup(_noise(14, 14), part.u * 70 + self.offset, part.v * 70 + 31)  # hair is not combed
        hair = _lookup(_noise(3, 0.7), part.u * 45 + bend, part.v * 75 + 2 * bend + self.offset)
        return (0.62 + 0.5 * shade * light) * (0.84 + 0.32 * hair)

    def body(self, part, color, fur, gloom=0.3, shade=1.0):
        """As `paint`, for a part that belongs to the animal's outline."""
        alpha = self.paint(part, color, fur, shade, gloom=gloom)
        cover = self.cover[part.where]
        cover += alpha * (1 - cover)


class Animal:
    """The traits of one animal, drawn from a random generator."""

    def __init__(self, rng):
        self.rng, self.species = rng, SPECIES[rng.choice(3, p=(0.42, 0.42, 0.16))]
        self.pattern = rng.choice(PATTERNS)
        name = rng.choice(list(COATS))
        shade = rng.uniform(0.85, 1.12) * (1 + rng.normal(0, 0.03, 3))
        self.main, self.second = (np.clip(np.array(color) * shade, 0, 1) for color in COATS[name])
        if self.pattern == "points":
            self.main, self.second = np.array(COATS["cream"][0]) * 1.04, self.second * 0.75
        self.accent = WHITE * rng.uniform(0.9, 1.0) if rng.random() < 0.7 else self.main
        self.fur = rng.choice((0.02, 0.035, 0.06), p=(0.4, 0.35, 0.25))
        self.offset = int(rng.integers(0, 256))
        self.stripe = rng.uniform(16, 26)
        self.patch = rng.uniform(0.35, 0.6)
        self.muzzle = {"cat": rng.uniform(0.26, 0.34), "dog": rng.uniform(0.34, 0.52)}.get(self.species, 0.26)
        kinds = {"cat": ("pointed",), "dog": ("floppy", "floppy", "pointed", "long"), "rabbit": ("tall",)}
        self.ears = rng.choice(kinds[self.species])
        if self.species == "rabbit" and rng.random() < 0.3:
            self.ears = "long"
        self.ear = rng.uniform(0.8, 1.2)
        self.wide = rng.uniform(0.92, 1.12)  # of the head
        self.plump = rng.uniform(0.85, 1.2)  # of the body
        self.leg = rng.uniform(0.75, 1.15)
        self.iris = np.array(IRIS[rng.integers(4)] if self.species == "cat" else IRIS[3])
        self.collar = rng.uniform(0.1, 0.9, 3) if self.species != "rabbit" and rng.random() < 0.35 else None
        self.tongue = self.species == "dog" and rng.random() < 0.45

    def coat(self, part, where):
        """Color (S, S, 3) of a part: "body", "head", "limb", "ear", "tail", "paw" or "chest"."""
        pattern = self.pattern
        here, there = self.offset + 17 * len(where), 2 * self.offset + (40 if part.u.size % 2 else 0)
        soft = _lookup(_noise(14, 14), part.u * 55 + here, part.v * 55 + there)
        main = self.main * (0.93 + 0.14 * soft[..., None])
        if pattern == "tuxedo" and where in ("paw", "chest"):
            return np.broadcast_to(WHITE, main.shape)
        share = None
        if pattern == "tabby":
            wave = {"head": part.u, "body": part.u, "limb": part.u, "tail": part.u}.get(where)
            if wave is not None:
                stripes = np.sin(self.stripe * wave + 5 * soft)
                share = 0.75 * np.clip(2.2 * stripes - 0.4, 0, 1)
                if where == "head":
                    share = share * np.clip(-2.5 * part.v - 0.1, 0, 1)
        elif pattern == "patches":
            share = np.clip(25 * (soft - self.patch), 0, 1)
        elif pattern == "spots":
            small = _lookup(_noise(5, 5), part.u * 60 + here, part.v * 60)
            share = np.clip(14 * (small - 0.74), 0, 1)
        elif pattern == "points":
            share = {"ear": 0.95, "tail": 0.95, "paw": 0.9, "limb": 0.45}.get(where)
            if where == "head":
                share = 0.9 * np.exp(-((part.u / 0.45) ** 2 + ((part.v - 0.3) / 0.5) ** 2))
        if share is None:
            return main
        other = self.accent if pattern == "patches" else self.second
        share = share[..., None] if np.ndim(share) else share
        return main + share * (other - main)

    # --- parts ---

    def draw_head(self, p, frame, cx, cy, r, tilt):
        f = frame.inner(cx, cy, r, tilt)
        front = self.ears in ("floppy", "long")
        if not front:
            self._ears(p, f)
        round_ = 0.90 if self.species == "cat" else 1.02 if self.species == "dog" else 1.0
        skull = f.ellipse(0, 0, self.wide, round_)
        p.body(skull, self.coat(skull, "head"), self.fur)
        if self.species == "cat":
            for side in (-1, 1):  # cheeks
                cheek = f.ellipse(side * 0.62 * self.wide, 0.34, 0.38, 0.34)
                p.body(cheek, self.coat(cheek, "cheek"), 2 * self.fur, gloom=0, shade=0.6)
        self._muzzle(p, f)
        for side in (-1, 1):
            self._eye(p, f, side)
        if front:
            self._ears(p, f)

    def _ears(self, p, f):
        e, w = self.ear, self.wide
        for side in (-1, 1):
            if self.ears == "pointed":
                points = [
                    (side * 0.95 * w, -0.25),
                    (side * 0.85 * w, -0.75 - 0.62 * e),
                    (side * 0.18 * w, -0.72),
                ]
                points = points if side < 0 else points[::-1]
                ear = f.triangle(*points, 0.05)
                p.body(ear, self.coat(ear, "ear"), self.fur, shade=0.3)
                inner = f.inner(side * 0.2 * w, -0.24, 0.66)
                p.paint(inner.triangle(*points, 0.0), 0.75 * PINK + 0.2 * self.main, 0.06, 0.2)
            elif self.ears == "tall":
                lean = side * (0.12 + 0.25 * (e - 0.8))
                ear = f.ellipse(side * 0.42, -1.25 * e, 0.27, 0.85 * e, lean)
                p.body(ear, self.coat(ear, "ear"), self.fur, shade=0.5)
                p.paint(f.ellipse(side * 0.42, -1.2 * e, 0.14, 0.62 * e, lean), 0.9 * PINK, 0.05, 0.3)
            else:
                drop = 0.75 if self.ears == "floppy" else 1.25
                ear = f.limb(side * 0.78 * w, -0.5, side * 1.12 * w, drop * e - 0.25, 0.22, 0.33)
                p.body(ear, 0.86 * self.coat(ear, "ear"), 1.4 * self.fur, gloom=0.5, shade=0.7)

    def _eye(self, p, f, side):
        x, y = side * 0.40 * self.wide, -0.12
        if self.species == "cat":
            p.paint(f.ellipse(x, y, 0.22, 0.18, side * 0.2), DARK, shade=0)
            p.paint(f.ellipse(x, y, 0.19, 0.155, side * 0.2), self.iris, shade=0.5)
            p.paint(f.ellipse(x, y, 0.07, 0.15), DARK, shade=0)
        else:
            p.paint(f.ellipse(x, y, 0.185, 0.175), 0.5 * self.second, shade=0.3)
            p.paint(f.ellipse(x, y, 0.15, 0.15), 0.7 * self.iris + 0.02, shade=0.4)
            p.paint(f.ellipse(x, y, 0.085, 0.085), DARK, shade=0)
        p.paint(f.ellipse(x + 0.05, y - 0.06, 0.045, 0.045), (1, 1, 1), shade=0)

    def _muzzle(self, p, f):
        m = self.muzzle
        down = 0.42 if self.species != "dog" else 0.45
        color = WHITE if self.pattern == "tuxedo" else 0.5 * self.main + 0.5 * self.accent
        color = 0.8 * self.second if self.pattern == "points" else color
        if self.tongue:
            p.paint(f.ellipse(0, down + 0.42, 0.15, 0.27), (0.85, 0.38, 0.42), shade=0.6)
        if self.species == "dog":
            p.paint(f.ellipse(0, down - 0.12, 0.85 * m, 1.05 * m), color, 0.04, 0.8)
        for side in (-1, 1):
            p.paint(f.ellipse(side * 0.5 * m, down + 0.1, 0.66 * m, 0.55 * m), color, 0.04, 0.8)
        nose = PINK * 0.85 if self.species != "dog" and self.main.mean() > 0.3 else DARK + 0.03
        size = 0.13 if self.species != "dog" else 0.19
        p.paint(f.ellipse(0, down - 0.13, size, 0.72 * size), nose, shade=0.7)
        p.paint(f.limb(0, down - 0.1, 0, down + 0.12, 0.018, 0.018), DARK, shade=0, strength=0.8)
        for side in (-1, 1):
            mouth = f.limb(0, down + 0.12, side * 0.6 * m, down + 0.24, 0.022, 0.012)
            p.paint(mouth, DARK, shade=0, strength=0.8)
            if self.species != "dog":
                for k in (-1, 0, 1):  # whiskers are thinner than a pixel and belong to no class
                    whisker = f.limb(
                        side * 0.3, down + 0.05 * k, side * 1.3, down + 0.22 * k - 0.06, 0.012, 0.004
                    )
                    p.paint(whisker, (0.95, 0.95, 0.93), shade=0, strength=0.55)

    def draw_tail(self, p, frame, points, radius):
        """A tail along a Bézier curve through three control points."""
        if self.species == "rabbit":
            tuft = frame.ellipse(*points[0], 0.15, 0.14)
            p.body(tuft, np.broadcast_to(WHITE, (*tuft.u.shape, 3)), 2 * self.fur)
            return
        a, b, c = map(np.array, points)
        t = np.linspace(0, 1, 7)[:, None]
        path = (1 - t) ** 2 * a + 2 * t * (1 - t) * b + t**2 * c
        for k in range(6):
            piece = frame.limb(*path[k], *path[k + 1], radius * (1 - 0.06 * k), radius * (1 - 0.06 * (k + 1)))
            p.body(piece, self.coat(piece, "tail"), min(1.5 * self.fur, 0.06), gloom=0)

    def draw_leg(self, p, frame, x0, y0, x1, y1, radius, dim=1.0):
        leg = frame.limb(x0, y0, x1, y1, 1.25 * radius, 0.8 * radius)
        p.body(leg, dim * self.coat(leg, "limb"), self.fur)
        paw = frame.ellipse(x1 + 0.03, y1 + 0.2 * radius, 1.25 * radius, 0.75 * radius)
        p.body(paw, dim * self.coat(paw, "paw"), self.fur, gloom=0)

    def draw_collar(self, p, frame, x0, x1, y):
        if self.collar is not None:
            p.paint(frame.limb(x0, y, x1, y, 0.045, 0.045), self.collar, shade=0.8)
            p.paint(frame.ellipse((x0 + x1) / 2, y + 0.07, 0.05, 0.05), (0.85, 0.70, 0.25), shade=0.8)

    # --- poses ---

    def draw(self, p, frame, pose):
        """Draw the whole animal, back to front."""
        rng = self.rng
        tilt = rng.normal(0, 0.13)
        getattr(self, f"_{pose}")(p, frame, rng, tilt)

    def _portrait(self, p, f, rng, tilt):
        g = self.plump
        chest = f.ellipse(rng.normal(0, 0.06), 0.98, 0.62 * g, 0.62)
        p.body(chest, self.coat(chest, "body"), 1.5 * self.fur)
        bib = f.ellipse(0, 0.9, 0.3, 0.42)
        p.paint(bib, self.coat(bib, "chest"), 4 * self.fur, strength=0.7)
        self.draw_collar(p, f, -0.36, 0.36, 0.55)
        self.draw_head(p, f, 0, 0, 0.55, tilt)

    def _sitting(self, p, f, rng, tilt):
        g, side = self.plump, rng.choice((-1, 1))
        swing = rng.uniform(-0.3, 0.35)
        self.draw_tail(p, f, ((side * 0.3, 0.8), (side * 0.85, 0.85), (side * 0.72, 0.25 + swing)), 0.07)
        body = f.ellipse(0, 0.32, 0.36 * g, 0.56)
        p.body(body, self.coat(body, "body"), self.fur)
        for s in (-1, 1):
            haunch = f.ellipse(s * 0.29 * g, 0.66, 0.21 * g, 0.24, s * 0.3)
            p.body(haunch, self.coat(haunch, "body"), self.fur, gloom=0.4)
            foot = f.ellipse(s * 0.31 * g, 0.87, 0.16, 0.075)
            p.body(foot, self.coat(foot, "paw"), self.fur)
        bib = f.ellipse(0, 0.22, 0.2 * g, 0.34)
        p.paint(bib, self.coat(bib, "chest"), 3 * self.fur, strength=0.7)
        for s in (-1, 1):
            self.draw_leg(p, f, s * 0.13, 0.3, s * 0.14, 0.84, 0.09)
        self.draw_collar(p, f, -0.2, 0.2, -0.04)
        self.draw_head(p, f, rng.normal(0, 0.04), -0.36, 0.36, tilt)

    def _walking(self, p, f, rng, tilt):
        g, stride = self.plump, rng.uniform(-0.16, 0.16, 4)
        foot = 0.30 + 0.48 * self.leg
        high = rng.uniform(-0.65, 0.15)
        self.draw_tail(p, f, ((-0.55, 0.02), (-0.95, -0.1), (-0.95, high)), 0.065)
        for k, x in enumerate((-0.36, 0.34)):  # the far legs, in shade
            self.draw_leg(p, f, x, 0.2, x + stride[k], foot - 0.05, 0.09, dim=0.7)
        body = f.ellipse(0, 0.08, 0.6, 0.27 * g)
        p.body(body, self.coat(body, "body"), self.fur)
        rump = f.ellipse(-0.38, 0.08, 0.25, 0.27 * g)
        p.body(rump, self.coat(rump, "body"), self.fur, gloom=0)
        for k, x in enumerate((-0.44, 0.42)):
            self.draw_leg(p, f, x, 0.15, x + stride[2 + k], foot, 0.1)
        neck = f.limb(0.4, 0.0, 0.6, -0.22, 0.21 * g, 0.18)
        p.body(neck, self.coat(neck, "neck"), self.fur, gloom=0)
        self.draw_head(p, f, 0.66, -0.34, 0.30, tilt + 0.05)

    def _lying(self, p, f, rng, tilt):
        g = self.plump
        body = f.ellipse(-0.12, 0.3, 0.7, 0.3 * g)
        p.body(body, self.coat(body, "body"), self.fur)
        haunch = f.ellipse(-0.45, 0.36, 0.32, 0.27 * g)
        p.body(haunch, self.coat(haunch, "body"), self.fur, gloom=0.45)
        self.draw_tail(p, f, ((-0.75, 0.42), (-0.85, 0.66), (-0.25 + rng.uniform(-0.2, 0.2), 0.62)), 0.065)
        for y in (0.5, 0.56):
            self.draw_leg(p, f, 0.25, y - 0.06, 0.72 + rng.uniform(-0.1, 0.1), y, 0.085)
        self.draw_collar(p, f, 0.3, 0.56, 0.2)
        self.draw_head(p, f, 0.45, -0.06, 0.34, tilt)


# --- a whole picture -----------------------------------------------------------------------------------


def draw_pet(rng, photograph, size, pose=None):
    """Draw one picture: (image uint8 (3, size, size), trimap uint8 (size, size), species, pose).

    photograph: uint8 (H, W, 3), of which a part, turned and tinted, becomes the background. trimap: 1 animal,
    2 background, 3 border. All that varies comes from `rng`.
    """
    fine = size * (2 if size < 96 else 1)  # small pictures are drawn at twice their size
    background = _background(rng, photograph, fine)
    animal = Animal(rng)
    pose = pose or rng.choice(POSES, p=(0.3, 0.25, 0.25, 0.2))
    frame = _placed(rng, fine, pose)
    light = np.array([rng.uniform(-0.8, 0.8), rng.uniform(-1, -0.1), rng.uniform(0.5, 1.2)])
    painter = Painter(background.copy(), light / np.linalg.norm(light), animal.offset)
    if pose != "portrait":  # a soft shadow on the ground
        ground = frame.ellipse(-0.25 * light[0], 0.86 if pose != "lying" else 0.62, 0.75, 0.16)
        dark = rng.uniform(0.2, 0.55) * np.exp(-np.maximum(ground.distance + 0.05, 0) / 0.07)
        painter.rgb[ground.where] *= (1 - dark)[..., None]
    animal.draw(painter, frame, pose)
    tint = 1 + rng.normal(0, 0.04, 3)
    glow = rng.uniform(0.75, 1.15)  # the animal stands in a light of its own
    cover = np.clip(painter.cover, 0, 1)
    picture = painter.rgb * (1 + cover[..., None] * (tint * glow - 1))
    if rng.random() < 0.3:
        front, alpha = _occluder(rng, photograph, fine)
        picture = picture + alpha[..., None] * (front - picture)
        cover = cover * (1 - alpha)
    if fine != size:
        picture = picture.reshape(size, 2, size, 2, 3).mean((1, 3))
        cover = cover.reshape(size, 2, size, 2).mean((1, 3))
    picture = np.clip(picture, 0, 1) ** rng.uniform(0.85, 1.2) + rng.normal(0, 0.012, picture.shape)
    image = (255 * np.clip(picture, 0, 1)).round().astype(np.uint8).transpose(2, 0, 1)
    return image, _trimap(cover), animal.species, str(pose)


def _trimap(cover):
    """1 where the animal is, 2 where it is not, 3 in a border some pixels wide on the inner side of its edge.

    As a person would draw it: along the fur, not around single hairs.
    """
    size = len(cover)
    smooth = ndimage.gaussian_filter(cover, size / 96)
    inside = smooth > 0.4
    trimap = np.where(inside, 1, 2).astype(np.uint8)
    core = ndimage.binary_erosion(inside, iterations=max(1, round(size / 64)), border_value=1) & (
        smooth > 0.7
    )
    trimap[inside & ~core] = 3
    return trimap


def _placed(rng, size, pose):
    """The frame of the animal's coordinates: its size in the picture, place, turn, and which way it looks."""
    half = rng.uniform(0.85, 1.15) if pose != "portrait" else rng.uniform(0.85, 1.3)
    cx, cy = rng.normal(0, 0.15), rng.normal(0.04, 0.10) + (0.25 * half if pose == "portrait" else 0)
    mirror = rng.choice((-1, 1))
    step = 2 / size
    whole = Frame(size, np.diag((mirror * step, step)), np.array((mirror * (step / 2 - 1), step / 2 - 1)))
    return whole.inner(cx, cy, half, rng.normal(0, 0.10))


def _background(rng, photograph, size):
    """A random square of the photograph, mirrored, tinted, lit and perhaps out of focus; float32 (size, size, 3)."""
    h, w, _ = photograph.shape
    side = min(h, w) * rng.uniform(0.3, 1.0)
    top, left = rng.uniform(0, h - side), rng.uniform(0, w - side)
    blur = rng.uniform(1, 3.5) if rng.random() < 0.5 else 1
    small = (max(8, round(size / blur)),) * 2
    part = Image.fromarray(photograph).resize(small, Image.BILINEAR, (left, top, left + side, top + side))
    part = np.asarray(part.resize((size, size), Image.BICUBIC), np.float32) / 255
    part = part[:, ::-1] if rng.random() < 0.5 else part
    gray = part.mean(2, keepdims=True)
    part = gray + rng.uniform(0.4, 1.3) * (part - gray)  # paler or more colorful
    if (photograph[::16, ::16, 0] == photograph[::16, ::16, 2]).all():  # a gray picture gets some color
        part = part * (1 + 0.5 * rng.dirichlet((1, 1, 1)) - 0.15)
    part = part * (1 + rng.normal(0, 0.10, 3)) * rng.uniform(0.6, 1.35)
    at, slope = np.linspace(-1, 1, size), rng.normal(0, 0.15, 2)  # light from one side
    return np.float32(part * (1 + slope[0] * at[:, None, None] + slope[1] * at[None, :, None]))


def _occluder(rng, photograph, size):
    """Something before the animal, cut from the same photograph: (colors, alpha)."""
    front = _background(rng, photograph, size)
    at = (np.arange(size, dtype=np.float32) + 0.5) * (2 / size) - 1
    y, x = np.meshgrid(at, at, indexing="ij")
    kind = rng.integers(3)
    if kind == 0:  # a bank of grass, an edge of a table
        wave = _noise(6, 6)[int(rng.integers(256))]
        edge = np.interp(np.arange(size), np.linspace(0, size, 64), wave[:64])
        distance = (0.85 - 0.5 * rng.random() - 0.35 * edge)[None, :] - y
    elif kind == 1:  # a post
        distance = np.abs(x - rng.uniform(-0.6, 0.6) + rng.normal(0, 0.15) * y) - rng.uniform(0.06, 0.14)
    else:  # a ball
        r = rng.uniform(0.15, 0.28)
        bx, by = rng.uniform(-0.6, 0.6), rng.uniform(0.3, 0.8)
        distance = np.hypot(x - bx, y - by) - r
        lit = 1 - 0.6 * np.clip(np.hypot(x - bx + 0.3 * r, y - by + 0.4 * r) / r, 0, 1.5)
        stripe = (np.sin(9 * (x - bx) / r * 0.5) > 0)[..., None]
        front = np.where(stripe, rng.uniform(0.1, 1, 3), rng.uniform(0.1, 1, 3)) * (0.5 + lit)[..., None]
    return front.astype(np.float32), np.clip(0.5 - distance * size / 2.6, 0, 1)
