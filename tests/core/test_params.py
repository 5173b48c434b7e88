"""Functions over all parameters."""

from batchprop.params import Layer, tree_flatten, tree_map_unzip, tree_unflatten


def test_function_with_two_results_gives_two_sets_of_layers() -> None:
    both = tree_map_unzip(lambda x: (x + 1, 2 * x), (Layer(3, 5),))
    assert both == ((Layer(W=4, b=6),), (Layer(W=6, b=10),))


def test_state_comes_back_from_its_leaves() -> None:
    state = (Layer("W", "b"), ("m", 3))
    leaves = tree_flatten(state)
    assert leaves == ["W", "b", "m", 3]
    back = tree_unflatten((Layer(0, 0), (0, 0)), iter(leaves))
    assert back == state
    assert isinstance(back[0], Layer)
