"""Says a scene in words: many wordings of the same picture, each drawn at random."""

from scenes import Scene

NAMES = {
    "circle": ["circle", "circle", "circle", "disc", "dot"],
    "diamond": ["diamond", "diamond", "diamond", "rhombus"],
    "cross": ["cross", "cross", "cross", "plus sign"],
    "moon": ["moon", "moon", "crescent", "crescent moon"],
    "cat": ["cat", "cat", "cat face"],
    "sun": ["sun"],
    "flower": ["flower"],
}
COLOUR_WORDS = {
    "gray": ["gray", "grey"],
    "purple": ["purple", "purple", "purple", "violet"],
    "cyan": ["cyan", "cyan", "cyan", "turquoise"],
}
SIZE_WORDS = {
    "": [""],
    "small": ["small", "small", "small", "little", "tiny"],
    "big": ["big", "big", "big", "large", "large", "huge"],
}
BACKDROPS = ["background"] * 6 + ["backdrop"]
CANVASES = ["picture", "image", "background"]
PREFIXES = [
    "a picture of ",
    "an image of ",
    "a drawing of ",
    "an illustration of ",
    "draw ",
    "show ",
    "show me ",
    "there is ",
    "picture: ",
]
FILLERS = [
    "simple", "flat", "nice", "beautiful", "minimalist", "vector art", "high quality", "please",
    "cute", "clean", "icon", "poster", "sticker", "solid", "sharp", "detailed", "plain style",
    "4k", "lovely", "graphic design", "for children", "geometric", "paper cut", "logo",
]  # fmt: skip
RELATION_WORDS = {
    "above": ["above", "above", "over", "on top of"],
    "below": ["below", "below", "under", "beneath", "underneath"],
    "left of": ["left of", "to the left of", "on the left of", "on the left side of"],
    "right of": ["right of", "to the right of", "on the right of", "on the right side of"],
}
INVERSE = {"above": "below", "below": "above", "left of": "right of", "right of": "left of"}
ENDS = {
    "above": ("at the top", "at the bottom"),
    "below": ("at the bottom", "at the top"),
    "left of": ("on the left", "on the right"),
    "right of": ("on the right", "on the left"),
}


def _colour(rng, name):
    return rng.choice(COLOUR_WORDS.get(name, [name]))


def _with_article(rng, words, keep=0.75):
    if rng.random() > keep:
        return words
    article = rng.choices(["a", "the", "one"], [0.9, 0.06, 0.04])[0]
    if article == "a" and words[0] in "aeiou" and not words.startswith("one"):
        article = "an"
    return f"{article} {words}"


def _object(rng, thing, size="", keep_article=0.75):
    name = rng.choice(NAMES.get(thing.kind, [thing.kind]))
    size = rng.choice(SIZE_WORDS[size])
    colour = "" if rng.random() < 0.04 else _colour(rng, thing.colour)
    if colour and rng.random() < 0.06:
        words = f"{size} {name} in {colour}" if rng.random() < 0.7 else f"{size} {name}, {colour}"
    elif size and rng.random() < 0.12:
        words = f"{colour} {size} {name}"
    elif rng.random() < 0.02:
        words = f"{size} {colour} shape"
    else:
        words = f"{size} {colour} {name}"
    return _with_article(rng, " ".join(words.split()), keep_article)


def _place(rng, scene, canvas):
    """Where a lone object stands, with " of ..." when a canvas is named."""
    h, v = scene.horizontal, scene.vertical
    tail = f" of {canvas}" if canvas else ""
    if h and v:
        v_word = rng.choice([v, v, {"top": "upper", "bottom": "lower"}[v]])
        pair = rng.choice([f"{v_word} {h}", f"{v_word} {h}", f"{v_word}-{h}"])
        if canvas:
            return f"in the {pair} corner{tail}"
        return rng.choice(
            [f"in the {pair} corner", f"in the {pair} corner", f"in the {pair}", f"at the {pair}",
             pair, f"{pair} corner"]
        )  # fmt: skip
    if v:
        if canvas:
            return f"at the {v}{tail}"
        return rng.choice([f"at the {v}", f"at the {v}", f"near the {v}", v, f"at the very {v}"])
    if h:
        if canvas:
            return rng.choice([f"on the {h}{tail}", f"on the {h} side{tail}"])
        return rng.choice(
            [f"on the {h}", f"on the {h}", f"on the {h} side", f"to the {h}", f"at the {h}", h]
        )
    middle = rng.choice(["center", "centre", "middle"])
    return f"in the {middle}{tail}"


def _background(rng, name):
    """After the object: how the background is said."""
    colour, word = _colour(rng, name), rng.choice(BACKDROPS)
    return rng.choice(
        [f" on a {colour} {word}"] * 5
        + [f" on {colour}", f" on {colour} {word}", f" against a {colour} {word}"]
        + [f" with a {colour} {word}", f" over a {colour} {word}", f", {colour} {word}"]
        + [f", {word} {colour}", f", the {word} is {colour}", f" in front of a {colour} {word}"]
        + [f" and a {colour} {word}"]
    ).replace(" a orange", " an orange")


def _background_first(rng, name, rest):
    colour, word = _colour(rng, name), rng.choice(BACKDROPS)
    return rng.choice(
        [
            f"{colour} {word} with {rest}",
            f"a {colour} {word} with {rest}",
            f"a {colour} {word} and {rest}",
            f"on a {colour} {word}, {rest}",
            f"on a {colour} {word} {rest}",
            f"{colour} {word}, {rest}",
            f"the {word} is {colour}, {rest}",
            f"{word}: {colour}, {rest}",
        ]
    ).replace("a orange", "an orange")


def _lone(rng, scene):
    name = scene.background if rng.random() > 0.15 else ""
    thing = _object(rng, scene.objects[0], scene.size)
    is_placed = scene.horizontal or scene.vertical or rng.random() < 0.2
    if not is_placed:
        place = ""
    elif name and rng.random() < 0.15:
        colour = _colour(rng, name)
        canvas = f"a {colour} {rng.choice(CANVASES)}".replace(" a orange", " an orange")
        return f"{thing} {_place(rng, scene, canvas)}"
    else:
        canvas = f"the {rng.choice(CANVASES)}" if rng.random() < 0.2 else ""
        place = _place(rng, scene, canvas)
    joint = rng.choice([" ", " ", ", "])
    placed = f"{thing}{joint}{place}" if place else thing
    if not name:
        return f"{place}, {thing}" if place and rng.random() < 0.1 else placed
    style = rng.random()
    if style < 0.45:
        return placed + _background(rng, name)
    if style < 0.7:
        behind = _background(rng, name)
        return f"{thing}{behind}{joint}{place}" if place else thing + behind
    if style < 0.78 and place:
        return f"{place}, {thing}{_background(rng, name)}"
    return _background_first(rng, name, placed)


def _couple(rng, scene):
    first, second = scene.objects
    relation = scene.relation
    if rng.random() < 0.4:
        first, second, relation = second, first, INVERSE[relation]
    first, second = (_object(rng, o, keep_article=0.8) for o in (first, second))
    style = rng.random()
    if style < 0.15:
        here, there = ENDS[relation]
        joint = rng.choice([" and ", ", "])
        if rng.random() < 0.6:
            words = f"{first} {here}{joint}{second} {there}"
        else:
            words = f"{here} {first}{joint}{there} {second}"
    elif style < 0.27 and relation == "left of":  # in reading order
        words = f"{first} {rng.choice(['and', 'and', 'next to', 'beside'])} {second}"
    else:
        words = f"{first} {rng.choice(RELATION_WORDS[relation])} {second}"
    if rng.random() < 0.15:
        return words
    if rng.random() < 0.65:
        return words + _background(rng, scene.background)
    return _background_first(rng, scene.background, words)


def _unknown_word(rng):
    """Any letters, so that words nobody taught the model do not throw it off."""
    return "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 8)))


def with_filler(rng, words):
    fillers = rng.sample(FILLERS, rng.randint(1, 3))
    if rng.random() < 0.3:
        fillers[0] = _unknown_word(rng)
    fillers = ", ".join(fillers)
    return rng.choice([f"{words}, {fillers}", f"{fillers}, {words}", f"{fillers} {words}"])


def caption(rng, scene: Scene, wordy=False):
    words = _couple(rng, scene) if len(scene.objects) == 2 else _lone(rng, scene)
    if rng.random() < 0.12:
        words = rng.choice(PREFIXES) + words
    if wordy or rng.random() < 0.05:
        words = with_filler(rng, words)
    if rng.random() < 0.15:
        words = words[0].upper() + words[1:]
    if rng.random() < 0.1:
        words += "."
    return words
