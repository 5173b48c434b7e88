"""Plots of training, of the training examples, and of a network's weights and activations."""

from batchprop.plots.contact_sheet import ContactSheetDisplay
from batchprop.plots.data_map import DataMapDisplay
from batchprop.plots.gradient_norms import GradientNormDisplay
from batchprop.plots.histograms import ActivationHistogramDisplay, WeightHistogramDisplay
from batchprop.plots.learning_curve import LearningCurveDisplay
from batchprop.plots.noise_scale import NoiseScaleDisplay
from batchprop.plots.trials import TrialsDisplay

__all__ = [
    "ActivationHistogramDisplay",
    "ContactSheetDisplay",
    "DataMapDisplay",
    "GradientNormDisplay",
    "LearningCurveDisplay",
    "NoiseScaleDisplay",
    "TrialsDisplay",
    "WeightHistogramDisplay",
]
