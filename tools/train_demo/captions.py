"""Says a scene in words: many wordings of the same picture, each drawn at random.

Most captions are of the plain kind ("a small red star on a blue background"); the others are there so
that the text encoder learns to read sentences rather than patterns.
"""

import words
from scenes import Scene


def _either(rng, probability):
    return rng.random() < probability


def _an(phrase):
    """With its indefinite article."""
    is_vowel = phrase[0] in "aeiou" and not phrase.startswith(("one", "uni"))
    return f"{'an' if is_vowel else 'a'} {phrase}"


def _colour(rng, name):
    return rng.choice(words.COLOURS.get(name, [name]))


def _determined(rng, phrase, keep):
    if not _either(rng, keep):
        return phrase
    if _either(rng, 0.88):
        return _an(phrase)
    return rng.choice(["the", "the", "one", "a single", "just one"]) + f" {phrase}"


def _afterthought(rng, colour, size):
    """Colour, size or both, said after the noun."""
    if colour and not size and _either(rng, 0.5):
        return rng.choice(
            [f" in {colour}"] * 3
            + [f" {rng.choice(words.COLOURED)} {colour}"] * 2
            + [f" whose {rng.choice(words.COLOUR)} is {colour}", f" with {colour} {rng.choice(words.COLOUR)}"]
            + [f" of the {rng.choice(words.COLOUR)} {colour}", f" made of {colour}"]
        )
    said = [word for word in (size, colour) if word]
    rng.shuffle(said)
    both = rng.choice([" and ", ", ", " "]).join(said)
    return rng.choice([f", {both}", f", {both},", f" which is {both}", f" ({both})", f" - {both}", f": {both}"])


def _object(rng, thing, size="", keep_article=0.75):
    """A noun phrase: "a small red star" or longer ways round."""
    name = rng.choice(words.NAMES.get(thing.kind, [thing.kind]))
    if _either(rng, 0.02):
        name = "shape"
    size = rng.choice(words.SIZES[size])
    colour = "" if _either(rng, 0.03) else _colour(rng, thing.colour)
    after = {"colour": colour if _either(rng, 0.16) else "", "size": size if _either(rng, 0.12) else ""}
    before = ["" if after["size"] else size, "" if after["colour"] else colour]
    if _either(rng, 0.1):
        before.reverse()
    if _either(rng, 0.06):
        before.insert(rng.randrange(3), rng.choice(words.PLAIN))
    phrase = _determined(rng, " ".join(w for w in (*before, name) if w), keep_article)
    return phrase + (_afterthought(rng, **after) if any(after.values()) else "")


def _place(rng, scene, canvas=""):
    """Where a lone object stands, with " of ..." when a canvas is named."""
    h, v = scene.horizontal, scene.vertical
    tail = f" of {canvas}" if canvas else ""
    if h and v:
        v_word = rng.choice([v, v, {"top": "upper", "bottom": "lower"}[v]])
        pair = rng.choice([f"{v_word} {h}", f"{v_word} {h}", f"{v_word}-{h}"])
        choices = [f"in the {pair} corner{tail}"] * 2 + [f"at the {pair}{tail}"]
        choices += [] if canvas else [f"in the {pair}", pair, f"{pair} corner", f"near the {pair}"]
    elif v:
        choices = [f"at the {v}{tail}"] * 3 + [f"near the {v}{tail}", f"close to the {v}{tail}"]
        choices += [] if canvas else [v, f"at the very {v}", f"towards the {v}"]
    elif h:
        choices = [f"on the {h}{tail}", f"on the {h} side{tail}", f"near the {h} edge{tail}"]
        choices += [] if canvas else [f"on the {h}", f"to the {h}", f"at the {h}", h, f"far {h}"]
    else:
        middle = rng.choice(["center", "centre", "middle"])
        choices = [f"in the {middle}{tail}"] * 2 + [f"at the {middle}{tail}"]
    return rng.choice(choices)


def _ground(rng):
    plain = f"{rng.choice(words.PLAIN)} " if _either(rng, 0.06) else ""
    return plain, rng.choice(words.GROUNDS)


def _background(rng, name):
    """After the object: how the background is said."""
    colour, (plain, ground) = _colour(rng, name), _ground(rng)
    a_ground = _an(f"{plain}{colour} {ground}")
    if _either(rng, 0.45):
        return f" on {a_ground}"
    return rng.choice(
        [f" on {colour}", f" on {colour} {ground}", f" against {a_ground}", f" with {a_ground}"]
        + [f" over {a_ground}", f" in front of {a_ground}", f" and {a_ground}", f", {colour} {ground}"]
        + [f", the {ground} is {colour}", f", {ground}: {colour}", f". The {ground} is {colour}"]
        + [f"; {colour} {ground}", f" before {a_ground}", f", all on {colour}", f" and {colour} behind it"]
        + [f" surrounded by {colour}", f", everything else is {colour}", f", the rest {colour}"]
        + [f" on a {ground} in {colour}", f" on a {ground} that is {colour}", f" ({colour} {ground})"]
        + [f" in {_an(colour)} {rng.choice(words.CANVASES)}", f", and the {ground} {colour}"]
        + [f" on {colour} paper", f", with the {ground} in {colour}", f", make the {ground} {colour}"]
    )


def _background_first(rng, name, rest):
    colour, (plain, ground) = _colour(rng, name), _ground(rng)
    a_ground = _an(f"{plain}{colour} {ground}")
    there = rng.choice(["", "", "there is ", "we see "])
    return rng.choice(
        [f"{colour} {ground} with {rest}", f"{a_ground} with {rest}", f"{a_ground} and {rest}"]
        + [f"on {a_ground}, {there}{rest}", f"on {a_ground} {there}{rest}", f"{colour} {ground}, {rest}"]
        + [f"the {ground} is {colour}, {there}{rest}", f"{ground}: {colour}, {rest}"]
        + [f"the {ground} is {colour}, and on it {there}{rest}", f"{a_ground}; {there}{rest}"]
        + [f"{a_ground}. {there}{rest}", f"{ground} in {colour}, {rest}", f"{ground} {colour}: {rest}"]
        + [f"in front of {a_ground} {there}{rest}", f"over {colour}, {rest}", f"against {colour} {rest}"]
        + [f"{_an(colour)} {rng.choice(words.CANVASES)} with {rest}", f"{colour}, and on top {rest}"]
        + [f"the {ground} has to be {colour}, with {rest}", f"{rest}, and the {ground} should be {colour}"]
        + [ f"all {colour}, but {rest}"]
        + [f"{colour} all around {rest}", f"{colour} at the back, {rest}"]
        + [f"make the {ground} {colour} and add {rest}", f"on {colour} paper {there}{rest}"]
    )


def _with_place(rng, thing, place):
    return rng.choice(
        [f"{thing} {place}"] * 5
        + [f"{thing}, {place}", f"{thing} {rng.choice(['placed', 'located', 'sitting', 'standing'])} {place}"]
        + [f"{thing} that is {place}", f"{thing} ({place})", f"{place} {thing}", f"{place}: {thing}"]
        + [f"{place}, {thing}", f"{place} there is {thing}", f"{thing}, put {place}"]
    )


def _lone(rng, scene):
    thing = _object(rng, scene.objects[0], scene.size)
    is_placed = scene.horizontal or scene.vertical or _either(rng, 0.2)
    if is_placed and _either(rng, 0.08):  # the canvas has the colour of the background
        canvas = f"{_an(_colour(rng, scene.background))} {rng.choice(words.CANVASES)}"
        return _with_place(rng, thing, _place(rng, scene, canvas))
    canvas = f"the {rng.choice(words.CANVASES)}" if _either(rng, 0.15) else ""
    place = _place(rng, scene, canvas) if is_placed else ""
    placed = _with_place(rng, thing, place) if place else thing
    if _either(rng, 0.08):
        return placed
    style = rng.random()
    if style < 0.45 or (style < 0.7 and not place):
        return placed + _background(rng, scene.background)
    if style < 0.7:
        return f"{thing}{_background(rng, scene.background)}{rng.choice([' ', ', '])}{place}"
    return _background_first(rng, scene.background, placed)


def _said_apart(rng, scene):
    """Attributes one after the other, as in a list or in short sentences."""
    said = []
    for thing in scene.objects:
        name, colour = rng.choice(words.NAMES.get(thing.kind, [thing.kind])), _colour(rng, thing.colour)
        said.append((name, colour))
    ground = _colour(rng, scene.background)
    if len(said) == 1:
        (name, colour), size = said[0], rng.choice(words.SIZES[scene.size])
        place = _place(rng, scene) if scene.horizontal or scene.vertical else ""
        facts = [f"{rng.choice(words.COLOUR)}: {colour}", f"background: {ground}"]
        facts += [f"size: {size}"] if size else []
        facts += [f"place: {place}"] if place else []
        rng.shuffle(facts)
        there = f" {place}" if place else ""
        sized = f"{size} {name}" if size else name
        return rng.choice(
            [", ".join([f"shape: {name}", *facts])]
            + [f"{_an(sized)}{there}. It is {colour}. The background is {ground}"]
            + [f"the {sized}{there} is {colour}, the background {ground}"]
            + [f"{_an(sized)}{there}, its colour is {colour}, on {ground}"]
            + [f"{colour} is the {sized}{there} and {ground} is the background"]
            + [f"{ground} is the background, {colour} the {sized}{there}"]
        )
    (one, first), (two, second) = said
    relation = rng.choice(words.RELATIONS[scene.relation])
    return rng.choice(
        [f"{_an(one)} {relation} {_an(two)}, the {one} {first}, the {two} {second}, on {ground}"]
        + [f"{_an(one)} {relation} {_an(two)}. The {two} is {second}, the {one} is {first}. {ground} background"]
        + [f"on {ground}: {one} ({first}) {relation} {two} ({second})"]
        + [f"{ground} background; {one} in {first} {relation} {two} in {second}"]
        + [f"the {one} is {first} and {relation} the {two}, which is {second}, {ground} background"]
    )


def _related(rng, first, second, relation):
    """Two noun phrases and how they stand to each other."""
    style = rng.random()
    if style < 0.5:
        verb = rng.choice(["", "", "", "", "is ", "sits ", "stands ", "placed ", "right " if relation in ("above", "below") else ""])
        return f"{first} {verb}{rng.choice(words.RELATIONS[relation])} {second}"
    if style < 0.6:
        verb = rng.choice(["", ", ", " is ", " sits ", " we see ", " you find "])
        front = f"{rng.choice(words.RELATIONS[relation])} {second}"
        return f"{front}{verb or ' '}{first}"
    facing = rng.choice(words.FACING[relation])
    if style < 0.7:
        return rng.choice([f"{second} with {first} {facing}", f"{second} and {facing} {first}", f"{second}, {facing} {first}"])
    if relation not in words.ENDS:
        first, second, relation = second, first, words.INVERSE[relation]
    if relation == "left of" and style < 0.82:  # in reading order
        return f"{first}{rng.choice([' and ', ' and ', ' next to ', ' beside ', ', then ', ' followed by '])}{second}"
    here, there = (rng.choice(ways) for ways in words.ENDS[relation])
    sides = [(first, here), (second, there)]
    if _either(rng, 0.25):
        sides.reverse()
    joint = rng.choice([" and ", ", ", "; ", ", and ", " while "])
    if _either(rng, 0.6):
        return joint.join(f"{thing} {end}" for thing, end in sides)
    return joint.join(f"{end}{rng.choice([' ', ' ', ' is ', ': '])}{thing}" for thing, end in sides)


def _couple(rng, scene):
    first, second = scene.objects
    relation = scene.relation
    if _either(rng, 0.4):
        first, second, relation = second, first, words.INVERSE[relation]
    pair = _related(rng, *(_object(rng, o, keep_article=0.8) for o in (first, second)), relation)
    if _either(rng, 0.08):
        return pair
    if _either(rng, 0.65):
        return pair + _background(rng, scene.background)
    return _background_first(rng, scene.background, pair)


def _unknown_word(rng):
    """Any letters, so that words nobody taught the model do not throw it off."""
    return "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 8)))


def with_filler(rng, phrase):
    fillers = rng.sample(words.FILLERS, rng.randint(1, 3))
    if _either(rng, 0.3):
        fillers[0] = _unknown_word(rng)
    fillers = ", ".join(fillers)
    return rng.choice([f"{phrase}, {fillers}", f"{fillers}, {phrase}", f"{fillers} {phrase}"])


def _with_noise(rng, phrase):
    """One or two words too many, or a little word too few."""
    parts = phrase.split(" ")
    for _ in range(rng.randint(1, 2)):
        place = rng.randrange(len(parts) + 1)
        if _either(rng, 0.3) and place < len(parts) and parts[place] in ("a", "an", "the", "is", "and"):
            del parts[place]
        else:
            parts.insert(place, rng.choice(words.EMPTY) if _either(rng, 0.8) else _unknown_word(rng))
    return " ".join(parts)


def caption(rng, scene: Scene, wordy=False):
    if _either(rng, 0.06):
        phrase = _said_apart(rng, scene)
    else:
        phrase = _couple(rng, scene) if len(scene.objects) == 2 else _lone(rng, scene)
    if _either(rng, 0.15):
        phrase = f"{rng.choice(words.PREFIXES)} {phrase}"
    if _either(rng, 0.12):
        phrase = _with_noise(rng, phrase)
    if wordy or _either(rng, 0.05):
        phrase = with_filler(rng, phrase)
    if _either(rng, 0.15):
        phrase = phrase[0].upper() + phrase[1:]
    if _either(rng, 0.12):
        phrase += rng.choice([".", ".", ".", "!", "?"])
    return phrase
