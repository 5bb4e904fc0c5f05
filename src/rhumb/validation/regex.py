"""Is a text a regular expression for RE2? (syntax: github.com/google/re2/wiki/Syntax)

Python's own expressions know things that RE2 refuses (look-around, back references), so its
compiler cannot answer. This reads the syntax without building anything, in one pass, with a
bounded stack; messages are those of Go's regexp package, which Istio's users search for.
"""

import re

import msgspec

_MAX_DEPTH = 1000
_MAX_REPEAT = 1000
_MAX_BYTE = 0xFF
_MAX_CODE_POINT = 0x10FFFF
_REPEAT = re.compile(r"\{(\d+)(?:(,)(\d*))?\}", re.ASCII)
_GROUP_NAME = re.compile(r"\(\?P?<([^>]*)>")
_FLAGS = re.compile(r"\(\?([a-zA-Z^]*)(?:(-)([a-zA-Z]*))?([:)])")
_WORD = re.compile(r"\w+")
_HEX = re.compile(r"\\x(?:\{([0-9a-fA-F]+)\}|([0-9a-fA-F]{2}))")
_UNICODE_CLASS = re.compile(r"\\[pP](?:\{\^?([A-Za-z_]+)\}|([A-Za-z]))")
_UNICODE = """
Any C Cc Cf Co Cs L Ll Lm Lo Lt Lu M Mc Me Mn N Nd Nl No P Pc Pd Pe Pf Pi Po Ps S Sc Sk Sm So
Z Zl Zp Zs Adlam Ahom Anatolian_Hieroglyphs Arabic Armenian Avestan Balinese Bamum Bassa_Vah
Batak Bengali Bhaiksuki Bopomofo Brahmi Braille Buginese Buhid Canadian_Aboriginal Carian
Caucasian_Albanian Chakma Cham Cherokee Chorasmian Common Coptic Cuneiform Cypriot Cypro_Minoan
Cyrillic Deseret Devanagari Dives_Akuru Dogra Duployan Egyptian_Hieroglyphs Elbasan Elymaic
Ethiopic Georgian Glagolitic Gothic Grantha Greek Gujarati Gunjala_Gondi Gurmukhi Han Hangul
Hanifi_Rohingya Hanunoo Hatran Hebrew Hiragana Imperial_Aramaic Inherited Inscriptional_Pahlavi
Inscriptional_Parthian Javanese Kaithi Kannada Katakana Kawi Kayah_Li Kharoshthi
Khitan_Small_Script Khmer Khojki Khudawadi Lao Latin Lepcha Limbu Linear_A Linear_B Lisu Lycian
Lydian Mahajani Makasar Malayalam Mandaic Manichaean Marchen Masaram_Gondi Medefaidrin
Meetei_Mayek Mende_Kikakui Meroitic_Cursive Meroitic_Hieroglyphs Miao Modi Mongolian Mro Multani
Myanmar Nabataean Nag_Mundari Nandinagari New_Tai_Lue Newa Nko Nushu Nyiakeng_Puachue_Hmong Ogham
Ol_Chiki Old_Hungarian Old_Italic Old_North_Arabian Old_Permic Old_Persian Old_Sogdian
Old_South_Arabian Old_Turkic Old_Uyghur Oriya Osage Osmanya Pahawh_Hmong Palmyrene Pau_Cin_Hau
Phags_Pa Phoenician Psalter_Pahlavi Rejang Runic Samaritan Saurashtra Sharada Shavian Siddham
SignWriting Sinhala Sogdian Sora_Sompeng Soyombo Sundanese Syloti_Nagri Syriac Tagalog Tagbanwa
Tai_Le Tai_Tham Tai_Viet Takri Tamil Tangsa Tangut Telugu Thaana Thai Tibetan Tifinagh Tirhuta
Toto Ugaritic Vai Vithkuqi Wancho Warang_Citi Yezidi Yi Zanabazar_Square
"""
_UNICODE_NAMES = frozenset(_UNICODE.split())
"""Categories and scripts of Unicode 15, which Envoy's RE2 knows."""
_POSIX_CLASS = re.compile(r"\[:\^?(\w*):\]")
_POSIX_NAMES = frozenset(
    (
        "alnum",
        "alpha",
        "ascii",
        "blank",
        "cntrl",
        "digit",
        "graph",
        "lower",
        "print",
        "punct",
        "space",
        "upper",
        "word",
        "xdigit",
    )
)
_CLASS_ESCAPES = frozenset("dDsSwW")
_OTHER_ESCAPES = frozenset("AbBz")
_CONTROL = {"a": 7, "f": 12, "t": 9, "n": 10, "r": 13, "v": 11}


class _RefusedError(Exception):
    """A verdict on the expression."""


class _Level(msgspec.Struct):
    """An open group."""

    has_operand: bool = False
    """Something stands before that can be repeated."""
    was_repeated: bool = False
    last_factor: int = 1
    """How often the repetitions of the last operand multiply it."""
    max_factor: int = 1


def syntax_error(pattern: str) -> str | None:
    """Return what is wrong with an RE2 expression, None when it is valid."""
    try:
        _Scanner(pattern).scan()
    except _RefusedError as refusal:
        return f"error parsing regexp: {refusal}"
    return None


class _Scanner:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._levels = [_Level()]
        self._names: set[str] = set()

    def scan(self) -> None:
        while self._at < len(self._pattern):
            self._token(self._pattern[self._at])
        if len(self._levels) > 1:
            raise _RefusedError(f"missing closing ): `{self._pattern}`")

    def _token(self, char: str) -> None:
        level = self._levels[-1]
        if char == "(":
            self._open()
        elif char == ")":
            self._close()
        elif char == "|":
            level.has_operand = level.was_repeated = False
            self._at += 1
        elif char in "*+?":
            self._repeated(char, 1)
        elif char == "{" and (match := _REPEAT.match(self._pattern, self._at)) is not None:
            self._repeated(match.group(), _count(match))
        elif char == "[":
            self._class()
            self._operand()
        elif char == "\\":
            self._escape()
        else:
            self._at += 1
            self._operand()

    def _operand(self, factor: int = 1) -> None:
        level = self._levels[-1]
        level.has_operand, level.was_repeated, level.last_factor = True, False, factor

    def _open(self) -> None:
        rest = self._pattern[self._at :]
        if rest.startswith("(?"):
            if self._flags() or self._name():
                return
            length = 4 if rest.startswith(("(?<=", "(?<!", "(?P=", "(?P>")) else 3
            raise _RefusedError(f"invalid or unsupported Perl syntax: `{rest[:length]}`")
        self._at += 1
        self._push()

    def _flags(self) -> bool:
        match = _FLAGS.match(self._pattern, self._at)
        if match is None:
            return False
        on, minus, off, end = match.groups()
        if (
            not set(on + (off or "")) <= set("imsU")
            or (minus and not off)
            or not (on or minus or end == ":")
        ):
            raise _RefusedError(f"invalid or unsupported Perl syntax: `{match.group()}`")
        self._at = match.end()
        if end == ":":
            self._push()
        return True

    def _name(self) -> bool:
        match = _GROUP_NAME.match(self._pattern, self._at)
        if match is None or match.group().startswith(("(?<=", "(?<!")):
            return False
        name = match.group(1)
        if not _WORD.fullmatch(name):
            raise _RefusedError(f"invalid named capture: `{match.group()}`")
        if name in self._names:
            raise _RefusedError(f"duplicate named capture: `{name}`")
        self._names.add(name)
        self._at = match.end()
        self._push()
        return True

    def _push(self) -> None:
        if len(self._levels) > _MAX_DEPTH:
            raise _RefusedError(f"expression nests too deeply: `{self._pattern}`")
        self._levels.append(_Level())

    def _close(self) -> None:
        if len(self._levels) == 1:
            raise _RefusedError(f"unexpected ): `{self._pattern}`")
        closed = self._levels.pop()
        self._at += 1
        self._operand(closed.max_factor)

    def _repeated(self, operator: str, count: int) -> None:
        level = self._levels[-1]
        lazy = self._pattern[self._at + len(operator) :].startswith("?")
        text = operator + ("?" if lazy else "")
        if count > _MAX_REPEAT or count < 0:
            raise _RefusedError(f"invalid repeat count: `{operator}`")
        if not level.has_operand:
            raise _RefusedError(f"missing argument to repetition operator: `{operator}`")
        if level.was_repeated:
            raise _RefusedError(f"invalid nested repetition operator: `{text}`")
        level.last_factor *= max(count, 1)
        if level.last_factor > _MAX_REPEAT:
            raise _RefusedError(f"invalid repeat count: `{operator}`")
        level.max_factor = max(level.max_factor, level.last_factor)
        level.was_repeated = True
        self._at += len(text)

    def _escape(self) -> None:
        letter = self._pattern[self._at + 1 : self._at + 2]
        if letter == "Q":
            end = self._pattern.find("\\E", self._at)
            self._at = len(self._pattern) if end < 0 else end + 2
        elif (letter in _OTHER_ESCAPES and letter != "") or (
            letter in _CLASS_ESCAPES and letter != ""
        ):
            self._at += 2
        elif letter in ("p", "P"):
            self._unicode_class()
        else:
            self._literal_escape()
        self._operand()

    def _unicode_class(self) -> None:
        match = _UNICODE_CLASS.match(self._pattern, self._at)
        if match is not None and (match.group(1) or match.group(2)) not in _UNICODE_NAMES:
            raise _RefusedError(f"invalid character class range: `{match.group()}`")
        if match is None:
            raise _RefusedError(
                f"invalid character class range: `{self._pattern[self._at : self._at + 3]}`"
            )
        self._at = match.end()

    def _literal_escape(self) -> int:
        """Pass an escape that stands for one character, and return that character's number."""
        rest = self._pattern[self._at + 1 :]
        if not rest:
            raise _RefusedError("trailing backslash at end of expression: ``")
        letter = rest[0]
        match = _HEX.match(self._pattern, self._at)
        octal = re.match(r"0[0-7]{0,2}|[1-7][0-7]{1,2}", rest)
        number = int(match.group(1) or match.group(2), 16) if match is not None else 0
        if match is not None and number <= _MAX_BYTE:
            self._at = match.end()
            return number
        if match is not None and number <= _MAX_CODE_POINT:
            raise _RefusedError(
                f"invalid escape sequence: `{match.group()}` (Envoy looks at bytes)"
            )
        if octal is not None:
            self._at += 1 + octal.end()
            return int(octal.group(), 8)
        if letter in _CONTROL:
            self._at += 2
            return _CONTROL[letter]
        if letter < "\x80" and not letter.isalnum():
            self._at += 2
            return ord(letter)
        raise _RefusedError(f"invalid escape sequence: `\\{letter}`")

    def _class(self) -> None:
        start, is_first = self._at, True
        self._at += 2 if self._pattern.startswith("[^", self._at) else 1
        while True:
            if self._at >= len(self._pattern):
                raise _RefusedError(f"missing closing ]: `{self._pattern[start:]}`")
            if self._pattern[self._at] == "]" and not is_first:
                self._at += 1
                return
            is_first = False
            self._class_item(start)

    def _class_item(self, start: int) -> None:
        posix = _POSIX_CLASS.match(self._pattern, self._at)
        if posix is not None:
            if posix.group(1) not in _POSIX_NAMES:
                raise _RefusedError(f"invalid character class range: `{posix.group()}`")
            self._at = posix.end()
            return
        if self._pattern[self._at] == "\\":
            letter = self._pattern[self._at + 1 : self._at + 2]
            if letter and letter in _CLASS_ESCAPES:
                self._at += 2
                return
            if letter in ("p", "P"):
                self._unicode_class()
                return
        begin = self._at
        low = self._class_char(start)
        rest = self._pattern[self._at :]
        if rest.startswith("-") and not rest.startswith("-]") and len(rest) > 1:
            self._at += 1
            if self._class_char(start) < low:
                raise _RefusedError(
                    f"invalid character class range: `{self._pattern[begin : self._at]}`"
                )

    def _class_char(self, start: int) -> int:
        if self._at >= len(self._pattern):
            raise _RefusedError(f"missing closing ]: `{self._pattern[start:]}`")
        if self._pattern[self._at] == "\\":
            return self._literal_escape()
        self._at += 1
        return ord(self._pattern[self._at - 1])


def _count(match: re.Match[str]) -> int:
    """Return the larger number of a repetition, -1 when it cannot be."""
    low, comma, high = match.groups()
    if len(low) > 6 or len(high or "") > 6:
        return -1
    if comma is None or not high:
        return int(low)
    return int(high) if int(high) >= int(low) else -1


def regex(pattern: str, where: str) -> str | None:
    """Check an RE2 expression of the API; `where` names the field in the message."""
    if len(pattern.encode()) > 1024:
        return f'"{where}": regex is too large, max length allowed is 1024'
    wrong = syntax_error(pattern)
    if wrong is None:
        return None
    return f'"{where}": {wrong}; Istio uses RE2 style regex-based match (https://github.com/google/re2/wiki/Syntax)'
