"""Trains text encoder and transformer together by flow matching on the latents of the VAE.

The text encoder comes from reading.py and can read already.
"""

import json
import random
import tempfile
import time
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

import checkpoint
import lean
import networks
import reading
import tokens
from captions import caption, with_filler
from forms import form_of
from muon import Muon
from scenes import sample_scene
from shapes import render

WORKERS = 2  # processes of one thread each, which wait for each other once a step
BATCH = 32  # of one worker
STEPS = 4500
WARMUP = 200
DECAY_FROM = 0.65  # share of the steps at full rate; then down to zero in a straight line
MUON_LR = 3e-3
ADAM_LR = 1.5e-3
EMA = 0.998
SHIFT = 3.0  # of the scheduler: the same spacing of sigmas in training and in drawing
NO_PROMPT = 0.1
READING_WEIGHT = 0.02  # of the questions of reading.py, so that what was read stays readable
LONG_EVERY = 12  # each such batch has captions of two chunks
FRESH = 8  # new pictures a step; the others of a batch come from the pool, with new captions
POOL = 8192
CHECK_PROMPTS = Path(__file__).parent.parent / "check_demo" / "prompts.json"


class LatentPool:
    """Scenes and their latents, replaced bit by bit: encoding costs more than using one twice."""

    def __init__(self, vae, rng, first):
        self.vae, self.rng = vae, rng
        self.scenes, self.latents = [], torch.empty(POOL, 16, 16, 16, dtype=torch.float16)
        while len(self.scenes) < first:
            self.refresh(64)

    @torch.no_grad()
    def refresh(self, count):
        scenes = [sample_scene(self.rng) for _ in range(count)]
        pixels = render(scenes).contiguous(memory_format=torch.channels_last)
        latents = self.vae.encode(pixels).latent_dist.mean
        latents = (latents - self.vae.config.shift_factor) * self.vae.config.scaling_factor
        for scene, latent in zip(scenes, latents):
            if len(self.scenes) < POOL:
                self.scenes.append(scene)
                slot = len(self.scenes) - 1
            else:
                slot = self.rng.randrange(POOL)
                self.scenes[slot] = scene
            self.latents[slot] = latent

    def sample(self, count):
        rows = [self.rng.randrange(len(self.scenes)) for _ in range(count)]
        return [self.scenes[i] for i in rows], self.latents[rows].float()


class Captioner:
    """Captions as padded ids; never a prompt of the check, nor the form of one that asks for a new form."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        self.pad = tokenizer.token_to_id("<|endoftext|>")
        prompts = json.loads(CHECK_PROMPTS.read_text())
        self.held_out = {self._bare(entry["prompt"]) for entry in prompts}
        self.held_out_forms = {form_of(e["prompt"]) for e in prompts if e["is_new_form"]}

    @staticmethod
    def _bare(words):
        return words.lower().rstrip(".!?")

    def _is_held_out(self, words):
        return self._bare(words) in self.held_out or form_of(words) in self.held_out_forms

    def _ids(self, words):
        return self.tokenizer.encode(tokens.chat(words)).ids

    def _draw(self, rng, scene, chunks):
        while True:
            words = caption(rng, scene, wordy=chunks > 1)
            if self._is_held_out(words):
                continue
            ids = self._ids(words)
            while len(ids) <= lean.CHUNK * (chunks - 1):
                words = with_filler(rng, words)
                ids = self._ids(words)
            if len(ids) <= lean.CHUNK * chunks:
                return ids

    def batch(self, rng, scenes, chunks, silent=NO_PROMPT):
        """Ids, which of them are real, and the scenes, None where the prompt was left out."""
        told = [None if chunks == 1 and rng.random() < silent else scene for scene in scenes]
        lists = [self._draw(rng, scene, chunks) if scene else self._ids("") for scene in told]
        ids = torch.full((len(lists), lean.CHUNK * chunks), self.pad)
        for row, one in zip(ids, lists):
            row[: len(one)] = torch.tensor(one)
        lengths = torch.tensor([len(one) for one in lists]).unsqueeze(1)
        return ids, torch.arange(ids.shape[1]) < lengths, told


def _sigmas(count, generator):
    u = (torch.randperm(count, generator=generator) + torch.rand(count, generator=generator)) / count
    return SHIFT * u / (1 + (SHIFT - 1) * u)


def _optimizers(text_encoder, transformer, heads):
    """Muon for the matrices inside the blocks, AdamW for all else."""
    inside = list(text_encoder.layers[:-1].named_parameters())
    for blocks in (transformer.noise_refiner, transformer.context_refiner, transformer.layers):
        inside += blocks.named_parameters()
    matrices = [p for name, p in inside if p.ndim == 2 and "adaLN" not in name]
    chosen = {id(p) for p in matrices}
    everything = [p for m in (text_encoder, transformer, heads) for p in m.parameters()]
    rest = [p for p in everything if id(p) not in chosen]
    muon = Muon(matrices, lr=MUON_LR)
    adam = torch.optim.AdamW(rest, lr=ADAM_LR, betas=(0.9, 0.99), weight_decay=0.0)
    return [(muon, MUON_LR), (adam, ADAM_LR)]


def _average_gradients(parameters):
    """Over the workers, in one go."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([g.flatten() for g in gradients])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients])):
        gradient.copy_(part.view_as(gradient))


def _build(vocab_size):
    text_encoder = networks.build_text_encoder(vocab_size)
    return [text_encoder, networks.build_transformer(), reading.Heads(text_encoder)]


class Trainer:
    def __init__(self, vae, tokenizer, work):
        torch.manual_seed(2)
        self.path = work / "flow.pt"
        self.vae, self.captioner = vae, Captioner(tokenizer)
        vocab_size = tokenizer.get_vocab_size()
        self.networks = _build(vocab_size)
        self.averages = _build(vocab_size)
        read = checkpoint.load(work / "text.pt")
        self.networks[0].load_state_dict(read["text_encoder"])
        self.networks[2].load_state_dict(read["heads"])
        for average, network in zip(self.averages, self.networks):
            average.load_state_dict(network.state_dict())
        self.optimizers = _optimizers(*self.networks)
        self.step = 0
        self._load()

    def _load(self):
        if not (state := checkpoint.load(self.path)):
            return
        for group in ("networks", "averages"):
            for module, values in zip(getattr(self, group), state[group]):
                module.load_state_dict(values)
        for (optimizer, _), values in zip(self.optimizers, state["optimizers"]):
            optimizer.load_state_dict(values)
        self.step = state["step"]

    def _save(self):
        checkpoint.save(
            self.path,
            {
                "networks": [m.state_dict() for m in self.networks],
                "averages": [m.state_dict() for m in self.averages],
                "optimizers": [o.state_dict() for o, _ in self.optimizers],
                "step": self.step,
            },
        )

    def _loss(self, pool, rng, generator):
        chunks = 2 if self.step % LONG_EVERY == LONG_EVERY - 1 else 1
        scenes, clean = pool.sample(BATCH)
        ids, is_real, told = self.captioner.batch(rng, scenes, chunks)
        sigma = _sigmas(BATCH, generator)
        noise = torch.randn(clean.shape, generator=generator)
        s = sigma.view(-1, 1, 1, 1)
        text_encoder, transformer, _ = self.networks
        features = lean.text_features(text_encoder, ids)
        out = lean.flow(transformer, (1 - s) * clean + s * noise, 1 - sigma, features, is_real)
        loss = (out - (clean - noise)).pow(2).mean()
        return loss, self.networks[2].loss(features, is_real, told)

    def _update(self, loss, steps):
        for optimizer, peak in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = peak * checkpoint.flat_lr(self.step, steps, WARMUP, DECAY_FROM)
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        parameters = [p for m in self.networks for p in m.parameters()]
        _average_gradients(parameters)
        torch.nn.utils.clip_grad_norm_([p for p in parameters if p.grad is not None], 1.0)
        for optimizer, _ in self.optimizers:
            optimizer.step()
        self.step += 1
        decay = min(EMA, (self.step + 1) / (self.step + 10))
        averages = [p for m in self.averages for p in m.parameters()]
        with torch.no_grad():
            torch._foreach_lerp_(averages, parameters, 1 - decay)

    def run(self, log, steps=STEPS, save_every=100):
        rank = dist.get_rank()
        rng = random.Random(f"flow {self.step} {rank}")
        generator = torch.Generator().manual_seed(self.step * WORKERS + rank)
        pool = LatentPool(self.vae, rng, first=POOL // 8)
        started, first, total = time.time(), self.step, 0.0
        while self.step < steps:
            pool.refresh(FRESH)
            loss, reading_loss = self._loss(pool, rng, generator)
            self._update(loss + READING_WEIGHT * reading_loss, steps)
            total += loss.item()
            if rank:
                continue
            if self.step % 50 == 0:
                pace = (time.time() - started) / (self.step - first)
                log(
                    f"flow {self.step}/{steps} loss {total / 50:.4f} "
                    f"reading {reading_loss.item():.3f} {pace:.3f} s/step"
                )
                total = 0.0
            if self.step % save_every == 0 or self.step == steps:
                self._save()


def _log(line):
    print(line, flush=True)


def _work(rank, vae, work, steps, meeting_point):
    torch.set_num_threads(1)
    lean.compile_blocks()
    dist.init_process_group(
        "gloo", init_method=f"file://{meeting_point}", rank=rank, world_size=WORKERS
    )
    Trainer(vae, tokens.build(), work).run(_log, steps)
    dist.destroy_process_group()


def train(vae, work, steps=STEPS):
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(_work, args=(vae, work, steps, f"{folder}/meeting"), nprocs=WORKERS)


def averages(vocab_size, work):
    """Text encoder and transformer as of the last checkpoint."""
    state = checkpoint.load(work / "flow.pt")
    models = _build(vocab_size)[:2]
    for model, values in zip(models, state["averages"]):
        model.load_state_dict(values)
        model.eval()
    return models
