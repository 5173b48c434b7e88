"""Private training: what is asked for and what it cost; the extra `privacy` installs the accounting."""

from batchprop.privacy.accounting import SamplingRun, calibrate_noise, compute_epsilon
from batchprop.privacy.audit import audit_epsilon, p_value
from batchprop.privacy.settings import Privacy, compute_spent
from batchprop.privacy.spent import PrivacySpent

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
