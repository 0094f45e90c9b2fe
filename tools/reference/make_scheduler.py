"""Golden values of diffusers' scheduler: python tools/reference/make_scheduler.py

The terminal schedule is the one of diffusers 0.38's ZImagePipeline, which sets sigma_min to 0; the
literal one gets its sigmas explicitly.
"""

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.pipelines.z_image.pipeline_z_image import calculate_shift
from safetensors.torch import save_file

from common import DATA, save_json, uniform

# No finite binary fraction stands for 3.1, 0.37 and 1.15.
CONFIGS = [{"shift": shift} for shift in (1.0, 3.0, 6.0, 3.1, 0.37, 250.0)] + [
    {"shift": 3.0, "use_dynamic_shifting": True},
    {"shift": 1.0, "use_dynamic_shifting": True, "base_shift": 0.3, "max_shift": 1.7,
     "base_image_seq_len": 100, "max_image_seq_len": 5000},
]
STEPS = [1, 2, 3, 8, 9, 28, 50, 100]


def sigmas_of(config, kind, steps, image_seq_len):
    scheduler = FlowMatchEulerDiscreteScheduler(**config)
    mu = calculate_shift(
        image_seq_len, scheduler.config.base_image_seq_len, scheduler.config.max_image_seq_len,
        scheduler.config.base_shift, scheduler.config.max_shift,
    )
    if kind == "terminal":
        scheduler.sigma_min = 0.0
        scheduler.set_timesteps(steps, mu=mu)
    else:
        scheduler.set_timesteps(sigmas=np.linspace(1.0, 1 / steps, steps), mu=mu)
    assert torch.equal(scheduler.timesteps, scheduler.sigmas[:-1] * 1000)
    return scheduler.sigmas


def euler_chain(shape):
    """Nine steps over the terminal schedule with a given velocity in each."""
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    scheduler.sigma_min = 0.0
    scheduler.set_timesteps(9)
    latents = uniform("latents", shape, spread=4.0)
    for i, t in enumerate(scheduler.timesteps):
        velocity = uniform(f"velocity{i}", shape, spread=4.0)
        latents = scheduler.step(velocity, t, latents, return_dict=False)[0]
    return latents


def main():
    cases, golden = [], {"euler": euler_chain([3, 5, 7])}
    with np.errstate(divide="ignore"):
        for index, config in enumerate(CONFIGS):
            for image_seq_len in (64, 1023, 9216) if config.get("use_dynamic_shifting") else (4096,):
                for kind in ("terminal", "literal"):
                    for steps in STEPS:
                        name = f"{index}_{kind}_{steps}_{image_seq_len}"
                        golden[name] = sigmas_of(config, kind, steps, image_seq_len)
                        cases.append({"name": name, "config": config, "kind": kind, "steps": steps,
                                      "image_seq_len": image_seq_len})
    save_file(golden, DATA / "scheduler" / "golden.safetensors")
    save_json(DATA / "scheduler" / "cases.json", {"cases": cases})


if __name__ == "__main__":
    main()
