"""Writes tests/data/image: small pictures and, in expected.safetensors, the pixels they hold.

    make_image.py                     make the data
    make_image.py --show PICTURE...   print the metadata of pictures as Pillow reads them

PNG pixels follow from the samples that were written; where Pillow reads the same kind it has to agree.
JPEG and WebP pixels are Pillow's.
"""

import io
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from safetensors.numpy import save_file

DATA = Path(__file__).resolve().parents[2] / "tests" / "data" / "image"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by PNG colour type
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
ORIENTATION = 0x0112

expected = {}


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def packed_rows(samples, depth):
    """Rows of a pass with their filter byte (none)."""
    rows = b""
    for row in samples.reshape(samples.shape[0], -1):
        if depth == 16:
            data = row.astype(">u2").tobytes()
        elif depth == 8:
            data = row.astype(np.uint8).tobytes()
        else:
            bits = (row[:, None] >> np.arange(depth - 1, -1, -1)) & 1
            data = np.packbits(bits.astype(np.uint8).ravel()).tobytes()
        rows += b"\0" + data
    return rows


def png(samples, colour, depth, interlaced=False, chunks=(), after=()):
    """samples: [height, width, channels]; chunks: (name, data) before IDAT, `after` behind it."""
    height, width, _ = samples.shape
    passes = [samples]
    if interlaced:
        passes = [samples[y::dy, x::dx] for x, y, dx, dy in ADAM7]
    raw = b"".join(packed_rows(p, depth) for p in passes if p.size)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    body = b"".join(chunk(n, d) for n, d in chunks)
    tail = b"".join(chunk(n, d) for n, d in after)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IDAT", zlib.compress(raw, 9)) + tail
        + chunk(b"IEND", b"")
    )


def to_8_bits(samples, depth):
    if depth == 16:
        return samples >> 8
    return samples * 255 // (2**depth - 1)


def add(name, file, rgb, alpha=None):
    (DATA / name).write_bytes(file)
    expected[name] = np.ascontiguousarray(rgb, dtype=np.uint8)
    if alpha is not None:
        expected[name + ".alpha"] = np.ascontiguousarray(alpha, dtype=np.uint8)


def check_with_pillow(name):
    picture = Image.open(DATA / name)
    if picture.mode.startswith("I"):  # 16-bit grey, which Pillow does not reduce to 8 bits
        return
    has_alpha = name + ".alpha" in expected
    pixels = np.array(picture.convert("RGBA" if has_alpha else "RGB"))
    assert (pixels[..., :3] == expected[name]).all(), name
    if has_alpha:
        assert (pixels[..., 3] == expected[name + ".alpha"]).all(), name


def make_pngs(rng):
    depths = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
    names = {0: "grey", 2: "rgb", 3: "palette", 4: "grey_alpha", 6: "rgba"}
    for colour, depth in [(c, d) for c, ds in depths.items() for d in ds]:
        for interlaced in (False, True):
            samples = rng.integers(0, 2**depth, (9, 11, CHANNELS[colour])).astype(np.int64)
            chunks = []
            alpha = None
            if colour == 3:
                palette = rng.integers(0, 256, (2**depth, 3))
                chunks = [(b"PLTE", palette.astype(np.uint8).tobytes())]
                rgb = palette[samples[..., 0]]
            else:
                rgb = np.broadcast_to(to_8_bits(samples[..., : 3 if colour in (2, 6) else 1], depth), (9, 11, 3))
            if colour in (4, 6):
                alpha = to_8_bits(samples[..., -1], depth)
            name = f"{names[colour]}{depth}{'_interlaced' if interlaced else ''}.png"
            add(name, png(samples, colour, depth, interlaced, chunks), rgb, alpha)
            check_with_pillow(name)


def make_transparent_pngs(rng):
    for colour, depth, name in ((0, 2, "grey2"), (0, 8, "grey8"), (0, 16, "grey16"), (2, 8, "rgb8"), (2, 16, "rgb16")):
        samples = rng.integers(0, 2**depth, (9, 11, CHANNELS[colour])).astype(np.int64)
        key = samples[4, 5]
        samples[7, :3] = key
        if depth == 16:  # the same high bytes, yet another colour
            samples[8, :3] = key ^ 1
        is_opaque = (samples != key).any(-1)
        rgb = np.broadcast_to(to_8_bits(samples, depth), (9, 11, 3))
        data = struct.pack(f">{len(key)}H", *key)
        name += "_key.png"
        add(name, png(samples, colour, depth, chunks=[(b"tRNS", data)]), rgb, np.where(is_opaque, 255, 0))
        if name != "rgb16_key.png":  # Pillow compares the high bytes
            check_with_pillow(name)
    samples = rng.integers(0, 16, (9, 11, 1)).astype(np.int64)
    palette = rng.integers(0, 256, (16, 4))
    palette[10:, 3] = 255  # tRNS may be shorter than the palette
    chunks = [
        (b"PLTE", palette[:, :3].astype(np.uint8).tobytes()),
        (b"tRNS", palette[:10, 3].astype(np.uint8).tobytes()),
    ]
    file = png(samples, 3, 4, chunks=chunks)
    add("palette4_alpha.png", file, palette[samples[..., 0], :3], palette[samples[..., 0], 3])
    check_with_pillow("palette4_alpha.png")


def make_odd_pngs(rng):
    samples = rng.integers(0, 256, (5, 7, 3)).astype(np.int64)
    gamma = (b"gAMA", struct.pack(">I", 100000))
    add("gamma.png", png(samples, 2, 8, chunks=[gamma]), samples)

    control = struct.pack(">II", 2, 0)
    frame = struct.pack(">IIIIIHHBB", 0, 7, 5, 0, 0, 1, 10, 0, 0)
    second = struct.pack(">IIIIIHHBB", 1, 7, 5, 0, 0, 1, 10, 0, 0)
    data = struct.pack(">I", 2) + zlib.compress(packed_rows(255 - samples, 8))
    animation = [(b"acTL", control), (b"fcTL", frame)]
    add("animated.png", png(samples, 2, 8, chunks=animation, after=[(b"fcTL", second), (b"fdAT", data)]), samples)

    # Text in all three chunk types, before and behind the pixels; 16 MiB of text in 16 KiB.
    latin = (b"tEXt", "parameters\0caf\xe9".encode("latin-1"))
    compressed = "zimage\0\1\0\0\0".encode() + zlib.compress('{"prompt": "\u732b"}'.encode(), 9)
    add("texts.png", png(samples, 2, 8, chunks=[latin], after=[(b"iTXt", compressed)]), samples)
    bomb = b"parameters\0\1\0\0\0" + zlib.compress(b" " * (16 << 20), 9)
    chunks = [(b"iTXt", bomb), (b"zTXt", b"zimage\0\0" + zlib.compress(b" " * (16 << 20), 9))]
    add("text_bomb.png", png(samples[:1, :1], 2, 8, chunks=chunks), samples[:1, :1])


def scene(width, height):
    """Smooth, with one edge: what lossy codecs reproduce well enough to compare."""
    y, x = np.mgrid[0:height, 0:width]
    rgb = np.stack([x * 255 // width, y * 255 // height, (x + y) * 127 // (width + height) + 64], -1)
    rgb[height // 3 : height // 2, width // 4 : width // 2] = (220, 40, 30)
    return Image.fromarray(rgb.astype(np.uint8))


def saved(picture, format, **options):
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def add_as_pillow_reads(name, file):
    picture = ImageOps.exif_transpose(Image.open(io.BytesIO(file)))
    if "A" in picture.mode:
        pixels = np.array(picture.convert("RGBA"))
        add(name, file, pixels[..., :3], pixels[..., 3])
    else:
        add(name, file, np.array(picture.convert("RGB")))


def make_jpegs():
    picture = scene(41, 27)
    cmyk = saved(picture.convert("CMYK"), "JPEG", quality=90)
    adobe = cmyk.index(b"Adobe\0")
    kinds = {
        "grey": saved(picture.convert("L"), "JPEG", quality=90),
        "444": saved(picture, "JPEG", quality=90, subsampling=0),
        "422": saved(picture, "JPEG", quality=90, subsampling=1),
        "420": saved(picture, "JPEG", quality=90, subsampling=2),
        "progressive": saved(picture, "JPEG", quality=90, progressive=True),
        "restart": saved(picture, "JPEG", quality=90, restart_marker_blocks=2),
        "rgb": saved(picture, "JPEG", quality=90, keep_rgb=True),
        "cmyk": cmyk,
        # The same data, said to be YCCK.
        "ycck": cmyk[: adobe + 11] + b"\2" + cmyk[adobe + 12 :],
    }
    for name, file in kinds.items():
        add_as_pillow_reads(name + ".jpg", file)


def make_webps():
    picture = scene(41, 27)
    with_alpha = picture.copy()
    with_alpha.putalpha(Image.fromarray(np.tile(np.arange(0, 41 * 6, 6, dtype=np.uint8), (27, 1))))
    add_as_pillow_reads("lossless.webp", saved(picture, "WEBP", lossless=True))
    add_as_pillow_reads("lossless_alpha.webp", saved(with_alpha, "WEBP", lossless=True, exact=True))
    add_as_pillow_reads("lossy.webp", saved(picture, "WEBP", quality=80))
    add_as_pillow_reads("lossy_alpha.webp", saved(with_alpha, "WEBP", quality=80, exact=True))
    # The first frame is smaller than the canvas where its border is transparent.
    framed = Image.new("RGBA", (48, 32))
    framed.paste(scene(20, 12), (10, 6))
    frames = saved(framed, "WEBP", lossless=True, save_all=True, append_images=[with_alpha.resize((48, 32))])
    add_as_pillow_reads("animated.webp", frames)


def make_orientations():
    picture = scene(24, 16)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        file = saved(picture, "JPEG", quality=95, subsampling=0, exif=exif)
        add_as_pillow_reads(f"orientation{orientation}.jpg", file)
    rgba = scene(24, 16).convert("RGBA")
    rgba.putalpha(Image.fromarray(np.tile(np.arange(24, dtype=np.uint8) * 10, (16, 1))))
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    add_as_pillow_reads("orientation6.png", saved(rgba, "PNG", exif=exif))
    add_as_pillow_reads("orientation6.webp", saved(rgba, "WEBP", lossless=True, exact=True, exif=exif))


def user_comment(exif):
    """As piexif.helper.UserComment.load reads it."""
    comment = exif.get_ifd(0x8769).get(0x9286, b"")
    assert comment[:8] in (b"", b"UNICODE\0"), comment[:8]
    return comment[8:].decode("utf_16_be")


def show(path):
    picture = Image.open(path)
    picture.load()
    print(f"{path}: {picture.format} {picture.size}")
    print("  parameters:", repr(picture.info.get("parameters") or user_comment(picture.getexif())))
    xmp = picture.info.get("xmp", b"")
    print("  zimage:", picture.info.get("zimage") or xmp.decode("utf-8"))


def main():
    if sys.argv[1:2] == ["--show"]:
        for path in sys.argv[2:]:
            show(path)
        return
    DATA.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed=1)
    make_pngs(rng)
    make_transparent_pngs(rng)
    make_odd_pngs(rng)
    make_jpegs()
    make_webps()
    make_orientations()
    save_file(expected, DATA / "expected.safetensors")


if __name__ == "__main__":
    main()
