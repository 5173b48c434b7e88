"""Model files are complete or absent, and contain only trusted types."""

import io
import json
import zipfile

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.base import BaseEstimator
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline, make_pipeline

import batchprop as bp
from batchprop.errors import DataError, ModelError
from batchprop.tabular.persistence import MODEL, atomic_file, atomic_folder, load_pipeline, save_pipeline
from batchprop.tabular.schema import infer_schema
from batchprop.tabular.transformers import TargetScaler, make_preprocessor


class Foreign(BaseEstimator):
    """A type that is not part of any model."""

    def fit(self, _X, _y=None):
        return self


def table(n=60):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "a": rng.normal(size=n),
            "b": rng.choice(["x", "y"], n),
            "c": pd.date_range("2020-01-01", periods=n),
            "d": pd.array(rng.random(n) < 0.5, dtype="boolean"),
        }
    )


def model_of(task):
    frame = table()
    columns = make_preprocessor(infer_schema(frame), len(frame))
    X = columns.fit_transform(frame)
    network = {
        "classes": bp.MLPClassifier((3,), solver="sgd", learning_rate_init=0.1, max_iter=2, tol=0),
        "numbers": TransformedTargetRegressor(
            bp.MLPRegressor(hidden_layer_sizes=(3,), max_iter=2), transformer=TargetScaler()
        ),
    }[task]
    y = frame["b"].to_numpy(str) if task == "classes" else frame["a"].to_numpy()
    with pytest.warns(match="still falling after"):
        network.fit(X, y)
    return Pipeline([*columns.steps, ("network", network)])


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / MODEL
    save_pipeline(model_of("classes"), path)
    return path


@pytest.mark.parametrize("task", ["classes", "numbers"])
def test_loaded_model_predicts_the_same(tmp_path, task):
    model = model_of(task)
    save_pipeline(model, tmp_path / MODEL)
    for path in (tmp_path, tmp_path / MODEL):
        np.testing.assert_array_equal(load_pipeline(path).predict(table()), model.predict(table()))


def check_refused(path, message):
    with pytest.raises(ModelError, match=message) as refusal:
        load_pipeline(path)
    assert "\n" not in str(refusal.value)


def test_missing_model_error_names_the_path(tmp_path):
    check_refused(tmp_path, "there is no model .*model.skops: name the folder")
    check_refused(tmp_path / "nowhere", "there is no model")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_model_is_refused(saved, tmp_path, share):
    content = saved.read_bytes()
    path = tmp_path / MODEL
    path.write_bytes(content[: int(share * len(content))])
    check_refused(path, "is not a model file, or is truncated or damaged .* copy it again, or train")


def test_any_changed_byte_is_detected(saved, tmp_path):
    content = bytearray(saved.read_bytes())
    path = tmp_path / MODEL
    with zipfile.ZipFile(saved) as archive:
        parts = [info for info in archive.infolist() if info.file_size]
    for info in parts:
        place = info.header_offset + 30 + len(info.filename) + info.file_size // 2
        changed = content.copy()
        changed[place] ^= 1
        path.write_bytes(changed)
        check_refused(path, "truncated or damaged")


def rewrite_schema(saved, path, change):
    """Write the model's archive with a changed schema and valid checksums."""
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():
            content = old.read(info)
            if info.filename == "schema.json":
                schema = json.loads(content)
                change(schema)
                content = json.dumps(schema).encode()
            new.writestr(info.filename, content)


@pytest.mark.parametrize(
    ("module", "name"), [("os", "system"), ("builtins", "eval"), ("subprocess", "Popen")]
)
def test_file_with_a_foreign_type_is_refused(saved, tmp_path, module, name):
    path = tmp_path / MODEL

    def change(schema):
        schema["__module__"], schema["__class__"] = module, name

    rewrite_schema(saved, path, change)
    check_refused(path, f"holds types that no model of batchprop has, .*: {module}.{name}; use a model")


def test_nested_foreign_estimator_is_refused(tmp_path):
    path = tmp_path / MODEL
    skops.io.dump(make_pipeline(TargetScaler(), Foreign()), path)
    check_refused(path, "Foreign")


def test_saving_a_model_with_a_foreign_type_is_refused(tmp_path):
    with pytest.raises(ModelError, match="Foreign"):
        save_pipeline(make_pipeline(Foreign()), tmp_path / MODEL)


def test_incomplete_schema_is_refused(saved, tmp_path):
    path = tmp_path / MODEL
    rewrite_schema(saved, path, lambda schema: schema.pop("content"))
    check_refused(path, "truncated or damaged .its part .* is used nowhere")
    rewrite_schema(saved, path, lambda schema: schema.pop("__loader__"))
    check_refused(path, "truncated or damaged")


@pytest.mark.parametrize("lacking", ["coefs_", "kinds", "classes_", "transformers_"])
def test_model_with_a_missing_part_is_refused(saved, tmp_path, lacking):
    path = tmp_path / MODEL

    def without(node):
        if isinstance(node, dict):
            node.pop(lacking, None)
        for child in node.values() if isinstance(node, dict) else node:
            if isinstance(child, dict | list):
                without(child)

    rewrite_schema(saved, path, without)
    check_refused(path, "is no model|truncated or damaged")


def test_valid_file_that_is_not_a_model_is_refused(tmp_path):
    path = tmp_path / MODEL
    for other in (TargetScaler(), make_pipeline(TargetScaler()), [1, 2]):
        skops.io.dump(other, path)
        check_refused(path, "is no model as `batchprop train` writes it")
    skops.io.dump(LinearRegression(), path)
    check_refused(path, "LinearRegression; use a model")


def test_decompression_bomb_is_refused(tmp_path):
    path = tmp_path / MODEL
    skops.io.dump(LinearRegression(), path, compression=zipfile.ZIP_DEFLATED)
    check_refused(path, "its parts are compressed")


def test_other_archives_and_text_files_are_refused(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("hello.txt", "hello")
    path = tmp_path / MODEL
    for content in (buffer.getvalue(), b"hello"):
        path.write_bytes(content)
        check_refused(path, "is not a model file")


# --- atomic writes ----------------------------------------------------------------------------------


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_folder_appears_only_when_complete(tmp_path):
    with atomic_folder(tmp_path / "deep" / "out") as folder:
        (folder / "a").write_text("a")
        assert not (tmp_path / "deep" / "out").exists()
    assert names(tmp_path / "deep") == ["out"]
    assert names(tmp_path / "deep" / "out") == ["a"]


def fail_within(place, error):
    with place as folder:
        (folder / MODEL if folder.is_dir() else folder).write_text("half")
        raise error


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_failed_run_leaves_no_files(tmp_path, error):
    with pytest.raises(error):
        fail_within(atomic_folder(tmp_path / "out"), error)
    assert names(tmp_path) == []


@pytest.mark.parametrize("place", [atomic_file, atomic_folder])
def test_failed_run_removes_only_the_parents_it_created(tmp_path, place):
    (tmp_path / "here").mkdir()
    with pytest.raises(RuntimeError):
        fail_within(place(tmp_path / "here" / "new" / "deep" / "out.csv"), RuntimeError)
    assert names(tmp_path) == ["here"]
    assert names(tmp_path / "here") == []


@pytest.mark.parametrize("place", [atomic_file, atomic_folder])
def test_created_parents_with_new_content_are_kept(tmp_path, place):
    def fail():
        with place(tmp_path / "new" / "out.csv"):
            (tmp_path / "new" / "notes").write_text("of somebody else")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert names(tmp_path / "new") == ["notes"]


def test_unwritable_name_leaves_no_parents(tmp_path):
    with pytest.raises(DataError, match="cannot be written"), atomic_file(tmp_path / "new" / ("x" * 250)):
        pytest.fail("the block must not run")
    assert names(tmp_path) == []


def a_model_in(folder, text="old"):
    folder.mkdir()
    (folder / MODEL).write_text(text)
    return folder


def test_existing_folder_is_refused_before_any_work(tmp_path):
    out = a_model_in(tmp_path / "out")
    with (
        pytest.raises(DataError, match=r"the folder .*out exists: name another with `path`, or .*force=True"),
        atomic_folder(out),
    ):
        pytest.fail("the block must not run")


def test_force_replaces_a_model_completely(tmp_path):
    out = a_model_in(tmp_path / "out")
    (out / "more").write_text("x")
    with atomic_folder(out, force=True) as folder:
        (folder / MODEL).write_text("new")
    assert names(tmp_path) == ["out"]
    assert names(out) == [MODEL]
    assert (out / MODEL).read_text() == "new"


def test_force_that_fails_leaves_the_old_model(tmp_path):
    out = a_model_in(tmp_path / "out")
    with pytest.raises(RuntimeError):
        fail_within(atomic_folder(out, force=True), RuntimeError)
    assert names(tmp_path) == ["out"]
    assert (out / MODEL).read_text() == "old"


def test_force_replaces_only_models_and_empty_folders(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    with atomic_folder(out, force=True) as folder:
        (folder / MODEL).write_text("new")
    (out / "notes.txt").write_text("beside the model")
    with atomic_folder(out, force=True) as folder:
        (folder / MODEL).write_text("newer")
    assert names(out) == [MODEL]
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.txt").write_text("years of work")
    with (
        pytest.raises(DataError, match="home holds no model, so force=True does not replace it"),
        atomic_folder(home, force=True),
    ):
        pytest.fail("the block must not run")
    assert names(home) == ["thesis.txt"]


def test_file_at_the_folder_path_is_refused(tmp_path):
    (tmp_path / "out").write_text("x")
    for path, message in (
        (tmp_path / "out", "is not a folder"),
        (tmp_path / "out" / "in", "cannot be written"),
    ):
        with pytest.raises(DataError, match=message), atomic_folder(path, force=True):
            pytest.fail("the block must not run")


def test_file_appears_only_when_complete(tmp_path):
    out = tmp_path / "answers.csv"
    with pytest.raises(RuntimeError):
        fail_within(atomic_file(out), RuntimeError)
    assert names(tmp_path) == []
    with atomic_file(out) as part:
        part.write_text("whole")
    assert names(tmp_path) == ["answers.csv"]
    with pytest.raises(DataError, match="exists: name another with `path`, or replace"), atomic_file(out):
        pytest.fail("the block must not run")
    with atomic_file(out, force=True) as part:
        part.write_text("new")
    assert out.read_text() == "new"
    with pytest.raises(DataError, match="is a folder: name a file"), atomic_file(tmp_path):
        pytest.fail("the block must not run")


@pytest.mark.parametrize("place", [atomic_file, atomic_folder])
def test_what_has_come_meanwhile_is_replaced_only_with_force(tmp_path, place):
    def write(text, during=lambda: None, *, force=False):
        with place(out, force=force) as part:
            (part / MODEL if part.is_dir() else part).write_text(text)
            during()

    out = tmp_path / "out"
    with pytest.raises(DataError, match="out exists: name another"):
        write("late", during=lambda: write("early"))
    assert names(tmp_path) == ["out"]
    assert (out / MODEL if out.is_dir() else out).read_text() == "early"
    write("last", during=lambda: write("between", force=True), force=True)
    assert (out / MODEL if out.is_dir() else out).read_text() == "last"


@pytest.mark.parametrize("place", [atomic_file, atomic_folder])
@pytest.mark.parametrize("force", [False, True])
def test_link_at_the_path_is_refused(tmp_path, place, force):
    for name in ("file", "nothing", "folder"):
        if name == "folder":
            a_model_in(tmp_path / name)
        elif name == "file":
            (tmp_path / name).write_text("precious")
        link = tmp_path / f"link to {name}"
        link.symlink_to(tmp_path / name)
        with pytest.raises(DataError, match=r"link to .* is a"), place(link, force=force):
            pytest.fail("the block must not run")
        assert link.is_symlink()
    assert (tmp_path / "file").read_text() == "precious"
    assert (tmp_path / "folder" / MODEL).read_text() == "old"
