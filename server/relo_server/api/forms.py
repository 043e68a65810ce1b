"""`POST /audiences/build`: a form with the usual questions, as a definition in the language."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from relo_dsl.catalog import Catalog, PropertyType
from relo_dsl.diagnostics import did_you_mean
from relo_dsl.source import SourceFile
from relo_dsl.syntax import parse
from relo_dsl.syntax.formatter import format_file
from relo_dsl.syntax.nodes import Name, String
from relo_dsl.syntax.writing import write_name, write_string
from relo_server.api.problems import Problem

#: The event that a form is about.
PURCHASE = "purchase"
AudienceType = Literal["retargeting", "suppression", "winback", "lookalike", "cross_sell"]
_NAME = r"^[A-Za-z_][A-Za-z0-9_]{0,99}$"
_DAYS = 3_650
Value = str | bool | Decimal


class Filter(BaseModel):
    """Properties that a purchase must have: one value, or a list of which any will do.

    `require_consent` names what has to be allowed besides what the destinations need: names, or
    bits. Consent itself cannot be left out, so that `false` is an error.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Value | list[Value]]

    require_consent: bool | int | list[str] = Field(True, examples=[True])


class Form(BaseModel):
    """What an audience is to be, without a definition.

    Members have a purchase that meets `filter` and is worth `min_revenue` at least, in the last
    `within_days`; and no purchase at all in the last `inactive_days`.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "client_id": 3,
                    "name": "winback_mx_highvalue",
                    "audience_type": "winback",
                    "within_days": 180,
                    "inactive_days": 30,
                    "min_revenue": 15000,
                    "filter": {"product_line": "MX", "require_consent": True},
                }
            ]
        },
    )

    client_id: int | None = Field(None, ge=0, lt=2**32)
    name: str = Field(pattern=_NAME)
    audience_type: AudienceType
    within_days: int | None = Field(None, ge=1, le=_DAYS)
    inactive_days: int | None = Field(None, ge=1, le=_DAYS)
    min_revenue: Decimal | None = Field(None, ge=0, max_digits=29, decimal_places=9)
    filter: Filter = Field(default_factory=Filter)


def definition(form: Form, catalog: Catalog) -> str:
    """The text of the definition, laid out. Raises Problem where the form asks what cannot be."""
    lines = [f"audience {write_name(Name(form.name))}", f"  type {form.audience_type}"]
    needs = _consent(form.filter.require_consent)
    if needs:
        lines.append(f"  require consent {needs}")
    tests = [_test(name, value, catalog) for name, value in (form.filter.model_extra or {}).items()]
    if form.min_revenue is not None:
        revenue = write_name(Name(_property(catalog.rfm.revenue, catalog)))
        tests.append(f"{revenue} >= {form.min_revenue:f}")
    bought = f"{PURCHASE}[{' and '.join(tests)}]" if tests else PURCHASE
    within = f" within {form.within_days}d" if form.within_days else ""
    lines += ["match", f"  {bought}{within}"]
    if form.inactive_days:
        lines.append(f"  and no {PURCHASE} within {form.inactive_days}d")
    parsed = parse(SourceFile(form.name, "\n".join(lines)))
    return format_file(parsed.file)


def _consent(needs: bool | int | list[str]) -> str:
    if needs is False:
        raise Problem(
            422, "consent", "consent cannot be left out: nobody without it is ever in a set",
            "leave `require_consent` out, or name what has to be allowed besides",
        )  # fmt: skip
    if needs is True:
        return ""
    if isinstance(needs, int):
        return str(needs)
    for name in needs:
        if not re.fullmatch(r"[a-z_]{1,40}", name):
            raise Problem(422, "consent", f"no consent is called `{name}`")
    return ", ".join(needs)


def _property(name: str, catalog: Catalog) -> str:
    """A property that purchases have. Raises Problem, with the nearest names, for any other."""
    known = catalog.events[PURCHASE].properties if PURCHASE in catalog.events else {}
    if name not in known:
        hint, _ = did_you_mean(name, known, "property")
        raise Problem(422, "request", f"a {PURCHASE} has no property `{name}`", hint or "")
    return name


def _test(name: str, value: Value | list[Value], catalog: Catalog) -> str:
    written = write_name(Name(_property(name, catalog)))
    kind = catalog.events[PURCHASE].properties[name].type
    values = value if isinstance(value, list) else [value]
    if not values:
        raise Problem(422, "request", f"`{name}` has no value", "leave it out, or give one")
    texts = [_value(name, one, text=kind is PropertyType.STRING) for one in values]
    return f"{written} = {texts[0]}" if len(texts) == 1 else f"{written} in ({', '.join(texts)})"


def _value(name: str, value: Value, *, text: bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal) and not text:
        if not value.is_finite():
            raise Problem(422, "request", f"`{name}` is no number")
        return f"{value:f}"
    return write_string(String(str(value)))
