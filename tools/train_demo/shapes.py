"""Anti-aliased rendering of scenes, batched: every shape is a signed distance on a unit-size grid."""

import math

import torch

SHAPES = ["circle", "square", "triangle", "star", "heart", "diamond", "cross", "ring", "moon"]
THINGS = ["house", "tree", "sun", "flower", "cat"]  # pictures of several colours
KINDS = SHAPES + THINGS

COLOURS = {
    "red": (220, 40, 40),
    "green": (50, 165, 60),
    "blue": (40, 80, 220),
    "yellow": (250, 220, 40),
    "orange": (250, 135, 25),
    "purple": (130, 50, 175),
    "pink": (250, 150, 195),
    "cyan": (50, 205, 220),
    "brown": (120, 72, 35),
    "white": (250, 250, 250),
    "black": (20, 20, 20),
    "gray": (140, 140, 140),
}


def _norm(x, y):
    return torch.sqrt(x * x + y * y + 1e-12)


def _disc(x, y, cx, cy, radius):
    return _norm(x - cx, y - cy) - radius


def _box(x, y, cx, cy, half_width, half_height):
    dx, dy = (x - cx).abs() - half_width, (y - cy).abs() - half_height
    return _norm(dx.clamp(min=0), dy.clamp(min=0)) + torch.maximum(dx, dy).clamp(max=0)


def _polygon(x, y, corners):
    """Exact distance to a simple polygon, negative inside."""
    nearest, inside = None, torch.zeros_like(x, dtype=torch.bool)
    for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1]):
        ex, ey, px, py = bx - ax, by - ay, x - ax, y - ay
        along = ((px * ex + py * ey) / (ex * ex + ey * ey)).clamp(0, 1)
        dx, dy = px - along * ex, py - along * ey
        squared = dx * dx + dy * dy
        nearest = squared if nearest is None else torch.minimum(nearest, squared)
        crosses = (y >= min(ay, by)) & (y < max(ay, by))
        if ay != by:
            inside ^= crosses & (px < ex * (py / ey))
    return torch.sqrt(nearest + 1e-12) * torch.where(inside, -1.0, 1.0)


def _star_corners(points=5, outer=1.0, inner=0.45):
    corners = []
    for i in range(2 * points):
        radius, angle = (inner if i % 2 else outer), math.pi * i / points
        corners.append((radius * math.sin(angle), 0.05 - radius * math.cos(angle)))
    return corners


def _heart(x, y):
    """Two quarter discs on a square that stands on its corner."""
    scale = 1.62
    px, py = (x / scale).abs(), 0.56 - y / scale
    lobe = _norm(px - 0.25, py - 0.75) - math.sqrt(2) / 4
    fold = 0.5 * (px + py).clamp(min=0)
    side = torch.minimum(px**2 + (py - 1) ** 2, (px - fold) ** 2 + (py - fold) ** 2)
    flank = torch.sqrt(side + 1e-12) * torch.sign(px - py)
    return scale * torch.where(px + py > 1, lobe, flank)


def _folded(x, y, sectors):
    """The plane folded into one of `sectors` equal wedges around the upward axis."""
    step = 2 * math.pi / sectors
    angle = torch.atan2(x, -y)
    angle = angle - step * torch.round(angle / step)
    radius = _norm(x, y)
    return radius * torch.sin(angle), -radius * torch.cos(angle)


def layers_of(kind, x, y):
    """[(signed distance, paint)], back to front. Paint: 'main', 'dark', 'contrast' or a colour."""
    least = torch.minimum
    if kind == "circle":
        return [(_disc(x, y, 0, 0, 0.92), "main")]
    if kind == "square":
        return [(_box(x, y, 0, 0, 0.82, 0.82), "main")]
    if kind == "triangle":
        return [(_polygon(x, y, [(0, -0.95), (1.0, 0.78), (-1.0, 0.78)]), "main")]
    if kind == "star":
        return [(_polygon(x, y, _star_corners()), "main")]
    if kind == "heart":
        return [(_heart(x, y), "main")]
    if kind == "diamond":
        return [(_polygon(x, y, [(0, -1.0), (0.72, 0), (0, 1.0), (-0.72, 0)]), "main")]
    if kind == "cross":
        bars = least(_box(x, y, 0, 0, 0.92, 0.3), _box(x, y, 0, 0, 0.3, 0.92))
        return [(bars, "main")]
    if kind == "ring":
        return [((_norm(x, y) - 0.7).abs() - 0.23, "main")]
    if kind == "moon":
        return [(torch.maximum(_disc(x, y, 0, 0, 0.92), -_disc(x, y, 0.5, -0.12, 0.78)), "main")]
    if kind == "house":
        return [
            (_box(x, y, 0, 0.4, 0.66, 0.5), "main"),
            (_polygon(x, y, [(0, -0.95), (0.95, -0.08), (-0.95, -0.08)]), "dark"),
            (_box(x, y, 0, 0.6, 0.17, 0.3), "contrast"),
        ]
    if kind == "tree":
        crown = least(_disc(x, y, 0, -0.4, 0.52), _disc(x, y, -0.38, -0.02, 0.42))
        crown = least(crown, _disc(x, y, 0.38, -0.02, 0.42))
        return [(_box(x, y, 0, 0.6, 0.15, 0.36), "brown"), (crown, "main")]
    if kind == "sun":
        fx, fy = _folded(x, y, 8)
        return [(_box(fx, fy, 0, -0.8, 0.08, 0.18), "main"), (_disc(x, y, 0, 0, 0.52), "main")]
    if kind == "flower":
        fx, fy = _folded(x, y, 6)
        return [(_disc(fx, fy, 0, -0.58, 0.34), "main"), (_disc(x, y, 0, 0, 0.32), "heart of it")]
    if kind == "cat":
        ears = least(
            _polygon(x, y, [(-0.85, -0.95), (-0.12, -0.5), (-0.8, 0.1)]),
            _polygon(x, y, [(0.85, -0.95), (0.8, 0.1), (0.12, -0.5)]),
        )
        head = least(_disc(x, y, 0, 0.12, 0.8), ears)
        eyes = least(_disc(x, y, -0.32, 0.0, 0.13), _disc(x, y, 0.32, 0.0, 0.13))
        nose = _polygon(x, y, [(-0.13, 0.3), (0.13, 0.3), (0, 0.46)])
        return [(head, "main"), (eyes, "contrast"), (nose, "contrast")]
    raise ValueError(kind)


def _paint(paint, colour):
    main = COLOURS[colour]
    if paint == "main":
        return main
    if paint == "dark":
        return tuple(0.6 * c for c in main) if colour != "black" else (80, 80, 80)
    if paint == "contrast":
        return COLOURS["white" if colour in ("black", "brown", "purple", "blue") else "black"]
    if paint == "heart of it":
        return COLOURS["orange" if colour in ("yellow", "white") else "yellow"]
    return COLOURS[paint]


def grid(size):
    axis = (torch.arange(size, dtype=torch.float32) + 0.5) / size * 2 - 1
    return axis.view(1, 1, size), axis.view(1, size, 1)


def coverage(distance, radius, size):
    """Share of the pixel that is inside; distance in units of radius, radius in half pictures."""
    return (0.5 - distance * radius * size / 2).clamp(0, 1)


def silhouette(kind, cx, cy, radius, size):
    """[B, size, size]: how much of each pixel the object covers; cx, cy, radius: [B]."""
    gx, gy = grid(size)
    cx, cy, radius = (v.view(-1, 1, 1) for v in (cx, cy, radius))
    x, y = ((gx - cx) / radius).expand(-1, size, -1), ((gy - cy) / radius).expand(-1, -1, size)
    covered = [coverage(distance, radius, size) for distance, _ in layers_of(kind, x, y)]
    return torch.stack(covered).amax(0)


def render(scenes, size=128):
    """Scenes to [B, 3, size, size] in -1 to 1."""
    background = torch.tensor([COLOURS[s.background] for s in scenes], dtype=torch.float32)
    image = background.view(-1, 3, 1, 1).expand(-1, 3, size, size).clone()
    gx, gy = grid(size)
    for slot in range(max(len(s.objects) for s in scenes)):
        for kind in KINDS:
            rows = [
                i
                for i, s in enumerate(scenes)
                if slot < len(s.objects) and s.objects[slot].kind == kind
            ]
            if not rows:
                continue
            objects = [scenes[i].objects[slot] for i in rows]
            cx, cy, radius = (
                torch.tensor([getattr(o, name) for o in objects]).view(-1, 1, 1)
                for name in ("cx", "cy", "radius")
            )
            x = ((gx - cx) / radius).expand(-1, size, -1)
            y = ((gy - cy) / radius).expand(-1, -1, size)
            part = image[rows]
            for distance, paint in layers_of(kind, x, y):
                alpha = coverage(distance, radius, size).unsqueeze(1)
                colour = torch.tensor([_paint(paint, o.colour) for o in objects])
                part = part + alpha * (colour.view(-1, 3, 1, 1).float() - part)
            image[rows] = part
    return image / 127.5 - 1
