"""Reads the words of a text: names, strings, numbers, durations, dates. Reports what is wrong.

Whatever is unreadable is reported once and replaced by something that keeps the tree whole.
"""

# ruff: noqa: N802 -- methods are named after rules and terminals, which set their arguments
from __future__ import annotations

import re
from decimal import Decimal

from relo_dsl import numbers, times
from relo_dsl.diagnostics import Diagnostics
from relo_dsl.source import Span
from relo_dsl.syntax import nodes

PLAIN_NAME = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
_PARTS = re.compile(r"(\d[\d_]*(?:\.\d+)?)([^\W\d_]+)")
_ESCAPE = re.compile(r"\\(?:u\{([^}\"\\]*)\}|(.))", re.DOTALL)
_ESCAPES = {'"': '"', "\\": "\\", "n": "\n"}
_METRES = {"m": 1, "km": 1000}
#: What people write -> the unit they mean.
_MEANT = {
    **dict.fromkeys(("mins", "minute", "minutes", "mi", "mn"), "min"),
    **dict.fromkeys(("sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("day", "days", "dy"), "d"),
    **dict.fromkeys(("wk", "wks", "week", "weeks"), "w"),
    **dict.fromkeys(("millis", "msec", "millisecond", "milliseconds"), "ms"),
}
_MONTHS = ("mo", "mon", "mth", "mths", "month", "months")
_YEARS = ("y", "yr", "yrs", "year", "years", "q", "quarter", "quarters")


class Literals:
    """Makes the values of terminals; `diagnostics` gets what is wrong with them."""

    def __init__(self, diagnostics: Diagnostics) -> None:
        self.diagnostics = diagnostics

    def NAME(self, text: str, span: Span) -> nodes.Name:
        return nodes.Name(text, span)

    def QUOTED(self, text: str, span: Span) -> nodes.Name:
        return nodes.Name(text[1:-1].replace("``", "`"), span)

    def STRING(self, text: str, span: Span) -> nodes.String:
        value = text[1:-1]
        if "\\" in value:
            value = self._unescape(value, span.start + 1)
        return nodes.String(value, span)

    def NUMBER(self, text: str, span: Span) -> nodes.Number:
        return nodes.Number(self.decimal(text, span), False, span)

    def PERCENT(self, text: str, span: Span) -> nodes.Number:
        value = self.decimal(text[:-1], span)
        if value > 100:
            self.diagnostics.report(
                "number-out-of-range", span, f"expected a share of at most `100%`, found `{text}`"
            )
        return nodes.Number(value, True, span)

    def QUANTITY(self, text: str, span: Span) -> tuple[str, Span]:
        return text, span

    def DATE(self, text: str, span: Span) -> nodes.Date:
        try:
            times.parse_instant(text)
        except times.TimeError as error:
            self._report_date(text, span, str(error))
        return nodes.Date(text, span)

    def _report_date(self, text: str, span: Span, why: str) -> None:
        short = re.fullmatch(r"(\d{4})-(\d{1,2})-(\d{1,2})", text)
        padded = f"{short[1]}-{short[2]:0>2}-{short[3]:0>2}" if short else text
        self.diagnostics.report(
            "date",
            span,
            f"expected a date that exists, found `{text}`",
            help="month and day take two digits each" if padded != text else why,
            replacement=padded if padded != text else None,
        )

    def _unescape(self, value: str, offset: int) -> str:
        """The text behind the escapes; `offset` is where it starts in the source."""

        def read(found: re.Match[str]) -> str:
            code, char = found.groups()
            if char is not None and char in _ESCAPES:
                return _ESCAPES[char]
            if code is not None and re.fullmatch(r"[0-9a-fA-F]{1,6}", code):
                point = int(code, 16)
                if point <= 0x10FFFF and not 0xD800 <= point <= 0xDFFF:
                    return chr(point)
            self.diagnostics.report(
                "invalid-escape",
                Span(offset + found.start(), offset + found.end()),
                f"expected an escape that exists, found `{found.group()}`",
                help='in a string stand `\\"`, `\\\\`, `\\n` and `\\u{…}` with a code point in hex',
                replacement="\\\\" + found.group()[1:] if char is not None else None,
            )
            return found.group()

        return _ESCAPE.sub(read, value)

    def decimal(self, text: str, span: Span) -> Decimal:
        """An exact number; 0 where it does not fit."""
        try:
            return numbers.exact(text.replace("_", ""))
        except numbers.NumberError as error:
            self.diagnostics.report(
                "number-out-of-range",
                span,
                f"expected a number that fits, found `{text}`",
                help=str(error),
            )
            return Decimal(0)

    def whole(self, number: nodes.Number, least: int = 1) -> int:
        """A whole number of at least `least`; that where it is none."""
        if number.value == number.value.to_integral_value() and number.value >= least:
            return int(number.value)
        self.diagnostics.report(
            "number-out-of-range",
            number.span,
            f"expected a whole number of at least {least}, found `{numbers.plain(number.value)}`",
        )
        return least

    def read_duration(self, text: str, span: Span) -> nodes.Duration:
        """A duration; 0 milliseconds where it is unreadable, which no readable one has."""
        try:
            return nodes.Duration(times.parse_duration(text), span, text)
        except times.TimeError as error:
            self._report_duration(text, span, str(error))
            return nodes.Duration(0, span)

    def _report_duration(self, text: str, span: Span, why: str) -> None:
        parts = _PARTS.findall(text)
        unknown = [unit for _, unit in parts if unit not in times.UNITS]
        if not unknown or _PARTS.sub("", text):
            self.diagnostics.report(
                "duration", span, f"expected a duration such as `30d`, found `{text}`", help=why
            )
            return
        unit = unknown[0]
        meant = _MEANT.get(unit.lower(), unit.lower())
        replacement = None
        if unit in ("m", "M"):
            replacement = text.replace(unit, "min")
            advice = (
                "`m` could be minutes or months: write `min` for minutes, or a calendar window "
                "such as `within 1 calendar months`"
            )
        elif meant in _MONTHS or meant in _YEARS:
            advice = "months and years differ in length: count days, or write `calendar months`"
        elif meant in times.UNITS:
            replacement = "".join(
                count + (meant if name == unit else name) for count, name in parts
            )
            advice = f"did you mean `{meant}`?"
        else:
            advice = "the units are `ms`, `s`, `min`, `h`, `d` (24 hours) and `w` (7 days)"
        self.diagnostics.report(
            "unknown-unit",
            span,
            f"expected a unit of time, found `{unit}`",
            help=advice,
            replacement=replacement,
        )

    def metres(self, text: str, span: Span) -> Decimal:
        """A length in metres; 1 where it is unreadable."""
        parts = _PARTS.fullmatch(text)
        unit = parts.group(2) if parts else text.lstrip("0123456789_.")
        if parts is None or unit not in _METRES:
            self.diagnostics.report(
                "unknown-unit",
                span,
                f"expected a unit of length, found `{unit}`",
                help="the units of length are `m` and `km`",
            )
            return Decimal(1)
        value = self.decimal(parts.group(1), span) * _METRES[unit]
        if value <= 0:
            self.diagnostics.report(
                "number-out-of-range", span, f"expected a length above zero, found `{text}`"
            )
            return Decimal(1)
        return numbers.shortest(value)

    def minutes(self, text: str, span: Span) -> int:
        """Minutes after midnight of `HH:MM`; 0 where there is no such time."""
        hour, minute = (int(part) for part in text.split(":"))
        if len(text) != 5 or hour > 23 or minute > 59:
            self.diagnostics.report(
                "date", span, f"expected a time from `00:00` to `23:59`, found `{text}`"
            )
            return 0
        return hour * 60 + minute

    def check_name(self, name: nodes.Name, source: str) -> None:
        """Reports a name that would need backticks; `source` is how it is written.

        An empty one stands for a name that was missing, which is already reported.
        """
        if not source or source[0] == "`" or PLAIN_NAME.fullmatch(source):
            return
        self.diagnostics.report(
            "syntax",
            name.span,
            f"expected a name of small letters, digits and `_`, found `{source}`",
            help="any other name stands in backticks",
            replacement=f"`{source}`",
        )
