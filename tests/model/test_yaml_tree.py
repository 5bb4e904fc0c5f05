import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhumb.model.not_yaml import YamlError
from rhumb.model.yaml_tree import MAX_DEPTH, Map, Seq, resolve, trees


def one(text: str) -> Map:
    (tree,) = trees(text)
    assert isinstance(tree.root, Map)
    return tree.root


def refused(text: str) -> YamlError:
    with pytest.raises(YamlError) as raised:
        list(trees(text))
    return raised.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("yes", True),
        ("off", False),
        ("n", False),
        ("12", 12),
        ("-12", -12),
        ("010", 8),
        ("0o10", 8),
        ("0x1F", 31),
        ("1_000", 1000),
        ("1_", 1),
        ("08", 8.0),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("5s", "5s"),
        ("1.2.3", "1.2.3"),
        ("2024-01-01", "2024-01-01"),
        ("0o", "0o"),
        ("-", "-"),
        ("_1", "_1"),
        ("9" * 200, "9" * 200),
    ],
)
def test_plain_scalars_mean_what_kubernetes_takes_them_for(text: str, value: object) -> None:
    assert resolve(text) == value
    assert type(resolve(text)) is type(value)


@given(st.text())
def test_no_scalar_is_a_surprise(text: str) -> None:
    assert isinstance(resolve(text), (str, int, float, bool, type(None)))


def test_documents_keys_and_items_know_their_lines() -> None:
    first, second = trees("# comment\n---\na:\n  - 1\n  - b: 2\n---\n---\nc: 3\n")
    assert (first.line, second.line) == (2, 7)
    root = first.root
    assert isinstance(root, Map)
    assert root.key_lines == {"a": 3}
    items = root["a"]
    assert isinstance(items, Seq)
    assert items.item_lines == [4, 5]


def test_keys_that_are_no_text_become_text() -> None:
    assert one("80: a\ntrue: b\n1.5: c\n") == {"80": "a", "true": "b", "1.5": "c"}


def test_quoted_and_tagged_values_stay_text() -> None:
    assert one("a: '80'\nb: \"yes\"\nc: !!str 80\nd: !!int '80'\n") == {
        "a": "80",
        "b": "yes",
        "c": "80",
        "d": 80,
    }


def test_merge_keys_fill_in_what_is_not_written() -> None:
    assert one("x: &x {a: 1, b: 2}\nz:\n  <<: *x\n  b: 3\n")["z"] == {"a": 1, "b": 3}


def test_a_quoted_merge_key_is_a_key() -> None:
    assert one('"<<": 1') == {"<<": 1}


def test_a_key_that_stands_twice_is_told_with_both_lines() -> None:
    (tree,) = trees("a:\n  b: 1\n  b: 2\n")
    ((key, line, first),) = [(d.key, d.line, d.first_line) for d in tree.duplicates]
    assert (key, line, first) == ("b", 3, 2)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a:\n\tb: 1", 2, "a tab is used for indentation"),
        ("a: [1,\n2 ]]", 2, "did not find expected"),
        ("a: [1,\n2", 3, "that starts on line 1"),
        ("a: b: c", 1, "mapping values are not allowed"),
        ("a: *x", 1, 'alias "*x" refers to no anchor before it'),
        ("a: &x [*x]", 1, 'alias "*x" refers to no anchor before it'),
        ("? [a]\n: b", 1, "a key is an object or a list"),
        ("a: !Ref b", 1, "does not fit the tag"),
        ("a: !custom {}", 1, "unknown tag"),
        ("a: \x00", 1, "control characters"),
        ("ok: 1\nno: \ud800", 2, "no Unicode"),
        ("a: 1\n<<: 2", 2, "<< merges objects only"),
    ],
)
def test_text_that_is_no_yaml_is_refused_with_line_and_reason(
    text: str, line: int, says: str
) -> None:
    error = refused(text)
    assert says in str(error)
    assert error.line == line


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_deep_nesting_is_refused_before_it_hurts(opening: str) -> None:
    assert f"deeper than {MAX_DEPTH} levels" in str(refused(opening * 100_000))


def test_aliases_that_explode_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    assert "aliases expand to more than" in str(refused("\n".join(lines)))


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert one("\ufeffa: 1") == {"a": 1}


def test_marks_between_files_that_were_joined_are_no_part_of_the_text() -> None:
    text = "\ufeffa: 1\n---\n\ufeffb: 2\n\ufeff---\nc: 3\n"
    assert [tree.root for tree in trees(text)] == [{"a": 1}, {"b": 2}, {"c": 3}]
    assert one("a: 'b\ufeff'") == {"a": "b\ufeff"}


def test_json_writes_a_character_in_two_halves() -> None:
    assert one(r'{"a": "\ud83d\uDE00 \\ud83d\\ude00 \u00e9 \/"}') == {"a": r"😀 \ud83d\ude00 é /"}
    assert "escape code" in str(refused(r'{"a": "\ud83d"}'))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_in_three_ways(end: str) -> None:
    assert one(end.join(("a:", "  b: x", "  c: |", "    d", ""))) == {"a": {"b": "x", "c": "d\n"}}


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n" * 1000, "---\n" * 1000, "\ufeff", "~"])
def test_nothing_is_no_mistake(text: str) -> None:
    assert list(trees(text)) == []


@pytest.mark.parametrize(
    ("text", "line", "says", "fix"),
    [
        ("a: 1\nb: {{ .Values.b }}\n", 2, "template", "render it"),
        ("{{- if .Values.b }}\na: 1\n{{- end }}\n", 1, "template", "render it"),
        ("a: 1\n<<<<<<< HEAD\nb: 1\n=======\nb: 2\n>>>>>>> x\n", 2, "merge", "keep one"),
        ('{"a": 1}\n{"a": 2}\n', 2, "document start", "---"),
        ("a:\n\u00a0 b: 1\n  c: 2\n", 2, "U+00A0 is used for indentation", "spaces"),
        ("a: é\nb: c\0d\n", 2, "U+0000", "remove it"),
        ("a: 1\n".encode("utf-16-le").decode(), 1, "UTF-16", "UTF-8"),
        ("\0" * 5000, 1, "UTF-16, or no text at all", "UTF-8"),
        ("%YAML 3.0\n---\na: 1\n", 1, "incompatible", "remove the line %YAML"),
    ],
    ids=["template", "block", "conflict", "json", "space", "nul", "utf-16", "nuls", "version"],
)
def test_what_is_usually_meant_is_told(text: str, line: int, says: str, fix: str) -> None:
    error = refused(text)
    assert says in str(error)
    assert fix in error.fix
    assert error.line == line


def test_keys_without_end_are_refused() -> None:
    assert "are written twice" in str(refused("a: 1\n" * 100_000))
