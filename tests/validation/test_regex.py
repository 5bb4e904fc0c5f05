import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhumb.validation.regex import regex, syntax_error


@pytest.mark.parametrize(
    "pattern",
    [
        "", "a", "a|b", "(a)", "(?:a)", "(?i)a", "(?i:a)", "(?P<x>a)", "(?<x>a)", "a*", "a*?", "a{2}", "a{2,}", "a{2,3}?",
        "a{,2}", "{", "a{x}", "[a-z]", "[]a]", "[^]a]", "[a-]", "[-a]", "[[:alpha:]_]", r"[\d\-x]", r"\.", r"\x41", r"\x{e9}",
        r"\pL", r"\p{Greek}", r"\Qa(\E", r"\A\z\b", r"\012", ".*", "^/a/[^/]+$", "()*", "(|a)+", "é", r"[\]]", "[a\\]b]",
    ],
)  # fmt: skip
def test_what_re2_reads_is_accepted(pattern: str) -> None:
    assert syntax_error(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(a", "missing closing ): `(a`"),
        ("a)", "unexpected ): `a)`"),
        ("[a", "missing closing ]: `[a`"),
        ("[z-a]", "invalid character class range: `z-a`"),
        ("[[:nope:]]", "invalid character class range: `[:nope:]`"),
        ("*", "missing argument to repetition operator: `*`"),
        ("(*a)", "missing argument to repetition operator: `*`"),
        ("a|*", "missing argument to repetition operator: `*`"),
        ("a**", "invalid nested repetition operator"),
        ("a{1001}", "invalid repeat count: `{1001}`"),
        ("a{3,2}", "invalid repeat count: `{3,2}`"),
        ("((a{100}){100}){100}", "invalid repeat count"),
        ("(?!a)", "invalid or unsupported Perl syntax: `(?!`"),
        ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
        ("(?<!a)", "invalid or unsupported Perl syntax: `(?<!`"),
        ("(?z)", "invalid or unsupported Perl syntax"),
        ("(?P<a>x)(?P<a>y)", "duplicate named capture: `a`"),
        (r"\1", r"invalid escape sequence: `\1`"),
        (r"\C", r"invalid escape sequence: `\C`"),
        (r"\x{1F600}", r"invalid escape sequence: `\x{1F600}` (Envoy looks at bytes)"),
        (r"\p{Nobody}", r"invalid character class range: `\p{Nobody}`"),
        (r"\y", r"invalid escape sequence: `\y`"),
        (r"[\y]", r"invalid escape sequence: `\y`"),
        ("\\", "trailing backslash"),
        ("(" * 2000, "nests too deeply"),
    ],
)
def test_what_re2_refuses_is_refused_with_its_words(pattern: str, reason: str) -> None:
    said = syntax_error(pattern)
    assert said is not None
    assert reason in said


@given(st.text(alphabet="ab()[]{}|*+?\\^$-:<>=!PQEdpx012,.i", max_size=30))
def test_no_pattern_is_a_surprise(pattern: str) -> None:
    assert syntax_error(pattern) is None or syntax_error(pattern)


def test_long_expressions_are_refused() -> None:
    assert regex("a" * 1024, "uri") is None
    assert "max length allowed is 1024" in str(regex("a" * 1025, "uri"))
