"""batchprop on JAX with the core's training loop: plain, with per-example norms, clipped, and private."""

from __future__ import annotations

from itertools import islice

from batchprop import optimizers, schedules
from batchprop.arrays import Array
from batchprop.backprop import Step
from batchprop.batches import BatchSampler, Dataset, poisson_batches
from batchprop.dp_sgd import DPMechanism
from batchprop.engines.jax import JaxEngine
from batchprop.engines.padding import poisson_batch_capacity
from batchprop.objective import Objective
from batchprop.params import Layers
from batchprop.training import NO_METRIC_FNS, MetricFns, TrainConfig, init_state, train
from benchmarks.cases import SEED, Run
from benchmarks.private_cases import NOISE, PrivateTask


def plain(job: PrivateTask) -> Loop:
    """Plain training."""
    return Loop(job)


def with_norms(job: PrivateTask) -> Loop:
    """Training that also returns per-example squared gradient norms."""
    return Loop(job, metric_fns=MetricFns(examples=squared_norms))


def clipped(job: PrivateTask) -> Loop:
    """Clipping without noise."""
    return Loop(job, job.mechanism(None))


def private(job: PrivateTask) -> Loop:
    """Clipping and noise: the full private step."""
    return Loop(job, job.mechanism(NOISE))


def poisson_sampled(job: PrivateTask) -> Loop:
    """The private step on Poisson-sampled batches in microbatches of one shape, as in the estimators."""
    return Loop(job, job.mechanism(NOISE), poisson=True)


def squared_norms(step: Step, _: Array) -> Array:
    """Each example's squared gradient norm ``(1, m)``."""
    return step.gradient.squared_norms()[None, :]


class Loop:
    """One compiled program an epoch."""

    def __init__(
        self,
        job: PrivateTask,
        mechanism: DPMechanism | None = None,
        metric_fns: MetricFns = NO_METRIC_FNS,
        *,
        poisson: bool = False,
    ) -> None:
        self.job, self.poisson = job, poisson
        capacity = poisson_batch_capacity(job.task.case.batch_size) if poisson else 1
        self.engine = JaxEngine(device=job.task.device, seed=SEED, capacity=capacity)
        objective = Objective(mechanism=mechanism)
        self.config = TrainConfig(job.task.network, optimizers.sgd(), objective, metric_fns)
        self.data = Dataset(job.task.X, job.task.Y)
        self.last: Layers = job.task.network.layers

    def start(self) -> Run:
        """Start a new run."""
        task, recipe = self.job.task, self.config
        plan, schedule = self.sampler(), schedules.constant(self.job.rate)
        epochs = train(recipe, init_state(recipe), self.data, plan, schedule, self.engine)

        def run() -> list[float]:
            losses = []
            for epoch in islice(epochs, task.case.epochs):
                losses.append(epoch.loss)
                self.last = epoch.network.layers
            return losses

        return run

    def sampler(self) -> BatchSampler:
        """Return the common batches, or as many Poisson-sampled ones."""
        if not self.poisson:
            return self.job.task.sampler()
        case = self.job.task.case
        rate, random_state = case.batch_size / case.rows, self.job.task.random_state()
        return poisson_batches(case.rows, rate, case.steps_an_epoch, random_state)

    def layers(self) -> Layers:
        """The parameters after the run."""
        return self.last
