"""Batched forward passes over the modules of diffusers and transformers.

Their own forwards take lists, pad each caption and rotate with complex numbers; for equal picture
sizes and captions padded to one length these do the same with less overhead (check_lean.py
compares them).
"""

import torch
import torch.nn.functional as F

CHUNK = 32  # captions are padded to a multiple of this many tokens


def text_features(text_encoder, ids):
    """hidden_states[-2]: [B, L] ids padded on the right to [B, L, hidden]; the mask is causal."""
    x = text_encoder.embed_tokens(ids)
    positions = torch.arange(ids.shape[1], device=ids.device).unsqueeze(0)
    rope = text_encoder.rotary_emb(x, positions)
    for layer in text_encoder.layers[:-1]:
        x = layer(x, attention_mask=None, position_ids=positions, position_embeddings=rope)
        x = x[0] if isinstance(x, tuple) else x
    return x


def _norm(module, x):
    return F.rms_norm(x, (x.shape[-1],), module.weight, module.eps)


def _rotate(x, cos, sin):
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2)


def _attention(attention, x, rope):
    weight = torch.cat([attention.to_q.weight, attention.to_k.weight, attention.to_v.weight])
    q, k, v = F.linear(x, weight).unflatten(-1, (3, attention.heads, -1)).unbind(2)
    q, k = _rotate(_norm(attention.norm_q, q), *rope), _rotate(_norm(attention.norm_k, k), *rope)
    mixed = F.scaled_dot_product_attention(*(t.transpose(1, 2) for t in (q, k, v)))
    return attention.to_out[0](mixed.transpose(1, 2).flatten(2))


def _block(block, x, rope, adaln=None):
    scale_msa = scale_mlp = gate_msa = gate_mlp = 1.0
    if adaln is not None:
        mod = block.adaLN_modulation(adaln).unsqueeze(1)
        scale_msa, gate_msa, scale_mlp, gate_mlp = mod.chunk(4, dim=2)
        gate_msa, gate_mlp = gate_msa.tanh(), gate_mlp.tanh()
        scale_msa, scale_mlp = 1 + scale_msa, 1 + scale_mlp
    attn = _attention(block.attention, _norm(block.attention_norm1, x) * scale_msa, rope)
    x = x + gate_msa * _norm(block.attention_norm2, attn)
    ffn = block.feed_forward(_norm(block.ffn_norm1, x) * scale_mlp)
    return x + gate_mlp * _norm(block.ffn_norm2, ffn)


def compile_blocks():
    """Saves a third of the time of a step, for some minutes of compiling once (cached on disk)."""
    global _block
    _block = torch.compile(_block, dynamic=False)


def _rope_tables(transformer, caption_length, rows, columns):
    caption = torch.zeros(caption_length, 3, dtype=torch.int64)
    caption[:, 0] = torch.arange(1, caption_length + 1)
    grid = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    picture = torch.stack([torch.full_like(grid[0], caption_length + 1), *grid], dim=-1)
    tables = transformer.rope_embedder(torch.cat([picture.flatten(0, 1), caption]))
    return tables.real.unsqueeze(1).contiguous(), tables.imag.unsqueeze(1).contiguous()


def flow(transformer, latents, t, caption, is_real):
    """The raw output (the negated velocity) for latents [B, C, H, W] at t = 1 - sigma [B].

    caption: [B, L, cap_feat_dim] with L a multiple of 32; is_real: [B, L], False for padding.
    H/2 * W/2 has to be a multiple of 32.
    """
    batch, channels, height, width = latents.shape
    rows, columns = height // 2, width // 2
    cos, sin = _rope_tables(transformer, caption.shape[1], rows, columns)
    tokens = rows * columns
    of_picture, of_caption = (cos[:tokens], sin[:tokens]), (cos[tokens:], sin[tokens:])
    adaln = transformer.t_embedder(t * transformer.t_scale)

    x = latents.view(batch, channels, rows, 2, columns, 2).permute(0, 2, 4, 3, 5, 1)
    x = transformer.all_x_embedder["2-1"](x.reshape(batch, tokens, 4 * channels))
    for block in transformer.noise_refiner:
        x = _block(block, x, of_picture, adaln)

    norm, embed = transformer.cap_embedder
    text = embed(_norm(norm, caption))
    text = torch.where(is_real.unsqueeze(-1), text, transformer.cap_pad_token)
    for block in transformer.context_refiner:
        text = _block(block, text, of_caption)

    x = torch.cat([x, text], dim=1)
    for block in transformer.layers:
        x = _block(block, x, (cos, sin), adaln)

    final = transformer.all_final_layer["2-1"]
    scale = 1 + final.adaLN_modulation(adaln).unsqueeze(1)
    x = final.linear(final.norm_final(x[:, :tokens]) * scale)
    x = x.view(batch, rows, columns, 2, 2, channels).permute(0, 5, 1, 3, 2, 4)
    return x.reshape(batch, channels, height, width)
