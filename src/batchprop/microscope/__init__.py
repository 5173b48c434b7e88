"""One batch under the microscope: every matrix of it, forward and back, in one HTML file."""

from batchprop.microscope.look import Microscope, look

__all__ = ["Microscope", "look"]
