"""A small ray tracer for the chapter on diffusion: cubes, spheres and cylinders on gray ground, as pixel tiles."""

import math
from functools import cache
from statistics import NormalDist

from _svg import Noise

COLORS = {"red": (0.86, 0.12, 0.10), "cyan": (0.13, 0.66, 0.72), "yellow": (0.98, 0.80, 0.10)}
NAMED = (("red", "cube"), ("cyan", "sphere"), ("yellow", "cylinder"))
# kind, color, middle on the ground (right, away), half of the size, turn in radians
TRIO = (
    ("cube", "red", (-1.5, 0.35), 0.86, 0.42),
    ("sphere", "cyan", (0.42, -0.95), 0.84, 0.0),
    ("cylinder", "yellow", (1.32, 1.2), 0.84, 0.0),
)
EYE, AIM = (0.0, -9.2, 5.4), (0.02, 0.1, 0.62)
LIGHT, SOFT = (-7.0, -6.4, 13.0), 0.8  # where the lamp hangs, and how far its rays spread
GROUND = (0.83, 0.83, 0.82)


def dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def unit(a):
    length = math.sqrt(dot(a, a))
    return (a[0] / length, a[1] / length, a[2] / length)


def cross(a, b):
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


def turned(a, angle):
    c, s = math.cos(angle), math.sin(angle)
    return (c * a[0] + s * a[1], -s * a[0] + c * a[1], a[2])


def hit_sphere(o, d, r):
    b, c = dot(o, d), dot(o, o) - r * r
    root = b * b - c
    if root <= 0:
        return None
    t = -b - math.sqrt(root)
    return (t, unit(tuple(o[k] + t * d[k] for k in range(3)))) if t > 1e-6 else None


def hit_cube(o, d, r):
    near, far, axis = -1e9, 1e9, 0
    for k in range(3):
        if abs(d[k]) < 1e-12:
            if abs(o[k]) > r:
                return None
            continue
        a, b = sorted(((-r - o[k]) / d[k], (r - o[k]) / d[k]))
        if a > near:
            near, axis = a, k
        far = min(far, b)
    if near >= far or near <= 1e-6:
        return None
    return near, tuple(-math.copysign(1.0, d[k]) if k == axis else 0.0 for k in range(3))


def hit_cylinder(o, d, r):
    best = None
    a, b, c = (
        d[0] * d[0] + d[1] * d[1],
        o[0] * d[0] + o[1] * d[1],
        o[0] * o[0] + o[1] * o[1] - r * r,
    )
    root = b * b - a * c
    if a > 1e-12 and root > 0:
        t = (-b - math.sqrt(root)) / a
        z = o[2] + t * d[2]
        if t > 1e-6 and abs(z) <= r:
            best = (t, ((o[0] + t * d[0]) / r, (o[1] + t * d[1]) / r, 0.0))
    if abs(d[2]) > 1e-12:
        side = -math.copysign(1.0, d[2])
        t = (side * r - o[2]) / d[2]
        x, y = o[0] + t * d[0], o[1] + t * d[1]
        if t > 1e-6 and x * x + y * y <= r * r and (best is None or t < best[0]):
            best = (t, (0.0, 0.0, side))
    return best


HIT = {"sphere": hit_sphere, "cube": hit_cube, "cylinder": hit_cylinder}


def nearest(objects, o, d):
    """Distance, normal and color of the first thing that the ray meets, or None."""
    best = None
    for kind, color, (x, y), r, angle in objects:
        local = turned((o[0] - x, o[1] - y, o[2] - r), angle)
        found = HIT[kind](local, turned(d, angle), r)
        if found and (best is None or found[0] < best[0]):
            best = (found[0], turned(found[1], -angle), color)
    return best


def shade(objects, o, d, wobble):
    """Color that comes back along the ray."""
    found = nearest(objects, o, d)
    if found:
        t, normal, name = found
        base, shine = COLORS[name], 0.55
    else:
        t, normal, base, shine = -o[2] / d[2], (0.0, 0.0, 1.0), GROUND, 0.0
    point = tuple(o[k] + t * d[k] + 1e-4 * normal[k] for k in range(3))
    lamp = tuple(LIGHT[k] + SOFT * wobble[k] for k in range(3))
    to_lamp = unit(tuple(lamp[k] - point[k] for k in range(3)))
    lit = 0.0 if nearest(objects, point, to_lamp) else max(0.0, dot(normal, to_lamp))
    sky = 0.5 + 0.5 * normal[2]
    fill = max(0.0, dot(normal, unit((4.0, -5.0, 2.5))))
    if not found:  # close to an object the ground sees less of the sky
        for _, _, (x, y), r, _ in objects:
            away = math.hypot(point[0] - x, point[1] - y) - r
            sky *= 1 - 0.45 * math.exp(-max(away, 0.0) / (0.3 * r))
        light = 0.32 + 0.24 * sky + 0.58 * lit
        light *= 1.02 - 0.018 * point[1]
        return tuple(min(1.0, c * light) for c in base)
    light = 0.2 + 0.24 * sky + 0.34 * fill + 0.66 * lit
    half = unit(tuple(to_lamp[k] - d[k] for k in range(3)))
    glint = shine * max(0.0, dot(normal, half)) ** 40 if lit else 0.0
    return tuple(min(1.0, c * light + glint) for c in base)


@cache
def scene(width=32, height=32, objects=TRIO, view=0.262, fine=4):
    """{(i, j): (r, g, b)} with numbers from -1 to 1; each pixel is the mean of fine × fine rays."""
    ahead = unit(tuple(AIM[k] - EYE[k] for k in range(3)))
    right = unit(cross(ahead, (0.0, 0.0, 1.0)))
    up = cross(right, ahead)
    noise, pixels = Noise(2), {}
    for i in range(height):
        for j in range(width):
            total = [0.0, 0.0, 0.0]
            for a in range(fine):
                for b in range(fine):
                    u = ((j + (a + 0.5) / fine) / width * 2 - 1) * view * width / height
                    v = (1 - (i + (b + 0.5) / fine) / height * 2) * view
                    ray = unit(tuple(ahead[k] + u * right[k] + v * up[k] for k in range(3)))
                    wobble = (2 * noise() - 1, 2 * noise() - 1, 2 * noise() - 1)
                    for k, c in enumerate(shade(objects, EYE, ray, wobble)):
                        total[k] += c
            pixels[i, j] = tuple(2 * c / fine**2 - 1 for c in total)
    return pixels


def noisy(pixels, abar, seed=7):
    """√ᾱ · picture + √(1 − ᾱ) · noise. abar: a number, or a function of the column; the noise depends on seed alone."""
    uniform, normal, out = Noise(seed), NormalDist(), {}
    level = abar if callable(abar) else lambda j: abar
    for (i, j), rgb in sorted(pixels.items()):
        a = level(j)
        eps = [normal.inv_cdf(min(max(uniform(), 1e-6), 1 - 1e-6)) for _ in rgb]
        out[i, j] = tuple(math.sqrt(a) * c + math.sqrt(1 - a) * e for c, e in zip(rgb, eps, strict=True))
    return out


def tiles(picture, left, top, scale, pixels, levels=52):
    """Draw pixels as one path for each color. levels: how many values a color's channel may take."""
    paths, step = {}, 255 / (levels - 1)
    for (i, j), rgb in sorted(pixels.items()):
        steps = [round((min(max(c, -1.0), 1.0) + 1) / 2 * (levels - 1)) for c in rgb]
        name = "#" + "".join(f"{round(step * n):02x}" for n in steps)
        runs = paths.setdefault(name, [])
        if runs and runs[-1][0] == i and runs[-1][1] + runs[-1][2] == j:
            runs[-1][2] += 1
        else:
            runs.append([i, j, 1])
    rows, columns = (1 + max(p[k] for p in pixels) for k in (0, 1))
    common = max(paths, key=lambda name: sum(run[2] for run in paths[name]))
    content = [f'<rect width="{columns}" height="{rows}" fill="{common}"/>']
    for name, runs in paths.items():
        if name != common:
            d, at = [], None
            for i, j, n in runs:
                move = f"M{j} {i}" if at is None else f"m{j - at[1]} {i - at[0]}"
                d.append(f"{move}h{n}")
                at = (i, j + n)
            content.append(f'<path stroke="{name}" d="{"".join(d)}"/>')
    # a stroke along the middle of each row of pixels
    strokes = f'<g transform="translate(0 .5)">{"".join(content[1:])}</g>'
    picture.add(
        "g",
        content[0] + strokes,
        transform=f"translate({left:g} {top:g}) scale({scale:g})",
        shape_rendering="crispEdges",
    )
