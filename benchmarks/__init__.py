"""Benchmarks. This file makes them a package; otherwise Opacus's package of the same name hides them."""
