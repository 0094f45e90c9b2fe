"""What a picture shows: objects with colour, place and size on a plain background."""

from dataclasses import dataclass

from shapes import COLOURS, SHAPES, THINGS

# Radius in half pictures.
RADIUS = {"small": 0.24, "": 0.42, "big": 0.66}
PAIR_RADIUS = 0.33
RELATIONS = ["above", "below", "left of", "right of"]

# (colour, kind, background): never drawn for training, so that the check can ask for them.
HELD_OUT = {
    ("red", "star", "blue"),
    ("green", "heart", "yellow"),
    ("blue", "circle", "white"),
    ("yellow", "triangle", "purple"),
    ("purple", "square", "orange"),
    ("orange", "ring", "black"),
    ("pink", "diamond", "green"),
    ("cyan", "cross", "red"),
    ("white", "moon", "brown"),
    ("black", "heart", "cyan"),
    ("brown", "square", "pink"),
    ("gray", "triangle", "yellow"),
    ("yellow", "star", "black"),
    ("red", "house", "green"),
    ("orange", "cat", "cyan"),
    ("pink", "flower", "gray"),
}


@dataclass
class Object:
    kind: str
    colour: str
    cx: float = 0.0  # -1 left or top, 1 right or bottom
    cy: float = 0.0
    radius: float = 0.42


@dataclass
class Scene:
    objects: list
    background: str
    size: str = ""  # of a lone object: "", "small", "big"
    horizontal: str = ""  # "", "left", "right"
    vertical: str = ""  # "", "top", "bottom"
    relation: str = ""  # of the first of two objects to the second


def _kind(rng, share_of_things):
    return rng.choice(THINGS if rng.random() < share_of_things else SHAPES)


def _collides(kind, colour, background):
    """Parts of fixed colour would vanish on such a background."""
    if colour == background or (colour, kind, background) in HELD_OUT:
        return True
    return kind == "tree" and "brown" in (colour, background)


def _single(rng):
    while True:
        kind, colour = _kind(rng, 0.28), rng.choice(list(COLOURS))
        background = rng.choice(list(COLOURS))
        if not _collides(kind, colour, background):
            break
    size = rng.choices(["", "small", "big"], [0.5, 0.3, 0.2])[0]
    horizontal = vertical = ""
    if rng.random() < 0.6:
        places = [(h, v) for h in ("left", "", "right") for v in ("top", "", "bottom")]
        horizontal, vertical = rng.choice(places)
    radius = RADIUS[size] * rng.uniform(0.97, 1.03)
    reach = min(0.5, 0.96 - radius)
    sign = {"left": -1, "top": -1, "": 0, "right": 1, "bottom": 1}
    centre = [sign[word] * reach + rng.uniform(-0.02, 0.02) for word in (horizontal, vertical)]
    return Scene([Object(kind, colour, *centre, radius)], background, size, horizontal, vertical)


def _pair(rng):
    while True:
        kinds = [_kind(rng, 0.15) for _ in range(2)]
        colours = rng.sample(list(COLOURS), 3)
        background = colours.pop()
        if not any(_collides(k, c, background) for k, c in zip(kinds, colours)):
            break
    relation = rng.choice(RELATIONS)
    along = rng.uniform(0.46, 0.49) * (-1 if relation in ("above", "left of") else 1)
    objects = []
    for kind, colour, place in zip(kinds, colours, (along, -along)):
        across = rng.uniform(-0.02, 0.02)
        centre = (across, place) if relation in ("above", "below") else (place, across)
        objects.append(Object(kind, colour, *centre, PAIR_RADIUS * rng.uniform(0.97, 1.03)))
    return Scene(objects, background, relation=relation)


def sample_scene(rng, share_of_pairs=0.4):
    return _pair(rng) if rng.random() < share_of_pairs else _single(rng)
