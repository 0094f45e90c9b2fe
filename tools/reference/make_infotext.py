"""Writes tests/data/infotext/cases.json: texts about pictures and what A1111's web UI reads in them.

The reader below goes by the regular expression and the rules that the web UI documents: the last line
holds parameters where it has three pairs or more, values that are JSON strings are unquoted.
"""

import json
import re
from pathlib import Path

DATA = Path(__file__).resolve().parents[2] / "tests" / "data" / "infotext"
PAIR = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')

PARAMETERS = [
    ["Steps", "9"],
    ["Sampler", "Euler"],
    ["Schedule type", "Simple"],
    ["CFG scale", "1"],
    ["Seed", "18446744073709551615"],
    ["Size", "1024x768"],
    ["Model", "turbo"],
    ["Version", "zimage 0.1.0"],
]

# What format_infotext() writes, to be read back by the reader below: prompt, negative prompt, parameters.
WRITTEN = [
    ["a cat", "", PARAMETERS],
    ["a cat\nin a hat", "blurry\nbad", PARAMETERS],
    ["", "", PARAMETERS],
    ["", "blurry", PARAMETERS],
    ["一只猫，戴着帽子 🐈", "模糊: 很", PARAMETERS],
    ["Steps: 4, Sampler: Euler, Seed: 1", "", PARAMETERS],
    ["a\nSteps: 4, Sampler: Euler, Seed: 1", "Steps: 4, Size: 1x1, Seed: 2", PARAMETERS],
    ["{json: [1, 2]}, \"quoted\", back\\slash", "", PARAMETERS],
    ["a", "", PARAMETERS[:2] + [["Model", "C:\\models\\z, \"best\": v1\nline two"]]],
    ["a", "", PARAMETERS[:2] + [["Model", "\"whole\""], ["ENSD/x-y", ""], ["Ünïcode 键", "，："]]],
    ["a", "", PARAMETERS[:2] + [["Model", " space at the ends "], ["Tab", "a\tb"], ["End", "\\"]]],
]

# Other texts, damaged ones among them.
FOREIGN = [
    "a cat",
    "",
    "a cat, red: yes, Seed: 5",
    "one: 1, two: 2, three: 3",
    "一只猫，颜色: 红, 风格: 水彩, 光: 暖",
    "一只猫\n颜色: 红, 风格: 水彩, 光线: 暖",
    "a\nNegative prompt: b\nSteps: 20, Sampler: DPM++ 2M, CFG scale: 7, Seed: 965400086, Size: 512x512",
    "a\n  Negative prompt:b\nc\nSteps: 20, Sampler: Euler a, Seed: 1\n\n",
    "Steps: 1, Sampler: \"a, b\", Lora hashes: \"x: 1, y: 2\", Version: v1.7",
    "Steps: 1, Open: \"never closed, Seed: 3, Size: 1x1",
    "Steps: 1, Odd: \"a\"b, Seed: 3, Empty: \"\", Escape: \"\\q\", Last: \"x\\",
    "Steps: 1,, , Seed:2,Size:   3x3,Trail: x ,",
    "a:1, b:2, c:3, dd:4, ee:5",
    "Steps:\u30001, Seed:\u00a02, Wide　space: 3",
    "x-y/z: 1, _under: 2, 9lives: 3, -bad: 4, ½ cup: 5",
    "SDCPP: {\"a\": [1, 2], \"b\": \"c\"}, Steps: 1, Seed: 2",
    "https://example.com: a, b: c, Steps: 1",
]


def unquote(value):
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def read(text):
    *lines, last = text.strip().split("\n")
    pairs = PAIR.findall(last)
    if len(pairs) < 3:
        lines.append(last)
        pairs = []
    prompt, negative = [], []
    target = prompt
    for line in lines:
        line = line.strip()
        if line.startswith("Negative prompt:"):
            target = negative
            line = line[len("Negative prompt:") :].strip()
        target.append(line)
    parameters = [[key, unquote(value)] for key, value in pairs]
    return {"text": text, "prompt": "\n".join(prompt), "negative_prompt": "\n".join(negative), "parameters": parameters}


def quote(value):
    if value and (re.search(r'[,:"\x00-\x1f]', value) or value != value.strip()):
        return json.dumps(value, ensure_ascii=False)
    return value


def write(prompt, negative, parameters):
    lines = [prompt] if prompt else []
    lines += ["Negative prompt: " + negative] if negative else []
    return "\n".join(lines + [", ".join(f"{key}: {quote(value)}" for key, value in parameters)])


def main():
    written = [read(write(*case)) for case in WRITTEN]
    for case, (prompt, negative, parameters) in zip(written, WRITTEN):
        assert (case["prompt"], case["negative_prompt"], case["parameters"]) == (prompt, negative, parameters), case
    cases = {"written": written, "foreign": [read(text) for text in FOREIGN]}
    DATA.mkdir(parents=True, exist_ok=True)
    (DATA / "cases.json").write_text(json.dumps(cases, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
