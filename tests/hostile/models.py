"""Malicious model files: code execution, path traversal, memory and time exhaustion."""

import pickle
import zipfile

from tests.hostile.crafted_files import (
    archive,
    array_of,
    built_by,
    dicts,
    doubling_list,
    nested_zip,
    node,
    npy,
    overlapping,
    parts_of,
    with_part,
    with_schema,
)
from tests.hostile.model_changes import (
    DAMAGED,
    FOREIGN,
    NO_MODEL,
    array_is,
    entry_is,
    refused_with,
    replace_node,
    schema_of,
)


class Harm:
    """A pickle payload that runs when unpickled."""

    def __reduce__(self):
        return (open, ("unpickled", "w"))


# --- code execution -----------------------------------------------------------------------------------


@refused_with(DAMAGED)
def a_pickle(saved, path):
    path.write_bytes(pickle.dumps(Harm()))


@refused_with(DAMAGED)
def a_pickle_for_the_schema(saved, path):
    with_part(saved, path, "schema.json", pickle.dumps(Harm()))


@refused_with(DAMAGED)
def a_pickle_beside_the_schema(saved, path):
    with_part(saved, path, "model.pkl", pickle.dumps(Harm()))


@refused_with(DAMAGED)
def a_pickle_in_an_array(saved, path):
    array_is(saved, path, "coefs_", npy("|O", (1,), pickle.dumps([Harm()])))


@refused_with(DAMAGED)
def a_pickle_for_an_array(saved, path):
    array_is(saved, path, "coefs_", pickle.dumps(Harm()))


@refused_with(FOREIGN)
def a_function(saved, path):
    entry_is(saved, path, "activation", built_by("FunctionNode", "os", "system"))


@refused_with(FOREIGN)
def a_harmless_function(saved, path):
    entry_is(saved, path, "activation", built_by("FunctionNode", "numpy", "exp"))


@refused_with(FOREIGN)
def a_function_of_ours(saved, path):
    load = built_by("TypeNode", "batchprop.tabular.persistence", "load_pipeline")
    entry_is(saved, path, "activation", load)


@refused_with(FOREIGN)
def a_method(saved, path):
    content = {"func": "__reduce__", "obj": node("x", 3)}
    entry_is(saved, path, "activation", built_by("MethodNode", "builtins", "str", content=content))


@refused_with(FOREIGN)
def a_partial_call(saved, path):
    content = {
        "func": built_by("TypeNode", "builtins", "str", 3),
        "args": built_by("TupleNode", "builtins", "tuple", 4, content=[]),
        "kwds": built_by("DictNode", "builtins", "dict", 5, content={}, key_types=node([], 6)),
        "namespace": node(None, 7),
    }
    entry_is(saved, path, "activation", built_by("PartialNode", "functools", "partial", content=content))


@refused_with(FOREIGN)
def a_call_of_a_type(saved, path):
    arguments = built_by("TupleNode", "builtins", "tuple", 3, content=[node("unpickled", 4), node("w", 5)])
    entry_is(
        saved, path, "activation", built_by("ConstructorFromReduceNode", "io", "FileIO", content=arguments)
    )


@refused_with(FOREIGN)
def an_operator(saved, path):
    attrs = built_by("TupleNode", "builtins", "tuple", 3, content=[node("__class__", 4)])
    entry_is(saved, path, "activation", built_by("OperatorFuncNode", "operator", "attrgetter", attrs=attrs))


@refused_with(FOREIGN)
def a_list_that_calls_another_type(saved, path):
    entry_is(saved, path, "activation", built_by("ListNode", "subprocess", "Popen", content=[node("ls", 3)]))


@refused_with(FOREIGN)
def a_dict_that_calls_another_type(saved, path):
    new = built_by("DictNode", "tkinter", "Tk", content={}, key_types=node([], 3))
    entry_is(saved, path, "activation", new)


@refused_with(FOREIGN)
def an_array_that_calls_another_type(saved, path):
    def change(schema):
        next(result for result in dicts(schema) if "file" in result)["__class__"] = "fromfile"

    with_schema(saved, path, change)


@refused_with(FOREIGN)
def an_estimator_that_reads_files(saved, path):
    new = built_by("ObjectNode", "sklearn.feature_extraction.text", "CountVectorizer")
    entry_is(saved, path, "activation", new)


@refused_with(FOREIGN)
def an_older_protocol_with_loaders_of_its_own(saved, path):
    def change(schema):
        schema["protocol"] = 0
        content = {"module_path": "os", "function": "system"}
        replace_node("activation", built_by("FunctionNode", "numpy", "exp", content=content))(schema)

    with_schema(saved, path, change)


# --- names and parts ----------------------------------------------------------------------------------


@refused_with(DAMAGED)
def a_name_that_climbs(saved, path):
    with_part(saved, path, "../../../../tmp/evil.npy", b"evil")


@refused_with(DAMAGED)
def an_absolute_name(saved, path):
    with_part(saved, path, "/etc/cron.d/evil", b"evil")


@refused_with(DAMAGED)
def an_array_of_another_name(saved, path):
    def change(schema):
        next(result for result in dicts(schema) if "file" in result)["file"] = "../settings.json"

    with_schema(saved, path, change)


@refused_with(DAMAGED)
def a_part_twice(saved, path):
    parts = list(parts_of(saved).items())
    archive([*parts, ("schema.json", b"{}")], path)


@refused_with(DAMAGED)
def a_part_that_is_missing(saved, path):
    parts = parts_of(saved)
    parts.pop(array_of(schema_of(saved), "coefs_"))
    archive(parts, path)


@refused_with(DAMAGED)
def a_part_that_nothing_uses(saved, path):
    with_part(saved, path, "123.npy", npy("<f8", (0,)))


@refused_with(DAMAGED)
def no_schema(saved, path):
    parts = parts_of(saved)
    parts.pop("schema.json")
    archive(parts, path)


@refused_with(DAMAGED)
def an_encrypted_part(saved, path):
    content = bytearray(saved.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)


# --- memory and time exhaustion -----------------------------------------------------------------------


@refused_with("compressed")
def a_zip_bomb(saved, path):
    archive({"schema.json": bytes(50_000_000)}, path, zipfile.ZIP_DEFLATED)


@refused_with("compressed")
def a_bomb_of_another_packing(saved, path):
    archive({"schema.json": bytes(1_000_000)}, path, zipfile.ZIP_LZMA)


@refused_with("larger than the file")
def parts_laid_over_each_other(saved, path):
    overlapping(saved, path, 60_000)


@refused_with(DAMAGED)
def an_archive_in_the_archive(saved, path):
    with_part(saved, path, "1.npy", nested_zip())


@refused_with(FOREIGN)
def a_sparse_matrix_which_is_an_archive(saved, path):
    new = built_by("SparseMatrixNode", "scipy.sparse", "csr_matrix", 9, type="scipy", file="9.npy")
    entry_is(saved, path, "activation", new)
    with_part(path, path, "9.npy", nested_zip(1))


@refused_with("not as large as it says")
def an_array_of_a_petabyte(saved, path):
    array_is(saved, path, "coefs_", npy("<f8", (1 << 24, 1 << 23)))


@refused_with("not as large as it says")
def an_array_whose_size_overflows(saved, path):
    array_is(saved, path, "coefs_", npy("<f8", (1 << 32, 1 << 32), bytes(8)))


@refused_with("not as large as it says")
def an_array_of_letters_without_end(saved, path):
    array_is(saved, path, "coefs_", npy("<U999999999", (1 << 30,)))


@refused_with("not as large as it says")
def empty_words_without_end(saved, path):
    array_is(saved, path, "coefs_", npy("<U0", (1 << 50,)))


@refused_with("not as large as it says")
def an_array_without_columns_and_rows_without_end(saved, path):
    array_is(saved, path, "coefs_", npy("<f8", (1 << 40, 0)))


@refused_with("no array of numbers")
def an_array_with_an_absurd_header(saved, path):
    header = b"(" * 60_000
    array_is(saved, path, "coefs_", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)


@refused_with("no array of numbers")
def an_array_of_records(saved, path):
    array_is(saved, path, "coefs_", npy([("a", "<f8"), ("b", "|O")], (1,), bytes(16)))


@refused_with(DAMAGED)
def a_schema_as_deep_as_it_is_long(saved, path):
    with_part(saved, path, "schema.json", b"[" * 1_000_000)


@refused_with("nested deeper")
def a_schema_deeper_than_any_model(saved, path):
    deep = node(0, 10)
    for level in range(150):
        deep = built_by("ListNode", "builtins", "list", 11 + level, content=[deep])
    entry_is(saved, path, "activation", deep)


@refused_with(DAMAGED)
def a_value_as_deep_as_it_is_long(saved, path):
    entry_is(saved, path, "activation", {**node(0), "content": "[" * 1_000_000})


@refused_with("two nodes in it have the number")
def a_list_that_doubles_with_each_level(saved, path):
    entry_is(saved, path, "activation", doubling_list(60))


@refused_with("does not say what it is")
def a_list_that_doubles_by_bare_numbers(saved, path):
    def bare(schema):
        replace_node("activation", doubling_list(60))(schema)
        for result in dicts(schema):
            if result.get("content") == []:
                for key in [key for key in result if key != "__id__"]:
                    del result[key]

    with_schema(saved, path, bare)


@refused_with("two nodes in it have the number")
def a_list_that_holds_itself(saved, path):
    again = built_by("ListNode", "builtins", "list", 10, content=[])
    entry_is(saved, path, "activation", built_by("ListNode", "builtins", "list", 10, content=[again]))


@refused_with("by another name")
def one_array_read_a_thousand_times(saved, path):
    file = array_of(schema_of(saved), "coefs_")
    many = [built_by("NdArrayNode", "numpy", "ndarray", 10 + k, type="numpy", file=file) for k in range(1000)]
    entry_is(saved, path, "activation", built_by("ListNode", "builtins", "list", 9, content=many))


@refused_with(DAMAGED)
def a_number_of_ten_thousand_digits(saved, path):
    entry_is(saved, path, "activation", {**node(0), "content": "9" * 10_000})


@refused_with(NO_MODEL)
def a_thousand_processes(saved, path):
    entry_is(saved, path, "n_jobs", node(1000))


@refused_with(NO_MODEL)
def a_cache_on_the_disk(saved, path):
    entry_is(saved, path, "memory", node("cache"))
