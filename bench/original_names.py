#!/usr/bin/env python3
"""Writes transformer and text encoder of a snapshot as single files with the names stable-diffusion.cpp reads.

It knows the transformer by its original names alone, where q, k and v lie below each other in
attention.qkv.weight, and Qwen3 with "model." in front. The bytes of the weights stay as they are.

  bench/original_names.py SNAPSHOT OUT      writes OUT/transformer.safetensors, OUT/text_encoder.safetensors
"""

import json
import re
import shutil
import struct
import sys
from pathlib import Path

RENAMED = [
    (r"^all_x_embedder\.2-1\.", "x_embedder."),
    (r"^all_final_layer\.2-1\.", "final_layer."),
    (r"\.attention\.to_out\.0\.", ".attention.out."),
    (r"\.attention\.norm_([qk])\.", r".attention.\1_norm."),
]
QKV = re.compile(r"(.*\.attention\.)to_([qkv])\.weight$")


def header_of(file):
    with open(file, "rb") as f:
        size = struct.unpack("<Q", f.read(8))[0]
        entries = json.loads(f.read(size))
    entries.pop("__metadata__", None)
    return 8 + size, entries


def original(name):
    for pattern, replacement in RENAMED:
        name = re.sub(pattern, replacement, name)
    return name


def named(name, component):
    """Where a tensor goes: the name, and the place below others in it."""
    if component == "text_encoder":
        return name if name.startswith("model.") else f"model.{name}", 0
    fused = QKV.match(name)
    return (fused[1] + "qkv.weight", "qkv".index(fused[2])) if fused else (original(name), 0)


def parts_of(folder, component):
    """Name -> the (file, offset, bytes, entry) that lie below each other in it."""
    found = {}
    for file in sorted(Path(folder, component).glob("*.safetensors")):
        start, entries = header_of(file)
        for name, entry in entries.items():
            begin, end = entry["data_offsets"]
            key, order = named(name, component)
            found.setdefault(key, []).append((order, file, start + begin, end - begin, entry))
    return {key: [part[1:] for part in sorted(parts, key=lambda p: p[0])] for key, parts in sorted(found.items())}


def write(folder, component, out):
    parts, header, offset = parts_of(folder, component), {}, 0
    for name, pieces in parts.items():
        shapes = [piece[3]["shape"] for piece in pieces]
        rows = [sum(shape[0] for shape in shapes)] if len(pieces) > 1 else shapes[0][:1]
        size = sum(piece[2] for piece in pieces)
        header[name] = {"dtype": pieces[0][3]["dtype"], "shape": rows + shapes[0][1:],
                        "data_offsets": [offset, offset + size]}
        offset += size
    if shutil.disk_usage(out.parent).free < offset:
        raise SystemExit(f"{out}: needs {offset / 2**30:.1f} GiB of disk")
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(out, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for pieces in parts.values():
            for file, begin, size, _ in pieces:
                with open(file, "rb") as source:
                    source.seek(begin)
                    f.write(source.read(size))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__.strip())
    Path(sys.argv[2]).mkdir(parents=True, exist_ok=True)
    for part in ("transformer", "text_encoder"):
        write(sys.argv[1], part, Path(sys.argv[2], f"{part}.safetensors"))
