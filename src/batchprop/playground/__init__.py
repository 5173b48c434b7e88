"""The playground: a network that learns in the browser, in one HTML file that needs no server.

The page trains in TypeScript with the library's algorithm; ``playground`` puts a table into it. The other
functions repeat a training of the page with the library: they start from the same weights, and draw the same
rows. Tests hold both to the same numbers.
"""

from batchprop.playground.page import Playground
from batchprop.playground.play import playground
from batchprop.playground.repeat import make_masks, make_network, minibatches, split_rows
from batchprop.playground.toy_datasets import make_toy

__all__ = [
    "Playground",
    "make_masks",
    "make_network",
    "make_toy",
    "minibatches",
    "playground",
    "split_rows",
]
