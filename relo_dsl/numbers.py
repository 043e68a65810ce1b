"""Numbers are exact decimals: 9 places after the point, 15 digits before it."""

from __future__ import annotations

from decimal import ROUND_DOWN, Context, Decimal, InvalidOperation

#: Places after the point, in data and in definitions.
PLACES = 9
#: Every number that comes in is smaller than this, so that exact sums over any history fit.
LIMIT = Decimal(10) ** 15
_UNIT = Decimal(1).scaleb(-PLACES)
#: Wide enough that no sum, product or quotient of numbers that came in is ever rounded.
EXACT = Context(prec=200, rounding=ROUND_DOWN)


class NumberError(ValueError):
    """A number that cannot be kept exactly; the message says why."""


def exact(value: Decimal | int | float | str) -> Decimal:
    """The value as an exact decimal, trailing zeros removed. Raises NumberError if it does not fit.

    Floats are read by their shortest decimal writing, so 0.1 is one tenth.
    """
    try:
        number = Decimal(repr(value) if isinstance(value, float) else value)
    except InvalidOperation as error:
        raise NumberError(f"`{value}` is not a number") from error
    if not number.is_finite():
        raise NumberError(f"`{value}` is not a finite number")
    if (number and number.adjusted() > 20) or abs(number) >= LIMIT:
        raise NumberError("the number has more than 15 digits before the point")
    kept = EXACT.quantize(number, _UNIT)
    if kept != number:
        raise NumberError(f"the number has more than {PLACES} places after the point")
    return shortest(kept)


def read_number(text: str) -> Decimal:
    """The number that a JSON text writes, however it ends: an exponent beyond what `Decimal` has is
    cut to one that `exact` refuses all the same. Raises ValueError for what is no number.
    """
    try:
        return Decimal(text)
    except InvalidOperation:
        digits, mark, exponent = text.lower().partition("e")
        if not mark:
            raise ValueError(f"`{text}` is not a number") from None
        small = exponent.startswith("-")
        return Decimal(f"{'-' * digits.startswith('-')}1E{'-' if small else '+'}9999")


def shortest(value: Decimal) -> Decimal:
    """The same number without trailing zeros or an exponent; minus zero is zero."""
    if value == 0:
        return Decimal(0)
    short = value.normalize(EXACT)
    exponent = short.as_tuple().exponent
    return (
        EXACT.quantize(short, Decimal(1)) if isinstance(exponent, int) and exponent > 0 else short
    )


def cut(value: Decimal) -> Decimal:
    """Cut, not rounded, after 9 places."""
    return EXACT.quantize(value, _UNIT)


def divide(left: Decimal, right: Decimal) -> Decimal | None:
    """The quotient cut after 9 places, or None for a division by zero."""
    if right == 0:
        return None
    return cut(EXACT.divide(left, right))


def calculate(op: str, left: Decimal | None, right: Decimal | None) -> Decimal | None:
    """`left OP right` of `+ - * /`, exact; None where a side is missing or zero divides."""
    if left is None or right is None:
        return None
    match op:
        case "+":
            return EXACT.add(left, right)
        case "-":
            return EXACT.subtract(left, right)
        case "*":
            return EXACT.multiply(left, right)
        case _:
            return divide(left, right)


def plain(value: Decimal) -> str:
    """The number as text without an exponent: `15000`, `0.5`."""
    return format(shortest(value), "f")
