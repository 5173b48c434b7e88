"""The engines: how a step is run many times, and where the arrays live."""
