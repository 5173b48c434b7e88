"""PyTorch: a loop over batches of tensors, without a DataLoader; eager, and with torch.compile."""

from __future__ import annotations

import logging
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.cases import Run, Start, Task

# A warning about profiling, which is not used here.
logging.getLogger("torch._dynamo").setLevel(logging.ERROR)


def eager(task: Task) -> Start:
    """The standard eager loop."""
    return Loop(task).start


def fused(task: Task) -> Start:
    """The eager loop with a fused optimiser update."""
    return Loop(task, fused=True).start


def compiled(task: Task) -> Start:
    """The loop with compiled forward pass, backward pass and optimiser update."""
    return Compiled(task).start


class Loop:
    """A model, an optimiser and the data on their device."""

    def __init__(self, task: Task, **options: Any) -> None:
        self.task = task
        self.device = torch.device("cuda" if task.device == "gpu" else "cpu")
        if task.device == "gpu":
            torch.set_float32_matmul_precision("high")  # TF32, which is JAX's default there
        self.X = torch.from_numpy(task.X).to(self.device)
        self.y = torch.from_numpy(task.y).to(self.device)
        self.model = network(task).to(self.device)
        self.loss = nn.CrossEntropyLoss()
        if task.solver == "adam":
            options |= {"eps": task.epsilon}
        optimizers: dict[str, Any] = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}
        self.optimizer = optimizers[task.solver](self.model.parameters(), lr=task.learning_rate, **options)

    def start(self) -> Run:
        """Restore the initial weights and reset Adam's state."""
        with torch.no_grad():
            for linear, layer in zip(linears(self.model), self.task.network.layers, strict=True):
                linear.weight.copy_(torch.from_numpy(layer.W))
                linear.bias.copy_(torch.from_numpy(layer.b))
            for memory in self.optimizer.state.values():
                for tensor in memory.values():
                    if tensor is not None:
                        tensor.zero_()
        return self.run

    def run(self) -> list[float]:
        """Train on the batches of every epoch."""
        curve = []
        for rows in self.task.epochs():
            total = torch.zeros((), dtype=self.X.dtype, device=self.device)
            for batch in torch.from_numpy(rows).to(self.device):
                total += self.step(batch)
            curve.append(total.item() / len(rows))  # waits for the device
        return curve

    def step(self, rows: torch.Tensor) -> torch.Tensor:
        """One step."""
        self.optimizer.zero_grad()
        loss = self.forward(rows)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """The loss of a batch."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.task.precision == "bfloat16"):
            return self.loss(self.model(self.X[rows]), self.y[rows])


class Compiled(Loop):
    """The loop with two compiled functions: the loss with its backward pass, and the update."""

    def __init__(self, task: Task) -> None:
        torch._dynamo.reset()  # noqa: SLF001 a new case is a new program: no shapes that vary
        on_gpu = task.device == "gpu"
        super().__init__(task, **({"capturable": True} if on_gpu and task.solver == "adam" else {}))
        mode = "reduce-overhead" if on_gpu else "default"
        self.compiled_forward = torch.compile(super().forward, mode=mode)
        self.compiled_update = torch.compile(self.optimizer.step, mode=mode)

    def step(self, rows: torch.Tensor) -> torch.Tensor:
        """One step of compiled parts."""
        torch.compiler.cudagraph_mark_step_begin()
        self.optimizer.zero_grad()
        loss = self.compiled_forward(rows)
        loss.backward()
        self.compiled_update()
        return loss.detach()


def network(task: Task) -> nn.Sequential:
    """Linear, ReLU, ..., Linear."""
    modules: list[nn.Module] = []
    for n_in, n_out in pairwise(task.case.sizes):
        modules += [nn.Linear(n_in, n_out, dtype=getattr(torch, np.dtype(task.dtype).name)), nn.ReLU()]
    return nn.Sequential(*modules[:-1])


def linears(model: nn.Sequential) -> list[nn.Linear]:
    """The layers with parameters."""
    return [module for module in model if isinstance(module, nn.Linear)]
