"""One batch under the microscope: every matrix of it, forward and back, in one HTML file."""

from batchprop.microscope.look import Microscope, look
from batchprop.microscope.source_table import SourceTable

__all__ = ["Microscope", "SourceTable", "look"]
