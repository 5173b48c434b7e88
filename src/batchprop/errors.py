"""The errors of batchprop: few classes, and every message names the value, what is allowed, and the remedy."""


class BatchpropError(Exception):
    """Whatever batchprop raises on purpose."""


class InputError(BatchpropError, ValueError):
    """A value handed to batchprop cannot be used as it is."""


class ParameterError(InputError, TypeError):
    """A parameter has the wrong type or lies outside its bounds."""


class DataError(InputError):
    """A table, a column or a row cannot be trained on."""


class ModelError(BatchpropError):
    """A model file cannot be read, or is not to be trusted."""


class DivergedError(BatchpropError, ArithmeticError, ValueError):
    """Training left the finite numbers."""


class GradientCheckError(BatchpropError, AssertionError):
    """A gradient disagrees with the finite differences of its loss."""
