"""Muon: momentum whose matrices are made orthogonal by Newton-Schulz iterations, in f32.

torch.optim.Muon iterates in bf16, one matrix at a time, which is slow on a CPU; here all matrices of
one shape go together. Kernels of convolutions count as matrices: outputs by all else.
"""

from collections import defaultdict

import torch


def _orthogonal(x, iterations=5, a=3.4445, b=-4.7750, c=2.0315):
    """[n, rows, columns] with all singular values moved close to one."""
    is_tall = x.shape[1] > x.shape[2]
    if is_tall:
        x = x.transpose(1, 2)
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(iterations):
        gram = x @ x.transpose(1, 2)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.transpose(1, 2) if is_tall else x


class Muon(torch.optim.Optimizer):
    def __init__(self, parameters, lr, momentum=0.95, weight_decay=0.01):
        super().__init__(parameters, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            by_shape = defaultdict(list)
            for parameter in group["params"]:
                by_shape[parameter.shape].append(parameter)
            for parameters in by_shape.values():
                self._step_of_one_shape(parameters, group)

    def _step_of_one_shape(self, parameters, group):
        momentum = group["momentum"]
        updates = []
        for parameter in parameters:
            state = self.state[parameter]
            if "moving" not in state:
                state["moving"] = torch.zeros_like(parameter)
            state["moving"].lerp_(parameter.grad, 1 - momentum)
            updates.append(parameter.grad.lerp(state["moving"], momentum).flatten(1))
        updates = _orthogonal(torch.stack(updates))
        # The size of a step of Adam, so that both can share one learning rate.
        size = 0.2 * max(updates.shape[1:]) ** 0.5
        for parameter, update in zip(parameters, updates):
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.sub_(update.view_as(parameter), alpha=group["lr"] * size)
