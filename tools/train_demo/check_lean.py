"""Compares the lean forwards with those of diffusers and transformers, padded as inference pads."""

import torch

import lean
import networks


@torch.no_grad()
def main():
    torch.manual_seed(0)
    text_encoder = networks.build_text_encoder(800).eval()
    transformer = networks.build_transformer().eval()
    for parameter in transformer.parameters():  # every path counts, zero-initialised ones too
        parameter.add_(0.05 * torch.randn_like(parameter))

    for padded, lengths in ((32, [9, 20, 32]), (64, [33, 50, 64])):
        ids = torch.randint(0, 800, (3, padded))
        is_real = torch.arange(padded) < torch.tensor(lengths).unsqueeze(1)
        features = lean.text_features(text_encoder, ids)
        alone = [
            text_encoder(input_ids=row[:n].unsqueeze(0), output_hidden_states=True)
            .hidden_states[-2]
            .squeeze(0)
            for row, n in zip(ids, lengths)
        ]
        for row, reference, n in zip(features, alone, lengths):
            torch.testing.assert_close(row[:n], reference, rtol=1e-4, atol=1e-5)

        latents, t = torch.randn(3, 16, 16, 16), torch.rand(3)
        ours = lean.flow(transformer, latents, t, features, is_real)
        for i in range(3):
            theirs = transformer(
                [latents[i].unsqueeze(1)], t[i : i + 1], [alone[i]], return_dict=False
            )[0][0].squeeze(1)
            torch.testing.assert_close(ours[i], theirs, rtol=1e-3, atol=1e-4)
            print(padded, i, (ours[i] - theirs).abs().max().item(), theirs.std().item())


if __name__ == "__main__":
    main()
