#!/usr/bin/env python3
"""Times zimage and other programs on the same model files, in one run.

Every contender draws the same prompt at the same size with the same number of updates, in a process
of its own; the contenders take turns, --repeats times, so that what else the machine does meets all of
them. Reported are medians, and how many times longer each took than zimage. docs/PERFORMANCE.md says how
to set the contenders up.

  bench/peers.py -m FOLDER --zimage build/release/bin/zimage --diffusers VENV/bin/python \\
      --sdcpp VENV/bin/python --size 512 --updates 1
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# What is timed, in seconds. A peer that does not tell one of them leaves it out.
FIGURES = {
    "text": "text encoder",
    "forward": "one update",
    "decode": "VAE decode",
    "process": "whole process",
}
COMPONENTS = ("transformer", "text_encoder", "vae")


def weight_files(model, component):
    return sorted((model / component).glob("*.safetensors"))


def single_file(model, component):
    files = weight_files(model, component)
    if len(files) != 1:
        raise SystemExit(f"{model / component}: {len(files)} .safetensors files, expected one")
    return str(files[0])


# --- inside the peers' processes ---------------------------------------------------------------


def draw_with_diffusers(a):
    """Prints one JSON object with the seconds of the stages."""
    import torch
    from diffusers import ZImagePipeline

    if a.threads:
        torch.set_num_threads(a.threads)
    dtype = {"bf16": torch.bfloat16, "f32": torch.float32}[a.dtype]
    pipeline = ZImagePipeline.from_pretrained(a.model, torch_dtype=dtype)
    seconds = {}

    def timed(owner, name, key):
        inner = getattr(owner, name)

        def call(*args, **kwargs):
            start = time.perf_counter()
            result = inner(*args, **kwargs)
            seconds.setdefault(key, []).append(time.perf_counter() - start)
            return result

        setattr(owner, name, call)

    timed(pipeline.text_encoder, "forward", "text")
    timed(pipeline.transformer, "forward", "forward")
    timed(pipeline.vae, "decode", "decode")
    with torch.inference_mode():
        pipeline(
            prompt=a.prompt,
            width=a.size,
            height=a.size,
            num_inference_steps=a.updates,
            sigmas=[1 - i / a.updates for i in range(a.updates)],  # no forward that moves nothing
            guidance_scale=0.0,
            generator=torch.Generator().manual_seed(1),
        )
    print(json.dumps({key: statistics.median(values) for key, values in seconds.items()}))


def draw_with_sdcpp(a):
    """Its own log, which read_sdcpp() understands."""
    from stable_diffusion_cpp import StableDiffusion

    model = Path(a.model)
    program = StableDiffusion(
        diffusion_model_path=str(Path(a.sdcpp_files, "transformer.safetensors")),
        llm_path=str(Path(a.sdcpp_files, "text_encoder.safetensors")),
        vae_path=single_file(model, "vae"),
        vae_decode_only=True,
        diffusion_flash_attn=True,
        n_threads=a.threads or -1,
        verbose=True,
    )
    program.generate_image(
        prompt=a.prompt,
        width=a.size,
        height=a.size,
        sample_steps=a.updates,
        cfg_scale=1.0,
        seed=1,
    )


# --- the contenders, from outside --------------------------------------------------------------


def read_zimage(output, a):
    record = json.loads(output.splitlines()[-1])
    stages = {stage["name"]: stage["seconds"] for stage in record["profile"]["stages"]}
    return {
        "text": stages["text encoder"],
        "forward": stages["transformer"] / a.updates,
        "decode": stages["vae decoder"],
    }


def read_diffusers(output, a):
    return json.loads(output.splitlines()[-1])


def read_sdcpp(output, a):
    def seconds(words):
        found = re.search(words + r" completed, taking ([0-9.]+)s", output)
        if not found:
            raise ValueError(f"its log does not say: {words}")
        return float(found.group(1))

    return {
        "text": seconds("get_learned_condition"),
        "forward": seconds("sampling") / a.updates,
        "decode": seconds("decode_first_stage"),
    }


def available_bytes():
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return sys.maxsize


def needed_bytes(model, dtype):
    """Of a peer that holds all components at once; files are taken for bf16."""
    stored = sum(f.stat().st_size for c in COMPONENTS for f in weight_files(model, c))
    return stored * (2 if dtype == "f32" else 1)


class Contender:
    def __init__(self, name, command, read, needs=0):
        self.name, self.command, self.read, self.needs = name, command, read, needs
        self.runs, self.failure = [], None

    def run(self, a):
        if self.failure:
            return
        if self.needs > available_bytes():
            self.failure = (
                f"not run: needs about {self.needs / 2**30:.1f} GiB, "
                f"{available_bytes() / 2**30:.1f} GiB are available"
            )
            return
        print(f"{self.name} ...", file=sys.stderr, flush=True)
        start = time.perf_counter()
        try:
            done = subprocess.run(self.command, capture_output=True, text=True, timeout=a.timeout)
        except subprocess.TimeoutExpired:
            self.failure = f"not finished within {a.timeout:g} s"
            return
        except OSError as error:
            self.failure = f"does not start: {error}"
            return
        seconds = time.perf_counter() - start
        if done.returncode != 0:
            lines = (done.stderr or done.stdout).strip().splitlines()
            self.failure = f"failed with {done.returncode}: {lines[-1] if lines else ''}"
            return
        try:
            figures = self.read(done.stdout if self.read is not read_sdcpp
                                else done.stdout + done.stderr, a)
        except (ValueError, KeyError, IndexError) as error:
            self.failure = f"gave no figures: {error}"
            return
        self.runs.append({**figures, "process": seconds})

    def medians(self):
        return {
            key: statistics.median(values)
            for key in FIGURES
            if (values := [run[key] for run in self.runs if key in run])
        }


def contenders(a, picture):
    threads = ["--threads", str(a.threads)] if a.threads else []
    request = ["-m", a.model, "--prompt", a.prompt]
    sizes = ["--size", str(a.size), "--updates", str(a.updates)]
    found = []
    for dtype in a.dtypes:
        command = [a.zimage, "generate", *request, "-W", str(a.size), "-H", str(a.size),
                   "--schedule", "literal", "-s", str(a.updates), "-g", "0", "--seed", "1",
                   "--dtype", dtype, "--profile", "--json", "--no-progress", "-o", picture, *threads]
        found.append(Contender(f"zimage {dtype}", command, read_zimage))

    def peer(name, python, what, read, needs, dtype="bf16", more=()):
        command = [python, __file__, "--inside", what, *request, *sizes, "--dtype", dtype, *threads, *more]
        found.append(Contender(name, command, read, needs))

    if a.diffusers:
        for dtype in [d for d in a.dtypes if d != "int8"]:
            peer(f"diffusers {dtype}", a.diffusers, "diffusers", read_diffusers,
                 needed_bytes(Path(a.model), dtype), dtype)
    if a.sdcpp:
        peer("stable-diffusion.cpp", a.sdcpp, "sdcpp", read_sdcpp,
             needed_bytes(Path(a.model), "bf16"), more=["--sdcpp-files", a.sdcpp_files])
    return found


# --- report ------------------------------------------------------------------------------------


def report_text(a, found):
    first = found[0].medians()
    print(f"{a.size}x{a.size}, {a.updates} updates, {a.repeats} runs each; seconds, medians, and "
          f"times those of {found[0].name}")
    print(f"{'':24}" + "".join(f"{title:>20}" for title in FIGURES.values()))
    for contender in found:
        medians = contender.medians()
        cells = ""
        for key in FIGURES:
            cell = "-"
            if key in medians:
                cell = f"{medians[key]:.2f}"
                if first.get(key):
                    cell += f" ({medians[key] / first[key]:.2f}x)"
            cells += f"{cell:>20}"
        print(f"{contender.name:24}{cells}" if medians else f"{contender.name:24}  {contender.failure}")
        if medians and contender.failure:
            print(f"{'':24}  a later run: {contender.failure}")


def report_json(a, found):
    first = found[0].medians()
    rows = []
    for contender in found:
        medians = contender.medians()
        ratios = {key: medians[key] / first[key] for key in medians if first.get(key)}
        rows.append({"name": contender.name, "runs": contender.runs, "median": medians,
                     "ratio": ratios, "failure": contender.failure})
    print(json.dumps({"size": a.size, "updates": a.updates, "repeats": a.repeats,
                      "model": a.model, "contenders": rows}, indent=1))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-m", "--model", required=True, help="snapshot folder")
    parser.add_argument("--zimage", default="build/release/bin/zimage", help="the program")
    parser.add_argument("--diffusers", metavar="PYTHON", help="with torch, diffusers, transformers")
    parser.add_argument("--sdcpp", metavar="PYTHON", help="with stable-diffusion-cpp-python")
    parser.add_argument("--sdcpp-files", metavar="FOLDER",
                        help="what original_names.py made of the model, for --sdcpp")
    parser.add_argument("--dtypes", nargs="+", default=["bf16"], choices=["bf16", "f32", "int8"],
                        help="of zimage and diffusers (not int8); f32 where memory holds it")
    parser.add_argument("--prompt", default="a red fox in the snow")
    parser.add_argument("--size", type=int, default=512, help="pixels per side")
    parser.add_argument("--updates", type=int, default=1, help="runs of the transformer")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="0: each program's own choice")
    parser.add_argument("--timeout", type=float, default=3600, help="seconds for one run")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--dtype", default="bf16", help=argparse.SUPPRESS)
    parser.add_argument("--inside", choices=["diffusers", "sdcpp"], help=argparse.SUPPRESS)
    a = parser.parse_args()
    for name in ("size", "updates", "repeats"):
        if getattr(a, name) < 1:
            parser.error(f"--{name}: expected 1 or more")
    if a.sdcpp and not a.sdcpp_files:
        parser.error("--sdcpp: expected --sdcpp-files with it")
    if not Path(a.model, "model_index.json").is_file():
        parser.error(f"{a.model}: expected a snapshot folder with a model_index.json")
    return a


def main():
    a = arguments()
    if a.inside:
        (draw_with_diffusers if a.inside == "diffusers" else draw_with_sdcpp)(a)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        found = contenders(a, os.path.join(folder, "picture.png"))
        for _ in range(a.repeats):
            for contender in found:
                contender.run(a)
    (report_json if a.json else report_text)(a, found)
    return 0 if any(contender.runs for contender in found) else 1


if __name__ == "__main__":
    sys.exit(main())
