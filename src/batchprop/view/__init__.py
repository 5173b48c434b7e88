"""To look at: one batch under the microscope, and a training in pictures."""

from batchprop.view.microscope import Microscope, microscope

__all__ = ["Microscope", "microscope"]
