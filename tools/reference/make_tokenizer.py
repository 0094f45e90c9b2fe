"""Reference ids of Hugging Face tokenizers and transformers, written to tests/data/tokenizer/.

Run as: python tools/reference/make_tokenizer.py   (tokenizers 0.23, transformers 5.24)
Reads qwen3-tokenizer.json.xz there, writes corpus.bin.xz, small_tokenizer.json and golden.json.
"""

import json
import lzma
import pathlib
import random
import struct
import tempfile
import unicodedata

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import AutoTokenizer

DATA = pathlib.Path(__file__).resolve().parents[2] / "tests" / "data" / "tokenizer"

WORDS = """a an the cat dog astronaut riding horse on mars photograph of mountain lake sunset golden hour
cinematic lighting 8k ultra-detailed hyperrealistic portrait woman man child red blue green
oil painting style van Gogh bokeh f/1.8 35mm film grain neon signs reading "OPEN 24 HOURS" cyberpunk
city rain-soaked streets reflections Qwen tokenizer café naïve façade Übermensch smörgåsbord""".split()
CONTRACTIONS = [
    "'s",
    "'S",
    "'t",
    "'T",
    "'re",
    "'RE",
    "'rE",
    "'ve",
    "'VE",
    "'m",
    "'M",
    "'ll",
    "'LL",
    "'lL",
    "'d",
    "'D",
    "\u2019s",
    "\u2019LL",
    "'\u017f",
    "'x",
    "''s",
    "'\u212a",
    "'l",
    "'v",
]
SPACES = [
    " ",
    "\t",
    "\n",
    "\r",
    "\r\n",
    "\v",
    "\f",
    "\x1c",
    "\x1f",
    "\x85",
    "\xa0",
    "\u1680",
    "\u180e",
    *map(chr, range(0x2000, 0x200C)),
    "\u2028",
    "\u2029",
    "\u202f",
    "\u205f",
    "\u2060",
    "\u3000",
    "\ufeff",
]
EMOJI = [
    "😀",
    "👩‍🚀",
    "👨‍👩‍👧‍👦",
    "🏳️‍🌈",
    "🇩🇪",
    "🇯🇵🇫🇷",
    "👍🏽",
    "❤️",
    "1️⃣",
    "🧑🏿‍💻",
    "🏴󠁧󠁢󠁳󠁣󠁴󠁿",
    "☃",
    "✨",
    "🫨",
]
SCRIPTS = {
    "han": (0x4E00, 0x9FFF),
    "han extensions": (0x20000, 0x323AF),
    "kana": (0x3041, 0x30FF),
    "hangul": (0xAC00, 0xD7A3),
    "jamo": (0x1100, 0x11FF),
    "jamo extended": (0xA960, 0xD7FB),
    "arabic": (0x600, 0x6FF),
    "hebrew": (0x591, 0x5F4),
    "thai": (0xE01, 0xE5B),
    "devanagari": (0x900, 0x97F),
    "tamil": (0xB80, 0xBFF),
    "tibetan": (0xF00, 0xFDA),
    "cyrillic": (0x400, 0x52F),
    "greek": (0x370, 0x3FF),
    "greek extended": (0x1F00, 0x1FFF),
    "latin extended": (0xA0, 0x24F),
    "vietnamese": (0x1EA0, 0x1EFF),
    "marks": (0x300, 0x36F),
    "symbols": (0x2100, 0x2BFF),
    "compatibility": (0xF900, 0xFAFF),
    "presentation": (0xFB00, 0xFDFF),
    "musical": (0x1D100, 0x1D1FF),
    "mathematical": (0x1D400, 0x1D7FF),
    "control": (0, 0xA0),
    "kirat rai and neighbours": (0x16D40, 0x16D79),
    "gurung khema": (0x16100, 0x16139),
    "tulu-tigalari": (0x11380, 0x113E2),
    "todhri": (0x105C0, 0x105F3),
    "dives akuru": (0x11900, 0x11959),
    "cyrillic extended-d": (0x1E030, 0x1E08F),
    "nag mundari": (0x1E4D0, 0x1E4F9),
    "private": (0xE000, 0xE0FF),
    "tags": (0xE0000, 0xE007F),
}
CODE = [
    "def f(x):\n    return x ** 2  # squared\n",
    "for (int i = 0; i < n; ++i) {\n\tsum += a[i];\n}\n",
    '{"key": [1, 2.5e-3, null], "s": "\\u00e9\\n"}',
    "SELECT * FROM t WHERE a != 'b';\r\n",
    '<div class="x">&nbsp;</div>',
    "\\frac{a}{b} \\in \\mathbb{R}^n",
    "x=1;y=-2;;;z+=3!!!",
    "https://example.org/a?b=c&d=%20#e",
    "#!/bin/sh\n\n\nset -eu\n",
    "// ----- 0xDEADBEEF -----\n\n",
]

ASSIGNED = [c for c in range(0x110000) if unicodedata.category(chr(c)) not in ("Cs", "Cn", "Co")]
MARKS = [c for c in ASSIGNED if unicodedata.combining(chr(c))]
DIGITS = [c for c in ASSIGNED if unicodedata.category(chr(c)) in ("Nd", "Nl", "No")]
COMPOSED = [c for c in ASSIGNED if unicodedata.normalize("NFD", chr(c)) != chr(c)]


def fnv1a(ids):
    h = 0xCBF29CE484222325
    for byte in struct.pack(f"<{len(ids)}i", *ids):
        h = ((h ^ byte) * 0x100000001B3) % 2**64
    return h


def any_code_point(rng):
    plane = rng.choice([0, 0, 0, 1, 1, 2, 3, 14, 15, 16])
    code = plane * 0x10000 + rng.randrange(0x10000)
    return chr(code) if not 0xD800 <= code <= 0xDFFF else "\ufffd"


def piece(rng, added):
    """A few characters of one kind."""
    n = rng.randint(1, 6)
    some = lambda codes: "".join(chr(rng.choice(codes)) for _ in range(n))
    makers = [
        lambda: " ".join(rng.choice(WORDS) for _ in range(n)),
        lambda: rng.choice(WORDS) + rng.choice(CONTRACTIONS) + rng.choice(["", " ", "x", "S"]),
        lambda: "".join(rng.choice(SPACES) for _ in range(n)),
        lambda: rng.choice([" ", "\n", "\t", "\r\n", "\u3000"]) * rng.randint(1, 20),
        lambda: rng.choice(EMOJI) * rng.randint(1, 2),
        lambda: (
            "".join(chr(rng.randint(*SCRIPTS[script])) for _ in range(n))
            if (script := rng.choice(list(SCRIPTS))) != "jamo extended"
            else some(range(0xA960, 0xA97D))
        ),
        lambda: rng.choice(CODE),
        lambda: some(DIGITS),
        lambda: str(rng.randrange(10 ** rng.randint(1, 12))),
        lambda: some(ASSIGNED),
        lambda: "".join(any_code_point(rng) for _ in range(n)),
        lambda: rng.choice("aeioun\u1100\u0627\u0915\u30ab") + some(MARKS),
        lambda: unicodedata.normalize(rng.choice(["NFD", "NFC"]), some(COMPOSED)),
        lambda: "".join(rng.sample(unicodedata.normalize("NFD", some(COMPOSED)), k=1))
        + some(MARKS),
        lambda: "".join(chr(rng.randrange(32)) for _ in range(n)),
        lambda: rng.choice(added),
        lambda: rng.choice(added)[:-1] + rng.choice(["", ">", " >", "|"]),
        lambda: "".join(
            rng.choice("!?.,:;-_/\\|(){}[]<>@#$%^&*+=~`'\"\u2019\u2026\u2014\u300c\u3002")
            for _ in range(n)
        ),
    ]
    return rng.choice(makers)()


def corpus(added):
    rng = random.Random(20251124)
    texts = [""]
    texts += [chr(c) for c in range(0x300)]
    texts += ["x" + c + "y" for c in SPACES] + ["x " + c + " y" for c in SPACES]
    texts += ["a " + c + "b" for c in CONTRACTIONS] + EMOJI + CODE + added
    # Around every range that changed between Unicode versions, in a context that shows the class.
    for first, last in SCRIPTS.values():
        texts.append(
            "".join(
                f" {chr(c)}a{chr(c)}"
                for c in range(first, last + 1, max(1, (last - first) // 40))
                if not 0xD800 <= c <= 0xDFFF
            )
        )
    while len(texts) < 12000:
        texts.append("".join(piece(rng, added) for _ in range(rng.choice([1, 1, 2, 3, 4, 6]))))
    return texts


def without_added_tokens(tokenizer):
    plain = json.loads(tokenizer.to_str())
    plain["added_tokens"] = []
    return Tokenizer.from_str(json.dumps(plain))


def write_corpus(real, plain):
    added = [token["content"] for token in json.loads(real.to_str())["added_tokens"]]
    records = b""
    for text in corpus(added):
        ids = real.encode(text).ids
        data = text.encode()
        # Bytes, ids, hashes of encode and of encode_ordinary, the text.
        records += struct.pack(
            "<IIQQ", len(data), len(ids), fnv1a(ids), fnv1a(plain.encode(text).ids)
        )
        records += data
    write_xz(DATA / "corpus.bin.xz", records)


def character_hashes(plain):
    """One hash per 1024 characters of the planes that are in use: class and NFC of each shows."""
    hashes = []
    for first in [*range(0, 0x40000, 1024), *range(0xE0000, 0xE1000, 1024)]:
        text = "".join(
            f"{c}a{c} e{c}\u0323\u0301"
            for c in map(chr, range(first, first + 1024))
            if not "\ud800" <= c <= "\udfff"
        )
        hashes.append([first, str(fnv1a(plain.encode(text).ids))])
    return hashes


def write_xz(path, data):
    path.write_bytes(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))


def template_ids(real_json):
    prompts = [
        "",
        "a",
        "A cat.",
        "  leading and trailing  ",
        "\n\nline breaks first",
        "last\n",
        "\u0301mark",
        "一只猫坐在月球上",
        'Cyberpunk street, neon sign "咖啡" — 35mm, f/1.8',
        "🦊👩‍🚀",
        "a" * 300,
        "photo of a red apple on a wooden table, soft light\r\nsecond line\ttab",
        "<b>bold</b> <|x|>",
    ]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "tokenizer.json").write_text(real_json)
        template = (
            "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\\n' + message.content"
            " + '<|im_end|>' + '\\n' }}{%- endfor %}{%- if add_generation_prompt %}"
            "{{- '<|im_start|>assistant\\n' }}{%- endif %}"
        )
        (folder / "tokenizer_config.json").write_text(
            json.dumps(
                {
                    "tokenizer_class": "Qwen2Tokenizer",
                    "chat_template": template,
                    "eos_token": "<|im_end|>",
                    "pad_token": "<|endoftext|>",
                    "unk_token": None,
                }
            )
        )
        tokenizer = AutoTokenizer.from_pretrained(folder)
        encode = lambda prompt: tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}],
            tokenize=True,
            add_generation_prompt=True,
            return_dict=False,
        )
        return [[prompt, encode(prompt)] for prompt in prompts]


def small_tokenizer():
    """The same structure with few words, and added tokens with every flag."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    regex = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(regex), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.train_from_iterator(
        [" ".join(WORDS), "a cat and a dog on the table ; the red cat , the blue dog"] + CODE,
        trainers.BpeTrainer(
            vocab_size=400,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
            show_progress=False,
        ),
    )
    tokenizer.add_tokens(
        [
            AddedToken("<left>", lstrip=True, normalized=False),
            AddedToken("<right>", rstrip=True, normalized=False),
            AddedToken("<both>", lstrip=True, rstrip=True, normalized=False),
            AddedToken("<left><right>", normalized=False),
            AddedToken("e\u0301t\u00e9", normalized=True),
            AddedToken("na\u00efve", lstrip=True, normalized=True),
            AddedToken("two words", normalized=False),
            AddedToken(" <", normalized=False),
        ]
    )
    return tokenizer


SMALL_TEXTS = [
    "",
    "a cat on the table",
    "x <left> y",
    "x \u3000\n<left>y<right> \t z",
    "<both>  <both>",
    " <both> <left> a",
    "<left><right> a",
    "<left><left><right><right>",
    "\u00e9t\u00e9 e\u0301te\u0301 e\u0301t\u00e9",
    "so nai\u0308ve!",
    "  na\u00efvena\u00efve ",
    "two words two  words",
    "a <right> <right>   <b",
    "<right>   <both>\u180e<left>",
    "<|im_start|>user\na cat<|im_end|>",
    "<|im_start|<|im_end|>",
    "\x00<left>\x00",
    "\u0301<right>\u0301e\u0301",
    "<right> \n",
    "\n <left>",
    "e<left>\u0301",
    "\u1e9b\u0323 \u2126 \u212b",
    "<right> <b> <right>",
    "  <  <left <",
]

LISTED = [
    "Hello, world!",
    "a  b",
    "don't DON'T",
    "<think>ok</think>\n",
    "1234 ٣٤",
    "e\u0301 \u1112\u1161\u11ab",
    "日本語 텍스트",
    "\r\n \n\t x",
    "👩‍🚀",
    "\U0001e4d0\U0001e4f0 \u180e x",
]


def main():
    real_json = lzma.decompress((DATA / "qwen3-tokenizer.json.xz").read_bytes()).decode()
    real = Tokenizer.from_str(real_json)
    plain = without_added_tokens(real)
    write_corpus(real, plain)

    small = small_tokenizer()
    (DATA / "small_tokenizer.json").write_text(small.to_str(pretty=False) + "\n")
    # Words of the vocabulary that the first 40 merges do not build.
    whole = json.loads(small.to_str())
    whole["model"]["ignore_merges"] = True
    whole["model"]["merges"] = whole["model"]["merges"][:40]
    whole = Tokenizer.from_str(json.dumps(whole))
    rng = random.Random(1)
    cut = [[rng.randrange(151643) for _ in range(12)] for _ in range(10)]
    cut += [
        [rng.choice([149, 96, 172, 252, 241, 238, 86089, 254, 236, 64]) for _ in range(20)]
        for _ in range(20)
    ]
    golden = {
        "encode": [[text, real.encode(text).ids] for text in LISTED],
        "decode": [[ids, real.decode(ids, skip_special_tokens=False)] for ids in cut],
        "template": template_ids(real_json),
        "characters": character_hashes(plain),
        "small": [[text, small.encode(text).ids] for text in SMALL_TEXTS],
        "whole_words": [[text, whole.encode(text).ids] for text in SMALL_TEXTS + WORDS],
    }
    lines = ",\n".join(
        f'"{key}": [\n' + ",\n".join(map(json.dumps, part)) + "\n]" for key, part in golden.items()
    )
    (DATA / "golden.json").write_text("{\n" + lines + "\n}\n")


if __name__ == "__main__":
    main()
