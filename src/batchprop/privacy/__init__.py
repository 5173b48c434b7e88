"""Private training: what is asked for and what it cost; the extra `privacy` installs the accounting."""

from batchprop.privacy.accounting import Run, epsilon_spent, noise_for
from batchprop.privacy.audit import epsilon_at_least, p_value
from batchprop.privacy.settings import Privacy, spent
from batchprop.privacy.spent import Spent

__all__ = ["Privacy", "Run", "Spent", "epsilon_at_least", "epsilon_spent", "noise_for", "p_value", "spent"]
