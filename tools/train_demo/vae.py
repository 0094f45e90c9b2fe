"""Trains the AutoencoderKL: 128x128 pixels to 16 channels of 16x16 and back."""

import random
import time

import torch
from diffusers import AutoencoderKL

import checkpoint
from muon import Muon
from scenes import sample_scene
from shapes import render

BATCH = 16
STEPS = 2400
CROPS = 0.9  # share of the steps done on crops, a quarter of the work each
CROP = 64
POLISH_STEPS = 300
MUON_LR = 1e-2
ADAM_LR = 2e-3
WARMUP = 40
DECAY_FROM = 0.4  # share of the steps at full rate; then down to zero in a straight line
KL_WEIGHT = 3e-4
EMA = 0.998


def build():
    levels = 4
    model = AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=["DownEncoderBlock2D"] * levels,
        up_block_types=["UpDecoderBlock2D"] * levels,
        block_out_channels=[16, 24, 32, 64],
        layers_per_block=1,
        latent_channels=16,
        norm_num_groups=8,
        sample_size=128,
        use_quant_conv=False,
        use_post_quant_conv=False,
        mid_block_add_attention=True,
        force_upcast=True,
    )
    with torch.no_grad():  # latents start with little noise, else the decoder learns nothing for long
        model.encoder.conv_out.bias[16:] = -5.0
    return model


def _recoloured(images, generator):
    """A third of the pictures in other colours, so that the codec knows more than the palette."""
    count = len(images)
    some = torch.rand(count, 1, 1, 1, generator=generator) < 0.33
    gain = 0.4 + 0.6 * torch.rand(count, 3, 1, 1, generator=generator)
    shift = (2 * torch.rand(count, 3, 1, 1, generator=generator) - 1) * (1 - gain)
    return torch.where(some, images * gain + shift, images)


def _crop(rng, image, scene, size):
    """A window on the edge of an object: plain background is soon learnt."""
    whole = image.shape[-1]
    thing = rng.choice(scene.objects)
    corner = []
    for middle in (thing.cx, thing.cy):
        middle = (middle + rng.uniform(-thing.radius, thing.radius) + 1) / 2 * whole
        corner.append(min(max(round(middle - size / 2), 0), whole - size))
    x, y = corner
    return image[:, y : y + size, x : x + size]


def _batch(step, size):
    rng = random.Random(f"vae {step}")
    generator = torch.Generator().manual_seed(step)
    scenes = [sample_scene(rng) for _ in range(BATCH)]
    images = _recoloured(render(scenes), generator)
    if size < images.shape[-1]:
        images = torch.stack([_crop(rng, i, s, size) for i, s in zip(images, scenes)])
    return images.contiguous(memory_format=torch.channels_last), generator


def _loss(model, images, generator):
    posterior = model.encode(images).latent_dist
    noise = torch.randn(posterior.mean.shape, generator=generator)
    decoded = model.decode(posterior.mean + posterior.std * noise).sample
    error = decoded - images
    kl = 0.5 * (posterior.mean**2 + posterior.var - 1 - posterior.logvar).mean()
    return error.abs().mean() + 2 * (error**2).mean() + KL_WEIGHT * kl


def _decoder_loss(model, images, generator):
    """On latents as drawing leaves them: off by a little noise."""
    with torch.no_grad():
        latents = model.encode(images).latent_dist.mean
    noise = 0.03 * latents.std() * torch.randn(latents.shape, generator=generator)
    error = model.decode(latents + noise).sample - images
    return error.abs().mean() + 2 * (error**2).mean()


@torch.no_grad()
def psnr(model, pictures=64):
    rng = random.Random("vae check")
    images = render([sample_scene(rng) for _ in range(pictures)])
    decoded = model.decode(model.encode(images).latent_dist.mean).sample.clamp(-1, 1)
    per_picture = ((decoded - images) / 2).pow(2).mean(dim=(1, 2, 3))
    return (-10 * per_picture.log10()).mean().item()


@torch.no_grad()
def _measure_latents(model, pictures=512):
    """Makes (latent - shift_factor) * scaling_factor zero-mean with unit deviation."""
    rng = random.Random("vae statistics")
    latents = torch.cat(
        [
            model.encode(render([sample_scene(rng) for _ in range(64)])).latent_dist.mean
            for _ in range(pictures // 64)
        ]
    )
    model.register_to_config(
        scaling_factor=round(1 / latents.std().item(), 4),
        shift_factor=round(latents.mean().item(), 4),
    )


def train(work, log, steps=STEPS, save_every=200):
    torch.manual_seed(1)
    model, average = build().to(memory_format=torch.channels_last), build()
    average.load_state_dict(model.state_dict())
    path, parameters = work / "vae.pt", list(model.parameters())
    run = _Run(model, average, parameters, path)
    run.go(log, "vae", steps, save_every, lambda step: CROP if step < CROPS * steps else 128, _loss)
    return trained(work)


def polish_decoder(work, log, steps=POLISH_STEPS, save_every=100):
    """Goes on with the decoder alone: the latents stay, so nothing trained on them has to change."""
    codec = trained(work)
    model, average = build().to(memory_format=torch.channels_last), build()
    model.load_state_dict(codec.state_dict())
    average.load_state_dict(codec.state_dict())
    run = _Run(model, average, list(model.decoder.parameters()), work / "decoder.pt")
    run.go(log, "decoder", steps, save_every, lambda step: 128, _decoder_loss, first_data=10**6)
    return trained(work)


def trained(work):
    """The VAE as of the last checkpoints, with the scaling of its latents."""
    model = build()
    model.load_state_dict(checkpoint.load(work / "vae.pt")["average"])
    _measure_latents(model)
    if state := checkpoint.load(work / "decoder.pt"):
        model.load_state_dict(state["average"])
    return model.eval().requires_grad_(False)


def _optimizers(model, parameters):
    """Muon for the kernels of the inner convolutions and the matrices, AdamW for all else."""
    outer = [*model.encoder.conv_in.parameters(), *model.decoder.conv_out.parameters()]
    adams = {id(p) for p in outer} | {id(p) for p in parameters if p.ndim < 2}
    muon = Muon([p for p in parameters if id(p) not in adams], lr=MUON_LR, weight_decay=0.0)
    rest = [p for p in parameters if id(p) in adams]
    adam = torch.optim.AdamW(rest, lr=ADAM_LR, betas=(0.9, 0.99), weight_decay=0.0)
    return [(muon, MUON_LR), (adam, ADAM_LR)]


class _Run:
    """Steps of Muon and AdamW with a running average, resumed from `path`."""

    def __init__(self, model, average, parameters, path):
        self.model, self.average, self.parameters, self.path = model, average, parameters, path
        self.optimizers = _optimizers(model, parameters)
        self.step = 0
        if state := checkpoint.load(path):
            model.load_state_dict(state["model"])
            average.load_state_dict(state["average"])
            for (optimizer, _), values in zip(self.optimizers, state["optimizers"]):
                optimizer.load_state_dict(values)
            self.step = state["step"]

    def go(self, log, name, steps, save_every, size_at, loss_of, first_data=0):
        started, first = time.time(), self.step
        while self.step < steps:
            images, generator = _batch(first_data + self.step, size_at(self.step))
            loss = loss_of(self.model, images, generator)
            self._update(loss, checkpoint.flat_lr(self.step, steps, WARMUP, DECAY_FROM))
            if self.step % save_every == 0 or self.step == steps:
                pace = (time.time() - started) / (self.step - first)
                quality = psnr(self.average)
                log(
                    f"{name} {self.step}/{steps} loss {loss.item():.4f} "
                    f"psnr {quality:.1f} dB {pace:.3f} s/step"
                )
                self._save()

    def _update(self, loss, rate):
        for optimizer, peak in self.optimizers:
            optimizer.param_groups[0]["lr"] = rate * peak
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for optimizer, _ in self.optimizers:
            optimizer.step()
        self.step += 1
        decay = min(EMA, self.step / (self.step + 9))
        averages, currents = list(self.average.parameters()), list(self.model.parameters())
        with torch.no_grad():
            torch._foreach_lerp_(averages, currents, 1 - decay)

    def _save(self):
        checkpoint.save(
            self.path,
            {
                "model": self.model.state_dict(),
                "average": self.average.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer, _ in self.optimizers],
                "step": self.step,
            },
        )
