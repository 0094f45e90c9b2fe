"""Golden values of classifier-free guidance: python tools/reference/make_cfg.py

Runs diffusers' ZImagePipeline with a transformer that returns given predictions and reads off what
its guidance hands to the scheduler.
"""

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, ZImagePipeline
from safetensors.torch import save_file

from common import DATA, save_json, uniform

SHAPE = [4, 6, 10]
STEPS = 9
CASES = [
    {"name": "plain", "scale": 4.0, "truncation": 1.0, "factor": 0.0},
    {"name": "weak", "scale": 0.3, "truncation": 1.0, "factor": 0.0},
    {"name": "normalized", "scale": 5.0, "truncation": 1.0, "factor": 1.0},
    {"name": "factor", "scale": 5.0, "truncation": 1.0, "factor": 2.5},
    {"name": "loose", "scale": 0.5, "truncation": 1.0, "factor": 9.0},
    {"name": "small", "scale": 2.0, "truncation": 1.0, "factor": 0.125},
    {"name": "truncated", "scale": 3.0, "truncation": 0.25, "factor": 0.0},
    {"name": "truncated_at_a_step", "scale": 3.0, "truncation": 0.1, "factor": 1.0},
    {"name": "truncated_at_once", "scale": 3.0, "truncation": -0.5, "factor": 0.0},
    {"name": "beyond", "scale": 3.0, "truncation": 1.2, "factor": 0.0},
]


class Transformer(torch.nn.Module):
    """Predictions by step: the positive one, then the negative one."""

    in_channels, dtype, device = SHAPE[0], torch.float32, torch.device("cpu")

    def __init__(self):
        super().__init__()
        self.step = 0

    def forward(self, latents, timestep, prompts, return_dict):
        sides = ("pos", "neg")[: len(latents)]
        outputs = [uniform(f"{s}{self.step}", SHAPE, spread=2.0).unsqueeze(1) for s in sides]
        self.step += 1
        return (outputs,)


class Scheduler(FlowMatchEulerDiscreteScheduler):
    """Keeps the velocities and leaves the latents alone."""

    def step(self, velocity, t, sample, return_dict):
        self.velocities = getattr(self, "velocities", []) + [velocity[0]]
        return (sample,)


def predictions(case):
    scheduler = Scheduler(shift=3.0)
    pipeline = ZImagePipeline(
        scheduler=scheduler, vae=None, text_encoder=None, tokenizer=None, transformer=Transformer()
    )
    pipeline.set_progress_bar_config(disable=True)
    pipeline(
        height=8 * SHAPE[1], width=8 * SHAPE[2], num_inference_steps=STEPS,
        guidance_scale=case["scale"], cfg_normalization=case["factor"],
        cfg_truncation=case["truncation"], latents=torch.zeros(1, *SHAPE),
        prompt_embeds=[torch.zeros(1, 1)], negative_prompt_embeds=[torch.zeros(1, 1)],
        output_type="latent",
    )
    return -torch.stack(scheduler.velocities)


def main():
    golden = {case["name"]: predictions(case) for case in CASES}
    save_file(golden, DATA / "cfg" / "golden.safetensors")
    save_json(DATA / "cfg" / "cases.json", {"cases": CASES})


if __name__ == "__main__":
    main()
