"""The form of a caption: its words with kinds, colours, sizes and sides left open."""

import re

import words
from shapes import COLOURS, KINDS


def _any_of(table, names):
    known = {word for name in names for word in table.get(name, [name]) if word}
    return r"\b(" + "|".join(sorted(known, key=len, reverse=True)) + r")\b"


OPEN = [
    (_any_of(words.NAMES, KINDS), "KIND"),
    (_any_of(words.COLOURS, COLOURS), "COLOUR"),
    (_any_of(words.SIZES, words.SIZES), "SIZE"),
    (r"\b(top|bottom|upper|lower)\b", "ROW"),
    (r"\b(left|right)\b", "COLUMN"),
    (r"\ban\b", "a"),
]


def form_of(caption):
    """ "a small red star on blue." and "a big green cross on white" have the same form."""
    form = caption.lower().rstrip(".!?")
    for pattern, name in OPEN:
        form = re.sub(pattern, name, form)
    return form
