"""Opacus on PyTorch's eager loop: ghost clipping, and hooks that compute per-example gradients.

The loop is the one of its users, with the parts that its ``PrivacyEngine`` would put together. Its sampler
and its accountant are left out: all contestants are handed the same rows, and nobody counts.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch

from batchprop.params import Layer, Layers
from benchmarks.cases import SEED, Run
from benchmarks.peers.pytorch import Loop, linears
from benchmarks.private_cases import NOISE, PrivateTask


def plain(job: PrivateTask) -> Plain:
    """PyTorch without privacy, for comparison."""
    return Plain(job)


def ghost(job: PrivateTask) -> Ghost:
    """Ghost clipping and noise: norms by one backward pass, the clipped sum by another."""
    return Ghost(job, NOISE)


def ghost_clipped(job: PrivateTask) -> Ghost:
    """Ghost clipping; for a multiplier of 0 no noise is drawn."""
    return Ghost(job, 0.0)


def hooks(job: PrivateTask) -> Hooks:
    """Per-example gradients, clipped and summed, with noise."""
    return Hooks(job, NOISE)


def hooks_clipped(job: PrivateTask) -> Hooks:
    """Per-example gradients, clipped and summed."""
    return Hooks(job, 0.0)


class Plain(Loop):
    """The eager loop at the job's learning rate."""

    def __init__(self, job: PrivateTask) -> None:
        super().__init__(job.task)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=job.rate)

    def layers(self) -> Layers:
        """The parameters after the run."""
        result = [(linear.weight, linear.bias) for linear in linears(self.model)]
        return tuple(Layer(*(theta.detach().numpy().copy() for theta in pair)) for pair in result)


class Hooks(Plain):
    """A wrapped model and a wrapped optimiser, in the same loop."""

    def __init__(self, job: PrivateTask, noise: float) -> None:
        super().__init__(job)
        self.private: Any = self.wrap(job)
        self.optimizer: Any = getattr(import_module("opacus.optimizers"), self.optimizer_name)(
            optimizer=self.optimizer,
            noise_multiplier=noise,
            max_grad_norm=job.max_norm,
            expected_batch_size=job.task.case.batch_size,
        )

    optimizer_name = "DPOptimizer"

    def wrap(self, _: PrivateTask) -> Any:
        """The model with the hooks."""
        return import_module("opacus.grad_sample").GradSampleModule(self.model)

    def start(self) -> Run:
        """Put the initial weights in place, and seed the noise."""
        torch.manual_seed(SEED)
        return super().start()

    def run(self) -> list[float]:
        """Train, then free the last batch's gradients for the next contestant."""
        curve = super().run()
        self.optimizer.zero_grad()
        return curve

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """The loss of a batch, through the wrapped model."""
        loss: torch.Tensor = self.loss(self.private(self.X[rows]), self.y[rows])
        return loss


class Ghost(Hooks):
    """The same loop with a wrapped loss, whose ``backward`` runs both passes."""

    optimizer_name = "DPOptimizerFastGradientClipping"

    def __init__(self, job: PrivateTask, noise: float) -> None:
        super().__init__(job, noise)
        clipping = import_module("opacus.utils.fast_gradient_clipping_utils")
        self.loss: Any = clipping.DPLossFastGradientClipping(self.private, self.optimizer, self.loss)

    def wrapped(self, job: PrivateTask) -> Any:
        """The model with hooks that store only norms."""
        module = import_module("opacus.grad_sample").GradSampleModuleFastGradientClipping
        return module(self.model, max_grad_norm=job.max_norm, use_ghost_clipping=True)
