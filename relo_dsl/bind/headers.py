"""Header statements: what a definition is called, whose it is, where and how often it goes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from relo_dsl.catalog import CONSENT_FLAGS, Catalog
from relo_dsl.diagnostics import Diagnostics, did_you_mean
from relo_dsl.syntax import nodes
from relo_dsl.times import UNITS

#: The refresh of each audience type where the definition names none (section 2 of the language).
REFRESH_BY_TYPE: dict[str, str] = {
    "retargeting": "hourly",
    "suppression": "realtime",
    "winback": "daily",
    "lookalike": "weekly",
    "cross_sell": "weekly",
}
DEFAULT_TTL = 90 * UNITS["d"]
_MAX_CLIENT = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Refresh:
    """When an audience is refreshed, in its time zone; `at` is minutes after local midnight."""

    how: Literal["realtime", "hourly", "daily", "weekly", "every", "cron"]
    at: int = 0
    day: str | None = None
    every: int | None = None
    cron: str | None = None


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a definition, checked, with every default filled in.

    `ttl` is in milliseconds, `mask` the consent its destinations and requirements need.
    """

    client: int
    timezone: str
    mask: int = 1
    label: str | None = None
    description: str | None = None
    owner: str | None = None
    type: str | None = None
    refresh: Refresh = field(default_factory=lambda: Refresh("daily"))
    exports: tuple[str, ...] = ()
    ttl: int = DEFAULT_TTL
    minimum: int = 0
    tags: tuple[str, ...] = ()


@dataclass
class HeaderBinder:
    """Reads the header statements of one definition."""

    catalog: Catalog
    found: Diagnostics
    default_client: int | None
    default_zone: str

    def bind(self, definition: nodes.Definition) -> Header:
        """The header; what is wrong is reported and takes its default."""
        by_keyword = {header.keyword: header for header in definition.headers}
        kind = self._type(by_keyword.get("type"))
        exports, mask = self._exports(by_keyword.get("export"))
        required = self._required(by_keyword.get("require consent"))
        return Header(
            client=self._client(by_keyword.get("client"), definition),
            timezone=self._zone(by_keyword.get("timezone")),
            mask=(mask or 1) | required,
            label=_text(by_keyword.get("label")),
            description=_text(by_keyword.get("description")),
            owner=_text(by_keyword.get("owner")),
            type=kind,
            refresh=self._refresh(by_keyword.get("refresh"), kind),
            exports=exports,
            ttl=_millis(by_keyword.get("ttl")),
            minimum=self._whole(by_keyword.get("minimum")) or 0,
            tags=tuple(_word(tag) for tag in _items(by_keyword.get("tags"))),
        )

    def _client(self, header: nodes.Header | None, definition: nodes.Definition) -> int:
        if header is not None:
            number = self._whole(header)
            if number is not None and number > _MAX_CLIENT:
                self._wrong(header, f"a client is a number up to {_MAX_CLIENT}")
            return min(number or 0, _MAX_CLIENT)
        if self.default_client is None:
            who = f"`{definition.name.text}`" if definition.name.text else f"the {definition.kind}"
            self.found.report(
                "missing-client",
                definition.name.span,
                f"{who} names no client, and none is configured",
                help="add a line such as `client 3`, or set `client` in relo.toml",
            )
        return self.default_client or 0

    def _zone(self, header: nodes.Header | None) -> str:
        name = _text(header)
        if name is None or header is None:
            return self.default_zone
        if _is_zone(name):
            return name
        from zoneinfo import available_timezones

        help_text, best = did_you_mean(name, available_timezones(), "time zone")
        self.found.report(
            "header-value",
            header.span,
            f"there is no time zone `{name}`",
            help=help_text if best else 'such as "America/Mexico_City" or "UTC"',
            replacement=f'timezone "{best}"' if best else None,
        )
        return self.default_zone

    def _type(self, header: nodes.Header | None) -> str | None:
        if header is None or not isinstance(header.value, nodes.Name):
            return None
        name = header.value.text
        if name not in REFRESH_BY_TYPE:
            help_text, best = did_you_mean(name, REFRESH_BY_TYPE, "type")
            self.found.report(
                "header-value",
                header.value.span,
                f"there is no audience type `{name}`",
                help=help_text,
                replacement=best,
            )
            return None
        return name

    def _refresh(self, header: nodes.Header | None, kind: str | None) -> Refresh:
        if header is None or not isinstance(header.value, nodes.Refresh):
            how = REFRESH_BY_TYPE.get(kind or "", "daily")
            return Refresh(how)  # type: ignore[arg-type]
        written = header.value
        cron = written.cron.value if written.cron else None
        if cron is not None and not _is_cron(cron):
            self._wrong(header, f"`{cron}` is not a cron expression such as `0 3 * * 1`")
        elif cron is not None and not _occurs(cron):
            self._wrong(header, f"`{cron}` names no time that ever comes")
        every = written.every.millis if written.every else None
        return Refresh(written.how, written.at or 0, written.day, every, cron)

    def _exports(self, header: nodes.Header | None) -> tuple[tuple[str, ...], int]:
        names: list[str] = []
        mask = 0
        for item in _items(header):
            name = _word(item)
            destination = self.catalog.destination(name)
            if destination is None:
                known = self.catalog.destination_names()
                help_text, best = did_you_mean(name, known, "destination")
                self.found.report(
                    "unknown-destination",
                    item.span,
                    f"there is no destination `{name}`",
                    help=help_text,
                    replacement=best,
                )
                continue
            names.append(name)
            mask |= destination.mask
        return tuple(dict.fromkeys(names)), mask

    def _required(self, header: nodes.Header | None) -> int:
        mask = 0
        for item in _items(header):
            if isinstance(item, nodes.Number):
                bits = int(item.value)
                if item.value != bits or not 1 <= bits <= 255:
                    self.found.report(
                        "header-value", item.span, "consent bits are a number from 1 to 255"
                    )
                    continue
                mask |= bits
            elif _word(item) in CONSENT_FLAGS:
                mask |= CONSENT_FLAGS[_word(item)]
            else:
                help_text, best = did_you_mean(_word(item), CONSENT_FLAGS, "consent flag")
                self.found.report(
                    "header-value",
                    item.span,
                    f"there is no consent flag `{_word(item)}`",
                    help=help_text,
                    replacement=best,
                )
        return mask

    def _whole(self, header: nodes.Header | None) -> int | None:
        if header is None or not isinstance(header.value, nodes.Number):
            return None
        value = header.value.value
        if value != int(value) or value < 0 or header.value.percent:
            self._wrong(header, f"`{header.keyword}` takes a whole number")
            return None
        return int(value)

    def _wrong(self, header: nodes.Header, message: str) -> None:
        self.found.report("header-value", header.span, message)


def _items(header: nodes.Header | None) -> tuple[nodes.Name | nodes.String | nodes.Number, ...]:
    return header.value if header is not None and isinstance(header.value, tuple) else ()


def _word(item: nodes.Name | nodes.String | nodes.Number) -> str:
    match item:
        case nodes.Name(text) | nodes.String(text):
            return text
        case nodes.Number(value):
            return str(value)


def _text(header: nodes.Header | None) -> str | None:
    if header is None or not isinstance(header.value, nodes.String):
        return None
    return header.value.value


def _millis(header: nodes.Header | None) -> int:
    if header is None or not isinstance(header.value, nodes.Duration):
        return DEFAULT_TTL
    return header.value.millis


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _is_cron(text: str) -> bool:
    from croniter import croniter  # only where a definition uses cron: it takes 30 ms to import

    # `R` stands for a number that croniter draws anew whenever it is asked.
    drawn = any(word[0] in "Rr" for word in text.split())
    return bool(croniter.is_valid(text)) and len(text.split()) == 5 and not drawn


def _occurs(text: str) -> bool:
    from croniter import CroniterBadDateError, croniter

    try:
        croniter(text, datetime(2026, 1, 1)).get_next()
    except CroniterBadDateError:
        return False
    return True
