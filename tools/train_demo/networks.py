"""The two trained networks: a tiny Qwen3 and a tiny Z-Image transformer."""

import torch
from diffusers import ZImageTransformer2DModel
from torch import nn
from transformers import Qwen3Config, Qwen3Model


def build_text_encoder(vocab_size):
    # Only the state before the last layer is used: the fourth layer is there for the format's sake.
    config = Qwen3Config(
        vocab_size=vocab_size,
        hidden_size=96,
        intermediate_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=1024,
        rope_theta=10000.0,
        rms_norm_eps=1e-6,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
        initializer_range=0.05,
    )
    return Qwen3Model(config)


def _init_transformer(model):
    with torch.no_grad():
        for name, module in model.named_modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            # A block starts near the identity.
            if name.endswith("adaLN_modulation.0") and "final" not in name:
                nn.init.zeros_(module.weight)
                _open_gates(module.bias)
        final = model.all_final_layer["2-1"]
        nn.init.zeros_(final.linear.weight)
        nn.init.zeros_(final.adaLN_modulation[1].weight)
        nn.init.normal_(model.cap_pad_token, std=0.02)
        nn.init.zeros_(model.x_pad_token)


def _open_gates(bias, gate=0.15):
    """The gates (second and fourth quarter) let a little through from the start."""
    quarter = bias.numel() // 4
    bias[quarter : 2 * quarter] = gate
    bias[3 * quarter :] = gate


def build_transformer():
    model = ZImageTransformer2DModel(
        all_patch_size=[2],
        all_f_patch_size=[1],
        in_channels=16,
        dim=144,
        n_layers=4,
        n_refiner_layers=1,
        n_heads=6,
        n_kv_heads=6,
        norm_eps=1e-5,
        qk_norm=True,
        cap_feat_dim=96,
        rope_theta=256.0,
        t_scale=1000.0,
        axes_dims=[8, 8, 8],
        axes_lens=[1024, 128, 128],
    )
    _init_transformer(model)
    return model
