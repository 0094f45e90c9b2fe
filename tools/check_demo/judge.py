"""Measures a picture: colours, shapes, places; no learned parts, so its verdict can be followed."""

import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent / "train_demo"))
from scenes import RADIUS  # noqa: E402
from shapes import COLOURS, KINDS, silhouette  # noqa: E402

PATCH = 48  # pixels to which a silhouette is cut out and resized
MIN_OVERLAP = 0.7  # intersection over union with the template of its kind
MIN_AREA = 0.004  # of the picture: smaller specks are no object
FAR = 0.18  # half pictures from the middle, to count as left, right, top or bottom
NAMES = list(COLOURS)


def _lab(rgb):
    """[..., 3] sRGB 0..255 to CIE Lab (D65)."""
    c = np.asarray(rgb, dtype=np.float64) / 255
    c = np.where(c > 0.04045, ((c + 0.055) / 1.055) ** 2.4, c / 12.92)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = c @ to_xyz.T / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


PALETTE = _lab(np.array(list(COLOURS.values())))


def _nearest_colour(lab):
    return np.linalg.norm(lab[..., None, :] - PALETTE, axis=-1).argmin(-1)


@dataclass
class Found:
    colour: str
    kind: str
    overlap: float
    cx: float
    cy: float
    radius: float


def _cut(mask):
    """The object's bounding box, centred in a square and resized; None without an object."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    side = max(height, width)
    square = np.zeros((side, side), dtype=np.float32)
    y, x = (side - height) // 2, (side - width) // 2
    square[y : y + height, x : x + width] = mask[
        rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1
    ]
    image = Image.fromarray((square * 255).astype(np.uint8))
    patch = np.asarray(image.resize((PATCH, PATCH), Image.Resampling.BILINEAR)) / 255
    middle = (rows[0] + rows[-1] + 1) / 2, (columns[0] + columns[-1] + 1) / 2
    return patch, middle, side


@lru_cache
def _template(kind, radius):
    half = torch.tensor([0.0])
    mask = silhouette(kind, half, half, torch.tensor([radius]), 128)[0].numpy() > 0.5
    patch, _, side = _cut(mask)
    return patch, side / 2 / (radius * 64)  # extent in units of the radius


def _overlap(a, b):
    return float(np.minimum(a, b).sum() / np.maximum(a, b).sum())


def _shifted(patch, dx, dy):
    padded = np.pad(patch, 2)
    return padded[2 + dy : 2 + dy + PATCH, 2 + dx : 2 + dx + PATCH]


def _kind_of(mask):
    """The kind whose template fits best over small shifts, drawn at about the same size."""
    patch, middle, side = _cut(mask)
    best = (-1.0, "", 0.0)
    drawn_as = min(RADIUS.values(), key=lambda r: abs(r * 64 - side / 2))
    for kind in KINDS:
        template, extent = _template(kind, drawn_as)
        for dx in (-1, 0, 1):
            for dy in (-1, 0, 1):
                score = _overlap(patch, _shifted(template, dx, dy))
                best = max(best, (score, kind, side / 2 / extent))
    overlap, kind, radius = best
    return kind, overlap, middle, radius


def _without_specks(mask):
    """Only what survives a 3x3 median: lone pixels of an edge's mixed colours go."""
    padded = np.pad(mask.astype(np.int32), 1)
    height, width = mask.shape
    count = sum(padded[y : y + height, x : x + width] for y in range(3) for x in range(3))
    return mask & (count >= 5)


class Picture:
    def __init__(self, image):
        pixels = np.asarray(image.convert("RGB"))
        self.size = pixels.shape[0]
        self.lab = _lab(pixels)
        self.names = _nearest_colour(self.lab)
        edge = np.concatenate(
            [self.names[:3].ravel(), self.names[-3:].ravel(), self.names[:, :3].ravel(),
             self.names[:, -3:].ravel()]
        )  # fmt: skip
        behind = np.bincount(edge, minlength=len(NAMES)).argmax()
        self.background = NAMES[behind]
        ground = np.median(self.lab[self.names == behind], axis=0)
        self.foreground = _without_specks(np.linalg.norm(self.lab - ground, axis=-1) > 22)

    def find(self, region=None):
        """The object within region (a mask), or None."""
        mask = self.foreground if region is None else self.foreground & region
        if mask.mean() < MIN_AREA:
            return None
        kind, overlap, (cy, cx), radius = _kind_of(mask)
        inner = mask & (self.names != NAMES.index(self.background))
        counted = np.bincount(self.names[inner if inner.any() else mask], minlength=len(NAMES))
        half = self.size / 2
        return Found(
            NAMES[counted.argmax()], kind, overlap, cx / half - 1, cy / half - 1, radius / half
        )

    def half(self, side):
        region = np.zeros((self.size, self.size), dtype=bool)
        middle = self.size // 2
        rows = {"above": slice(0, middle), "below": slice(middle, None)}.get(side, slice(None))
        columns = {"left of": slice(0, middle), "right of": slice(middle, None)}
        region[rows, columns.get(side, slice(None))] = True
        return region


OPPOSITE = {"above": "below", "below": "above", "left of": "right of", "right of": "left of"}


def _faults_of_object(found, wanted):
    if found is None:
        return [f"no {wanted['kind']}"]
    faults = []
    if found.colour != wanted["colour"]:
        faults.append(f"{found.colour} for {wanted['colour']}")
    if found.kind != wanted["kind"]:
        faults.append(f"{found.kind} for {wanted['kind']}")
    elif found.overlap < MIN_OVERLAP:
        faults.append(f"{wanted['kind']} only {found.overlap:.2f}")
    return faults


def _side(value, low, high):
    return low if value < -FAR else high if value > FAR else ""


def _faults_of_place(found, wanted):
    faults = []
    for axis, value, low, high in (
        ("horizontal", found.cx, "left", "right"),
        ("vertical", found.cy, "top", "bottom"),
    ):
        side = _side(value, low, high)
        if side != wanted[axis]:
            faults.append(f"{side or 'middle'} for {wanted[axis] or 'middle'}")
    size = min(RADIUS, key=lambda name: abs(RADIUS[name] - found.radius))
    if size != wanted["size"]:
        faults.append(f"{size or 'medium'} for {wanted['size'] or 'medium'}")
    return faults


def faults(image, wanted):
    """What is wrong with the picture, in words; empty when all is right."""
    picture = Picture(image)
    wrong = []
    if picture.background != wanted["background"]:
        wrong.append(f"background {picture.background} for {wanted['background']}")
    if wanted["relation"]:
        sides = wanted["relation"], OPPOSITE[wanted["relation"]]
        for side, thing in zip(sides, wanted["objects"]):
            wrong += _faults_of_object(picture.find(picture.half(side)), thing)
        return wrong
    found = picture.find()
    wrong += _faults_of_object(found, wanted["objects"][0])
    if found is not None:
        wrong += _faults_of_place(found, wanted)
    return wrong
