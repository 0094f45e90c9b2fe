"""Teaches the text encoder to read first: what a caption says, as classes, told from its last token.

Colours and kinds of two objects are easy to mix up, and flow matching alone takes most of its steps to
find out which word belongs to which object; classes say so directly. The heads are thrown away.
"""

import random
import time

import torch
import torch.nn.functional as F
from torch import nn

import checkpoint
import lean
import networks
from muon import Muon
from scenes import sample_scene
from shapes import COLOURS, KINDS

BATCH = 128
STEPS = 1200
WARMUP = 60
DECAY_FROM = 0.5
MUON_LR = 4e-3
ADAM_LR = 2e-3
UNSAID = -100  # ignored by the loss
QUESTIONS = {
    "background": list(COLOURS),
    "layout": ["lone", "column", "row"],
    "colour": list(COLOURS),  # of the lone object, or of the upper or left one
    "kind": KINDS,
    "other colour": list(COLOURS),  # of the lower or right one
    "other kind": KINDS,
    "size": ["", "small", "big"],
    "horizontal": ["", "left", "right"],
    "vertical": ["", "top", "bottom"],
}
SIZES = [len(answers) for answers in QUESTIONS.values()]


def _answers(scene):
    first, *others = scene.objects
    if scene.relation in ("below", "right of"):
        first, others = others[0], [first]
    layout = "lone" if not others else "row" if scene.relation.endswith("of") else "column"
    known = {"background": scene.background, "layout": layout, "colour": first.colour}
    known["kind"] = first.kind
    if others:
        known |= {"other colour": others[0].colour, "other kind": others[0].kind}
    else:
        known |= {name: getattr(scene, name) for name in ("size", "horizontal", "vertical")}
    return [
        answers.index(known[question]) if question in known else UNSAID
        for question, answers in QUESTIONS.items()
    ]


class Heads(nn.Linear):
    """One linear layer for all questions, on the features as the transformer gets them: normed."""

    def __init__(self, text_encoder):
        super().__init__(text_encoder.config.hidden_size, sum(SIZES))

    def scores(self, features, is_real):
        last = features[torch.arange(len(features)), is_real.sum(1) - 1]
        return self(F.rms_norm(last, (last.shape[-1],))).split(SIZES, dim=1)

    def loss(self, features, is_real, scenes):
        """scenes: None where the prompt says nothing."""
        unsaid = [UNSAID] * len(SIZES)
        answers = torch.tensor([_answers(s) if s else unsaid for s in scenes]).unbind(1)
        return sum(
            F.cross_entropy(scores, wanted, ignore_index=UNSAID)
            for scores, wanted in zip(self.scores(features, is_real), answers)
        )

    def right(self, features, is_real, scenes):
        """Share of right answers to each question."""
        answers = torch.tensor([_answers(s) for s in scenes]).unbind(1)
        shares = {}
        for name, scores, wanted in zip(QUESTIONS, self.scores(features, is_real), answers):
            said = wanted != UNSAID
            shares[name] = (scores.argmax(1) == wanted)[said].float().mean().item()
        return shares


def optimizers(text_encoder, heads):
    matrices = [p for p in text_encoder.layers[:-1].parameters() if p.ndim == 2]
    chosen = {id(p) for p in matrices}
    rest = [p for p in [*text_encoder.parameters(), *heads.parameters()] if id(p) not in chosen]
    return [
        (Muon(matrices, lr=MUON_LR), MUON_LR),
        (torch.optim.AdamW(rest, lr=ADAM_LR, betas=(0.9, 0.99), weight_decay=0.0), ADAM_LR),
    ]


def train(captioner, work, log, steps=STEPS):
    """Leaves text encoder and heads in work/text.pt."""
    path = work / "text.pt"
    if path.exists():
        return
    torch.manual_seed(3)
    text_encoder = networks.build_text_encoder(captioner.tokenizer.get_vocab_size())
    heads = Heads(text_encoder)
    rng, started = random.Random("reading"), time.time()
    both = optimizers(text_encoder, heads)
    for step in range(steps):
        scenes = [sample_scene(rng) for _ in range(BATCH)]
        ids, is_real, _ = captioner.batch(rng, scenes, chunks=2 if step % 12 == 11 else 1, silent=0)
        features = lean.text_features(text_encoder, ids)
        loss = heads.loss(features, is_real, scenes)
        for optimizer, peak in both:
            for group in optimizer.param_groups:
                group["lr"] = peak * checkpoint.flat_lr(step, steps, WARMUP, DECAY_FROM)
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for optimizer, _ in both:
            optimizer.step()
        if (step + 1) % 100 == 0:
            pace = (time.time() - started) / (step + 1)
            shares = heads.right(features, is_real, scenes)
            told = " ".join(f"{name} {share:.0%}" for name, share in shares.items())
            log(f"reading {step + 1}/{steps} loss {loss.item():.3f} {told} {pace:.3f} s/step")
    state = {"text_encoder": text_encoder.state_dict(), "heads": heads.state_dict()}
    checkpoint.save(path, state)
