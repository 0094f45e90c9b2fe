"""The words that captions are made of; a word that stands twice is drawn twice as often."""

NAMES = {
    "circle": ["circle", "circle", "circle", "disc", "dot"],
    "diamond": ["diamond", "diamond", "diamond", "rhombus"],
    "cross": ["cross", "cross", "cross", "plus sign"],
    "moon": ["moon", "moon", "crescent", "crescent moon"],
    "cat": ["cat", "cat", "cat face"],
}
COLOURS = {
    "gray": ["gray", "grey"],
    "purple": ["purple", "purple", "purple", "violet"],
    "cyan": ["cyan", "cyan", "cyan", "turquoise"],
}
SIZES = {
    "": [""],
    "small": ["small", "small", "small", "little", "tiny", "very small"],
    "big": ["big", "big", "big", "large", "large", "huge", "very large"],
}
COLOUR = ["colour", "color"]
COLOURED = ["coloured", "colored", "painted", "filled with"]
GROUNDS = ["background"] * 9 + ["backdrop"] * 2
CANVASES = ["background", "image", "canvas", "drawing", "scene"]
PLAIN = ["plain", "solid", "simple", "flat", "uniform", "clean", "nice", "pretty", "beautiful"]
PREFIXES = [
    "a picture of", "an image of", "a drawing of", "an illustration of", "a painting of",
    "a sketch of", "an icon of", "a simple drawing of", "a picture with", "an image showing",
    "a picture that shows", "an icon:", "picture:", "drawing:", "illustration with", "image of",
    "draw", "show", "show me", "paint", "please draw", "make", "make me", "create", "generate",
    "give me", "render", "I would like", "I'd like to see", "I need", "let us see", "we see",
    "you see", "there is", "here is", "this is", "it shows", "could you paint", "would you draw",
    "can you make", "I want", "a photo of", "now", "just", "only", "simply",
]  # fmt: skip
FILLERS = [
    "simple", "flat", "nice", "beautiful", "minimalist", "vector art", "high quality", "please",
    "cute", "clean", "icon", "poster", "sticker", "solid", "sharp", "detailed", "plain style",
    "4k", "lovely", "graphic design", "for children", "geometric", "paper cut", "logo",
]  # fmt: skip
EMPTY = [
    "of", "the", "a", "and", "with", "it", "is", "that", "in", "its", "some", "just", "really",
    "so", "at", "on", "to", "there", "here", "one", "all", "be", "are", "has", "kind", "also",
]  # fmt: skip
RELATIONS = {
    "above": ["above", "above", "above", "over", "on top of", "atop", "higher than"],
    "below": ["below", "below", "below", "under", "beneath", "underneath", "lower than"],
    "left of": ["left of", "to the left of", "on the left of", "on the left side of"],
    "right of": ["right of", "to the right of", "on the right of", "on the right side of"],
}
INVERSE = {"above": "below", "below": "above", "left of": "right of", "right of": "left of"}
FACING = {  # "... and ADVERB another"
    "above": ["above it", "over it", "on top"],
    "below": ["below it", "under it", "underneath"],
    "left of": ["to its left", "on its left", "left of it"],
    "right of": ["to its right", "on its right", "right of it"],
}
ENDS = {
    "above": (["at the top", "in the upper half"], ["at the bottom", "in the lower half"]),
    "left of": (["on the left", "on the left side"], ["on the right", "on the right side"]),
}
