"""Differentially private training: its settings, its accounting and its audit; needs the extra `privacy`."""

from batchprop.privacy.accounting import SamplingRun, calibrate_noise, compute_epsilon
from batchprop.privacy.audit import audit_epsilon, p_value
from batchprop.privacy.budget import PrivacySpent
from batchprop.privacy.settings import Privacy, compute_spent

__all__ = [
    "Privacy",
    "PrivacySpent",
    "SamplingRun",
    "audit_epsilon",
    "calibrate_noise",
    "compute_epsilon",
    "compute_spent",
    "p_value",
]
