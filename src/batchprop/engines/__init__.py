"""The engines: they run the steps of training, in NumPy or compiled by JAX."""
