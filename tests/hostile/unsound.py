"""Valid files that contain invalid models."""

import numpy as np

from tests.hostile.crafted_files import node, with_part
from tests.hostile.model_changes import DAMAGED, NO_MODEL, entry_is, refused_with, values_are


@refused_with("not all finite")
def a_weight_that_is_no_number(saved, path):
    values_are(saved, path, "coefs_", lambda W: W * np.nan)


@refused_with("not all finite")
def a_bias_without_end(saved, path):
    values_are(saved, path, "intercepts_", lambda b: b + np.inf)


@refused_with("not all finite numbers")
def weights_that_are_words(saved, path):
    values_are(saved, path, "coefs_", lambda W: W.astype(str))


@refused_with("differ in shape")
def a_bias_too_short(saved, path):
    values_are(saved, path, "intercepts_", lambda b: b[:1])


@refused_with("layers do not fit")
def a_layer_too_narrow(saved, path):
    values_are(saved, path, "coefs_", lambda W: W[:-1], place=1)


@refused_with(NO_MODEL)
def a_first_layer_for_another_table(saved, path):
    values_are(saved, path, "coefs_", lambda W: W[:-1])


@refused_with("4 classes and 3 outputs")
def a_class_too_many(saved, path):
    values_are(saved, path, "classes_", lambda labels: np.append(labels, "more"))


@refused_with("2 classes and 3 outputs")
def a_class_too_few(saved, path):
    values_are(saved, path, "classes_", lambda labels: labels[:-1])


@refused_with("two or more different labels")
def a_class_twice(saved, path):
    values_are(saved, path, "classes_", lambda labels: labels[[0, 0, 1]])


@refused_with(NO_MODEL)
def a_kind_of_target_that_no_table_has(saved, path):
    entry_is(saved, path, "_target_kind", node("multilabel-indicator"))


@refused_with("center_ of its RobustScaler is not finite")
def a_scale_that_is_no_number(saved, path):
    values_are(saved, path, "center_", lambda center: center * np.nan)


@refused_with(NO_MODEL)
def an_unknown_activation(saved, path):
    entry_is(saved, path, "activation", node("reluu"))


@refused_with(NO_MODEL)
def an_unknown_kind_of_column(saved, path):
    entry_is(saved, path, "sepal_width", node("numbers"))


@refused_with(DAMAGED)
def steps_that_are_a_number(saved, path):
    entry_is(saved, path, "steps", node(7))


@refused_with("truncated or damaged|no model as")
def a_schema_that_is_a_list(saved, path):
    with_part(saved, path, "schema.json", b"[]")


@refused_with(NO_MODEL)
def columns_that_are_a_list(saved, path):
    entry_is(saved, path, "kinds", node([1, 2]))


@refused_with(NO_MODEL)
def a_target_that_is_a_list(saved, path):
    entry_is(saved, path, "target", node([1, 2]))


@refused_with("n_missing")
def an_indicator_of_a_kind_that_is_not_there(saved, path):
    entry_is(saved, path, "features", node("some"))


@refused_with("missing values of columns that do not exist")
def an_indicator_of_a_column_before_the_first(saved, path):
    values_are(saved, path, "features_", lambda _: np.array([-1]))
