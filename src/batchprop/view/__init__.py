"""To look at: one batch under the microscope, and a training in pictures."""

from batchprop.view.gradient_norms import GradientNormDisplay
from batchprop.view.histograms import ActivationHistogramDisplay, WeightHistogramDisplay
from batchprop.view.learning_curve import LearningCurveDisplay
from batchprop.view.microscope import Microscope, microscope
from batchprop.view.noise_scale import NoiseScaleDisplay

__all__ = [
    "ActivationHistogramDisplay",
    "GradientNormDisplay",
    "LearningCurveDisplay",
    "Microscope",
    "NoiseScaleDisplay",
    "WeightHistogramDisplay",
    "microscope",
]
