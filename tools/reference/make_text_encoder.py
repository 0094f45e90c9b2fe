"""Golden values of the text encoder from transformers: python tools/reference/make_text_encoder.py"""

import torch
from safetensors.torch import save_file
from transformers import Qwen3Config, Qwen3ForCausalLM, Qwen3Model

from common import DATA, fill, save_json, uniform

CONFIGS = {
    # Three query heads to a key head, head_dim is not hidden_size / heads, odd feed-forward width.
    "grouped": dict(
        vocab_size=97, hidden_size=48, intermediate_size=101, num_hidden_layers=4,
        num_attention_heads=6, num_key_value_heads=2, head_dim=16, max_position_embeddings=40,
        rms_norm_eps=1e-6, rope_theta=1e6, tie_word_embeddings=False,
    ),
    "plain": dict(
        vocab_size=50, hidden_size=60, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, head_dim=30, max_position_embeddings=64,
        rms_norm_eps=1e-4, rope_theta=10000.0,
    ),
}
CLASSES = {"grouped": Qwen3ForCausalLM, "plain": Qwen3Model}  # names with and without "model."
TOKENS = [1, 5, 40]


def ids_of(tokens, vocab_size):
    unit = uniform("ids", [tokens])
    return ((unit + 1) / 2 * vocab_size).long().clamp(0, vocab_size - 1)


def main():
    torch.set_num_threads(1)
    for name, config in CONFIGS.items():
        model = CLASSES[name](Qwen3Config(**config, attn_implementation="eager")).eval()
        assert model.config.rope_parameters["rope_theta"] == config["rope_theta"]
        tensors = [t for t in fill(model) if not t["name"].startswith("lm_head")]
        cases, golden = [], {}
        for tokens in TOKENS:
            ids = ids_of(tokens, config["vocab_size"])
            with torch.no_grad():
                states = model(ids[None], output_hidden_states=True).hidden_states
            cases.append({"name": f"{tokens}", "ids": ids.tolist()})
            golden[f"{tokens}.output"] = states[-2][0].contiguous().clone()
        save_json(DATA / "text_encoder" / f"{name}.json",
                  {"config": config, "cases": cases, "tensors": tensors})
        save_file(golden, DATA / "text_encoder" / f"{name}.safetensors")
        for key, value in golden.items():
            print(f"{name} {key}: {list(value.shape)}, rms {value.square().mean().sqrt():.3f}")


if __name__ == "__main__":
    main()
