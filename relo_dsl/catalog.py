"""The catalog: what a client's events, traits, lists and destinations are called and hold.

It is a YAML file kept beside the definitions:

    events:
      purchase:
        description: {en: A paid order, es: Una compra pagada}
        properties:
          revenue: {type: number, unit: MXN}
          tags: string[]
          products: {type: "object[]", fields: {id: string, price: number}}
    traits:
      plan: {type: string, enum: [free, premium]}
    lists:
      vip: {description: Invited by hand}
    places:
      polanco: {lat: 19.4336, lon: -99.1909}
    zones:
      centro: [[19.44, -99.15], [19.44, -99.12], [19.42, -99.12], [19.42, -99.15]]
    scores:
      churn: {description: How likely the device is to leave}
    rfm: {event: purchase, revenue: revenue, recency: [7, 30, 60, 90]}
    affinity: {event: purchase, product: products.id}
    destinations:
      crm: {consent: [email], minimum: 100}
    consent_default: opt-out
    retention: {months: 24, extended_months: 60}
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from relo_dsl.diagnostics import nearest
from relo_dsl.errors import UserError
from relo_dsl.geo import SPELLINGS, is_on_earth
from relo_dsl.numbers import LIMIT, PLACES, exact

#: A description in one language, or one text a language code (`en`, `es`, …).
Description = str | dict[str, str] | None


class PropertyType(StrEnum):
    """The types of properties and traits."""

    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    TIME = "time"
    POINT = "point"
    STRINGS = "string[]"
    NUMBERS = "number[]"
    OBJECTS = "object[]"

    @property
    def element(self) -> PropertyType:
        """The type of an array's elements; a scalar's own type."""
        return {self.STRINGS: PropertyType.STRING, self.NUMBERS: PropertyType.NUMBER}.get(
            self, self
        )


#: The consent flags by name (section 6 of the language).
CONSENT_FLAGS: dict[str, int] = {
    "analytics": 1,
    "personalization": 2,
    "dsp": 4,
    "cross_client": 8,
    "email": 16,
    "push": 32,
    "extended_retention": 64,
    "reserved": 128,
}

#: Destinations that every client has, with the consent they need.
BUILTIN_DESTINATIONS: dict[str, int] = {
    "meta": 4,
    "google_ads": 4,
    "tiktok": 4,
    "dv360": 4,
    "trade_desk": 4,
    "email": 16,
    "push": 32,
    "onsite": 2,
}


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _from_type_name(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


def _coordinates(value: Any) -> Any:
    """`[lat, lon]` and `{lat: …, lon: …}` as a pair of exact decimals."""
    if isinstance(value, dict):
        pair = next((pair for pair in SPELLINGS if set(pair) == set(value)), None)
        if pair is None:
            raise ValueError("expected the keys `lat` and `lon`")
        value = [value[part] for part in pair]
    given = value if isinstance(value, list | tuple) else ()
    numbers = [v for v in given if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(given) != 2 or len(numbers) != 2:
        raise ValueError("expected a latitude and a longitude, such as [19.4326, -99.1332]")
    return tuple(exact(number) for number in numbers)


def _on_earth(pair: tuple[Decimal, Decimal]) -> tuple[Decimal, Decimal]:
    if not is_on_earth(*pair):
        raise ValueError("a latitude lies in -90..90, a longitude in -180..180")
    return pair


#: A place, or a corner of a zone: latitude and longitude in degrees.
Point = Annotated[tuple[Decimal, Decimal], BeforeValidator(_coordinates), AfterValidator(_on_earth)]


class PropertySpec(_Model):
    """A property or trait: its type, unit, the values it may take, and what it means."""

    type: PropertyType
    unit: str | None = None
    enum: tuple[str, ...] | None = None
    description: Description = None
    fields: dict[str, Annotated[PropertySpec, BeforeValidator(_from_type_name)]] = Field(
        default_factory=dict
    )
    _readable: frozenset[PropertyType] = PrivateAttr(default=frozenset())

    @property
    def readable(self) -> frozenset[PropertyType]:
        """Other types that the data can be read as, where this one was guessed from the data."""
        return self._readable

    def also(self, *types: PropertyType) -> PropertySpec:
        """The same, with other types that the data can be read as."""
        other = self.model_copy()
        other._readable = frozenset(types)
        return other

    @model_validator(mode="after")
    def _shape(self) -> PropertySpec:
        if self.enum is not None and self.type.element is not PropertyType.STRING:
            raise ValueError("`enum` goes with strings only")
        if bool(self.fields) != (self.type is PropertyType.OBJECTS):
            raise ValueError("`object[]` takes `fields`, and nothing else does")
        for name, spec in self.fields.items():
            if spec.type.value.endswith("[]") or spec.type is PropertyType.POINT:
                what = "a point" if spec.type is PropertyType.POINT else "an array"
                raise ValueError(f"the field `{name}` must be a plain value, not {what}")
        return self


Property = Annotated[PropertySpec, BeforeValidator(_from_type_name)]


class EventSpec(_Model):
    """An event and its properties; names of nested properties are joined by dots."""

    description: Description = None
    properties: dict[str, Property] = Field(default_factory=dict)

    @cached_property
    def points(self) -> tuple[str, ...]:
        """The properties that are points."""
        return tuple(n for n, spec in self.properties.items() if spec.type is PropertyType.POINT)


class ListSpec(_Model):
    """An uploaded list of device ids."""

    description: Description = None


class ScoreSpec(_Model):
    """A score that a model writes for devices: a number."""

    description: Description = None


Grade = Annotated[int, Field(ge=1, le=5)]
Grades = tuple[Grade, Grade]
_ALL_GRADES: Grades = (1, 5)


def _from_grade(value: Any) -> Any:
    return (value, value) if isinstance(value, int) else value


class RfmPattern(_Model):
    """The scores that a pattern takes: from and to, both included; one number for both."""

    recency: Annotated[Grades, BeforeValidator(_from_grade)] = _ALL_GRADES
    frequency: Annotated[Grades, BeforeValidator(_from_grade)] = _ALL_GRADES
    monetary: Annotated[Grades, BeforeValidator(_from_grade)] = _ALL_GRADES

    @model_validator(mode="after")
    def _order(self) -> RfmPattern:
        for low, high in (self.recency, self.frequency, self.monetary):
            if low > high:
                raise ValueError(f"{low} to {high} holds no score: write the smaller one first")
        return self


#: The patterns that every client has (section 7 of the language).
RFM_PATTERNS: dict[str, RfmPattern] = {
    "champions": RfmPattern(recency=(5, 5), frequency=(5, 5), monetary=(5, 5)),
    "at_risk": RfmPattern(recency=(1, 2), frequency=(4, 5), monetary=(4, 5)),
    "new_customers": RfmPattern(recency=(5, 5), frequency=(1, 1), monetary=(1, 3)),
    "hibernating": RfmPattern(recency=(1, 1), frequency=(1, 1), monetary=(1, 1)),
}
_Days = Annotated[int, Field(ge=1, le=36_525)]
_Count = Annotated[int, Field(ge=1, le=10**9)]
_Money = Annotated[Decimal, Field(ge=0, lt=LIMIT, decimal_places=PLACES)]


class RfmSpec(_Model):
    """Recency, frequency and monetary value, each a score from 1 to 5 of a device that bought.

    `recency`: up to so many days since the last purchase for 5, 4, 3 and 2. `frequency`: at least
    so many purchases in the last `frequency_days` for 5, 4, 3 and 2. `monetary`: more than so much
    revenue ever for 5, 4 and 3, at least so much for 2.
    """

    event: str = "purchase"
    revenue: str = "revenue"
    recency: tuple[_Days, _Days, _Days, _Days] = (7, 30, 60, 90)
    frequency: tuple[_Count, _Count, _Count, _Count] = (5, 4, 3, 2)
    frequency_days: _Days = 180
    monetary: tuple[_Money, _Money, _Money, _Money] = (
        Decimal(50_000), Decimal(20_000), Decimal(8_000), Decimal(2_000),
    )  # fmt: skip
    patterns: dict[str, RfmPattern] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _steps(self) -> RfmSpec:
        if list(self.recency) != sorted(set(self.recency)):
            raise ValueError("`recency` goes from fewer days (score 5) to more (score 2)")
        for name in ("frequency", "monetary"):
            steps = list(getattr(self, name))
            if steps != sorted(set(steps), reverse=True):
                raise ValueError(f"`{name}` goes from more (score 5) to less (score 2)")
        return self

    def pattern(self, name: str) -> RfmPattern | None:
        """The pattern of that name, the client's own before the built-in ones."""
        return self.patterns.get(name) or RFM_PATTERNS.get(name)

    def pattern_names(self) -> list[str]:
        return sorted({*self.patterns, *RFM_PATTERNS})


class AffinitySpec(_Model):
    """What `affine to` looks at: the event of a purchase and the property that names products."""

    event: str
    product: str


class DestinationSpec(_Model):
    """Where audiences go: the consent it needs and the smallest audience it takes."""

    consent: tuple[str | int, ...]
    minimum: int = Field(default=0, ge=0)
    description: Description = None

    @property
    def mask(self) -> int:
        return consent_mask(self.consent)

    @model_validator(mode="after")
    def _known_flags(self) -> DestinationSpec:
        if not self.mask:
            raise ValueError("a destination needs at least one consent flag")
        return self


class Retention(_Model):
    """How many months events stay visible; `extended_months` where flag 64 was granted."""

    months: int = Field(default=24, ge=1, le=1200)
    extended_months: int = Field(default=60, ge=1, le=1200)

    @model_validator(mode="after")
    def _order(self) -> Retention:
        if self.extended_months < self.months:
            raise ValueError("`extended_months` must not be shorter than `months`")
        return self


def consent_mask(flags: tuple[str | int, ...]) -> int:
    """The bits of named or numbered flags. Raises ValueError for an unknown one."""
    mask = 0
    for flag in flags:
        if isinstance(flag, int) and 1 <= flag <= 255:
            mask |= flag
        elif isinstance(flag, str) and flag in CONSENT_FLAGS:
            mask |= CONSENT_FLAGS[flag]
        else:
            close = nearest(str(flag), CONSENT_FLAGS) or list(CONSENT_FLAGS)
            raise ValueError(f"no consent flag `{flag}`; did you mean `{close[0]}`?")
    return mask


ConsentDefault = Literal["opt-out", "opt-in"]
_FLAGS: dict[ConsentDefault, int] = {"opt-out": 255, "opt-in": 0}


class Catalog(_Model):
    """Everything a definition may name. `retention` is None where nothing was said."""

    events: dict[str, EventSpec] = Field(default_factory=dict)
    traits: dict[str, Property] = Field(default_factory=dict)
    lists: dict[str, ListSpec] = Field(default_factory=dict)
    affinity: AffinitySpec | None = None
    destinations: dict[str, DestinationSpec] = Field(default_factory=dict)
    places: dict[str, Point] = Field(default_factory=dict)
    zones: dict[str, Annotated[tuple[Point, ...], Field(min_length=3, max_length=1000)]] = Field(
        default_factory=dict
    )
    scores: dict[str, ScoreSpec] = Field(default_factory=dict)
    rfm: RfmSpec = Field(default_factory=RfmSpec)
    consent_default: ConsentDefault = "opt-out"
    consent_defaults: dict[Annotated[int, Field(ge=0, lt=2**32)], ConsentDefault] = Field(
        default_factory=dict
    )
    retention: Retention | None = None

    @property
    def default_flags(self) -> int:
        """The consent of a device without a record: 255 for opt-out, 0 for opt-in."""
        return _FLAGS[self.consent_default]

    def flags_of(self, client: int) -> int:
        """The same of a client, for which `consent_defaults` may say otherwise."""
        return _FLAGS[self.consent_defaults.get(client, self.consent_default)]

    @cached_property
    def trait_points(self) -> tuple[str, ...]:
        """The traits that are points."""
        return tuple(n for n, spec in self.traits.items() if spec.type is PropertyType.POINT)

    def all_properties(self) -> Iterator[tuple[str, PropertySpec]]:
        """Every (name, spec) of every event, each pair of name and type once."""
        seen: set[tuple[str, PropertyType, tuple[str, ...]]] = set()
        for event in self.events.values():
            for name, spec in event.properties.items():
                key = (name, spec.type, tuple(f"{k}:{v.type}" for k, v in spec.fields.items()))
                if key not in seen:
                    seen.add(key)
                    yield name, spec

    def destination(self, name: str) -> DestinationSpec | None:
        """The destination of that name, the client's own before the built-in ones."""
        if name in self.destinations:
            return self.destinations[name]
        if name in BUILTIN_DESTINATIONS:
            return DestinationSpec(consent=(BUILTIN_DESTINATIONS[name],))
        return None

    def destination_names(self) -> list[str]:
        return sorted({*self.destinations, *BUILTIN_DESTINATIONS})


def load_catalog(path: Path) -> Catalog:
    """Reads and checks a catalog file. Raises UserError that names the place and the reason."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot read the catalog {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"the catalog {path} is not UTF-8") from error
    return parse_catalog(text, str(path))


def parse_catalog(text: str, name: str = "<catalog>") -> Catalog:
    """Reads a catalog from YAML text; `name` is what errors call it."""
    try:
        raw = load_yaml(text)
    except yaml.YAMLError as error:
        raise UserError(f"the catalog {name} is not YAML: {error}") from error
    try:
        return Catalog.model_validate(raw or {})
    except ValidationError as error:
        problems = [_problem(item) for item in error.errors()]
        raise UserError(f"the catalog {name} cannot be used:\n  " + "\n  ".join(problems)) from None


def load_yaml(text: str) -> Any:
    """The values of a YAML text: a key written twice is an error, and `on` and `no` are texts.

    Raises yaml.YAMLError.
    """
    return yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506 - a SafeLoader, only stricter


def _problem(item: Any) -> str:
    where = ".".join(str(part) for part in item["loc"]) or "the file"
    if item["type"] == "extra_forbidden":
        close = nearest(str(item["loc"][-1]), _FIELD_NAMES)
        return f"{where}: unknown key" + (f"; did you mean `{close[0]}`?" if close else "")
    return f"{where}: {item['msg'].removeprefix('Value error, ')}"


_FIELD_NAMES = sorted(
    {
        name
        for model in (
            Catalog,
            EventSpec,
            PropertySpec,
            ListSpec,
            RfmSpec,
            RfmPattern,
            AffinitySpec,
            DestinationSpec,
            Retention,
        )
        for name in model.model_fields
    }
)


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML that refuses a key written twice, and reads no word but true and false as a boolean."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key `{key}` stands twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


# YAML 1.1 reads `on`, `off`, `yes`, `no` as booleans: `enum: [on, no]` would lose its words.
_UniqueKeyLoader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in pairs if tag != "tag:yaml.org,2002:bool"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_UniqueKeyLoader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf")
)
