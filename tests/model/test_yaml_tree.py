import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhumb.model.yaml_tree import MAX_DEPTH, Map, Seq, YamlError, resolve, trees


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
