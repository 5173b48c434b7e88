"""Single examples: which training rows look wrong, and which pushed the loss of others up or down."""

from batchprop.examples.contact_sheet import ContactSheetDisplay
from batchprop.examples.data_map import DataMapDisplay
from batchprop.examples.influence import influence

__all__ = ["ContactSheetDisplay", "DataMapDisplay", "influence"]
