"""A file of every type of GGUF that is read, and what the gguf package makes of it.

Needs gguf 0.19.0 from PyPI (pip install --no-deps gguf; it uses numpy alone here). Blocks are random
bytes whose scales are set: one each is zero, the largest, the smallest and a negative half.
"""
import pathlib

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from safetensors.numpy import save_file

DATA = pathlib.Path(__file__).resolve().parents[2] / "tests/data/gguf"
CORPUS = pathlib.Path(__file__).resolve().parents[2] / "fuzz/corpus/gguf"

# Where the halves that scale a block are, in bytes from its start.
HALVES = {
    Type.Q4_0: [0], Type.Q4_1: [0, 2], Type.Q5_0: [0], Type.Q5_1: [0, 2], Type.Q8_0: [0],
    Type.IQ4_NL: [0], Type.Q2_K: [80, 82], Type.Q3_K: [108], Type.Q4_K: [0, 2], Type.Q5_K: [0, 2],
    Type.Q6_K: [208],
}
EXTREMES = np.array([0.0, 65504.0, 6e-8, -0.037], np.float16)


def blocks_of(type_, rows, blocks, random):
    block_size, block_bytes = gguf.GGML_QUANT_SIZES[type_]
    data = random.integers(0, 256, (rows * blocks, block_bytes), dtype=np.uint8)
    for k, at in enumerate(HALVES[type_]):
        halves = random.normal(0, 0.02, rows * blocks).astype(np.float16)
        halves[: len(EXTREMES)] = np.roll(EXTREMES, k)
        data[:, at : at + 2] = halves.view(np.uint8).reshape(-1, 2)
    return data.reshape(rows, blocks * block_bytes)


def write(path, tensors, metadata):
    writer = gguf.GGUFWriter(path, "lumina2")
    for key, value in metadata.items():
        writer.add_string(key, value)
    writer.add_array("words", ["a", "b"])
    for name, (type_, data) in tensors.items():
        writer.add_tensor(name, data, raw_dtype=type_)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    random = np.random.default_rng(1)
    tensors, expected = {}, {}
    for type_ in HALVES:
        blocks = 2 if gguf.GGML_QUANT_SIZES[type_][0] == 256 else 3
        data = blocks_of(type_, 3, blocks, random)
        tensors[type_.name] = (type_, data)
        expected[type_.name] = gguf.dequantize(data, type_)
    plain = random.normal(0, 1, (3, 5)).astype(np.float32)
    for type_ in (Type.F32, Type.F16, Type.BF16):
        data = gguf.quantize(plain, type_)
        tensors[type_.name] = (type_, data)
        expected[type_.name] = gguf.dequantize(data, type_)
    DATA.mkdir(parents=True, exist_ok=True)
    CORPUS.mkdir(parents=True, exist_ok=True)
    write(DATA / "reference.gguf", tensors, {"general.name": "every type"})
    save_file(expected, DATA / "reference.safetensors")
    write(CORPUS / "two", {k: tensors[k] for k in ("Q4_0", "F16")}, {"k": "v"})


if __name__ == "__main__":
    main()
