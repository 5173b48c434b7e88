"""Single examples: which training rows pushed the loss of others up or down."""

from batchprop.examples.influence import influence

__all__ = ["influence"]
