"""Settings: `relo.toml`, found upwards; `RELO_*` variables above it; keywords (flags) above both.

A wrong setting is a `SettingsError` that names the file and line, the variable or the flag, and the
nearest valid key.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings import SettingsError as UnreadableVariable

from relo_dsl.diagnostics import nearest
from relo_dsl.errors import UserError

FILE_NAME = "relo.toml"
PREFIX = "RELO_"
NESTED = "__"

# Variables that begin with RELO_ and are no settings.
OTHER_VARIABLES = frozenset({"RELO_DEBUG", "RELO_CI", "RELO_TOKEN"})

EVENT_SCHEMES = ("http", "https", "clickhouse", "clickhouses")
SET_SCHEMES = ("redis", "rediss", "unix")
PLATFORM_SCHEMES = ("postgresql",)


class SettingsError(UserError):
    """One or more settings are wrong; the message has a line for each, with its place."""


def _no_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("expected a number, found a boolean")
    return value


Count = Annotated[int, BeforeValidator(_no_boolean)]


class Limits(BaseModel):
    """What one compiled query may use before the engine stops it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_seconds: Count = Field(60, ge=1)
    max_memory_bytes: Count = Field(4 * 2**30, ge=2**20)
    max_rows_to_read: Count = Field(10_000_000_000, ge=1)

    @property
    def spill_bytes(self) -> int:
        """From here on groups go to disk, which is many times slower than memory."""
        return self.max_memory_bytes // 4 * 3


class Schedule(BaseModel):
    """How the scheduler goes about its work; times are in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_delay: Count = Field(900, ge=0)
    """The longest that an audience starts late so that not all start at once; 0: none does."""
    attempts: Count = Field(4, ge=1)
    """How often a refresh is tried before the audience counts as failing."""
    retry_after: Count = Field(30, ge=1)
    """The wait after the first failure; each one after that waits twice as long."""
    max_retry_after: Count = Field(600, ge=1)
    """The longest wait between two attempts."""
    batch: Count = Field(200, ge=1)
    """How many audiences of a client are refreshed together before another client has its turn."""
    lease: Count = Field(30, ge=1)
    """How long a client stays with a process that is not heard of any more."""


Share = Annotated[Decimal, BeforeValidator(_no_boolean)]


class Publishing(BaseModel):
    """What keeps a refresh from being published, and how much of the past is kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    smallest_share: Share = Field(Decimal("0.5"), ge=0, le=1)
    """Of the last version's members; less is held back. 0: nothing is."""
    largest_share: Share = Field(Decimal(3), ge=1)
    """Of the last version's members; more is held back."""
    compared_from: Count = Field(100, ge=1)
    """Members of the last version from which on its size says something about the next."""
    keep_versions: Count = Field(100, ge=2)
    """So many versions, at least, can be gone back to and compared."""


class Keeping(BaseModel):
    """How many days something is kept after it was last confirmed; events have the catalog's
    `retention`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    profile_days: Count = Field(90, ge=1)
    """Traits and scores of a device, after its last record of any kind."""
    membership_days: Count = Field(90, ge=1)
    """Who is in an audience, after the last refresh, where its `ttl` is not over sooner; and who
    was in an older version of it.
    """


class Service(BaseModel):
    """What callers of the service may ask of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests_per_minute: Count = Field(1_200, ge=1)
    """Of one token or person."""
    client_requests_per_minute: Count = Field(6_000, ge=1)
    """Of one client, all its tokens and people together."""
    largest_body: Count = Field(4 * 2**20, ge=1_024)
    """Bytes of the largest request."""
    preview_rows: Count = Field(5_000_000_000, ge=1)
    """Events that one preview may read, by what is known before it runs."""
    origins: tuple[str, ...] = ()
    """Web pages, `https://console.example`, whose scripts may call it; none unless named."""
    tracing: str | None = Field(None, pattern="^https?://[^/]")
    """The collector (OTLP over HTTP) that spans go to, `http://localhost:4318`; none unless named.
    """


class App(BaseModel):
    """A mobile app whose postbacks are taken."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    client: Count = Field(ge=0, lt=2**32)
    """Whose app it is."""
    keys: tuple[SecretStr, ...] = Field((), max_length=2)
    """With which postbacks are signed; two while one replaces the other."""
    unsigned: bool = False
    """Postbacks that are not signed are taken as well: anybody can send one."""
    token: SecretStr | None = None
    """Of AppsFlyer's API (V2): its raw-data reports are taken every hour."""

    @model_validator(mode="after")
    def _signed_or_not(self) -> Self:
        if not self.keys and not self.unsigned and self.token is None:
            raise ValueError("give `keys`, `unsigned = true`, or a `token` for reports alone")
        return self


class Pull(BaseModel):
    """How the raw-data reports of apps with a token are taken."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field("https://hq1.appsflyer.com", pattern="^https?://[^/]+$")
    reports: tuple[Annotated[str, Field(pattern="^[a-z0-9_-]{1,60}$")], ...] = (
        "installs_report", "in_app_events_report", "uninstall_events_report", "installs-retarget",
    )  # fmt: skip
    overlap_hours: Count = Field(26, ge=0, le=2_000)
    """How late rows may come: uninstalls come once a day."""
    first_hours: Count = Field(24, ge=1, le=2_000)
    """So far back the first time."""
    most_rows: Count = Field(1_000_000, ge=1)
    """Of one answer, as AppsFlyer limits it; a time that has more is taken in parts."""
    timeout: Count = Field(120, ge=1)
    """Seconds without a byte until a report is given up."""


class Signature(BaseModel):
    """How postbacks are signed; no public document of AppsFlyer says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    header: str = "X-Signature"
    encoding: Literal["hex", "base64"] = "hex"
    replay_hours: Count = Field(168, ge=1)
    """Messages that tell of something older are refused; younger ones count once."""


class Ingest(BaseModel):
    """How events are taken in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    largest_batch: Count = Field(32 * 2**20, ge=1_024)
    """Bytes of one batch, unpacked."""
    batch_events: Count = Field(10_000, ge=1)
    """Events of one batch."""
    recent_ids: Count = Field(1_000_000, ge=2)
    """So many ids of late are remembered, to tell copies at once; 64 bytes each."""
    spool_bytes: Count = Field(8 * 2**30, ge=2**20)
    """What may wait on disk for the engine; more goes to `overflow`, or is refused."""
    overflow: str = "overflow"
    """Where that goes: a folder, which starts at `data`, or a URL of object storage such as
    `s3://bucket/prefix`; empty: nowhere."""
    calling_code: str | None = Field(None, pattern="^[1-9][0-9]{0,2}$")
    """Of phones that are sent without one: `52`."""
    origins: dict[str, tuple[str, ...]] = {}
    """By client, the origins whose pages may send events: {"3": ("https://shop.example",)}."""
    app_schemes: tuple[Annotated[str, Field(pattern="^[a-z][a-z0-9+.-]{2,39}$")], ...] = ()
    """Schemes of apps that click links may lead to, besides https."""
    apps: dict[str, App] = {}
    """Mobile apps by their ids, `com.example.shop` or `id123456789`."""
    signature: Signature = Signature()
    pull: Pull = Pull()
    places: Path | None = None
    """A file in MaxMind's format that tells country and city of an address; None: the countries
    that the extra `geo` brings along."""
    currencies: dict[
        Annotated[str, Field(pattern="^[0-9]{1,10}$")],
        Annotated[str, Field(pattern="^[A-Z]{3}$")],
    ] = {}
    """By client, the currency that `revenue` is also told in, as `revenue_local`: {"3": "MXN"}."""
    rates: Path | None = None
    """A CSV file of rates, `day,from,to,rate`."""


class Settings(BaseSettings):
    """Everything a project configures. `Settings.load()` reads file and environment.

    The constructor itself reads neither. Paths are absolute: relative ones in `relo.toml` and the
    defaults start at `root`, those in variables and keywords at the current folder.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        env_prefix=PREFIX,
        env_nested_delimiter=NESTED,
    )

    root: Path = Field(default_factory=Path.cwd)
    """The folder of `relo.toml`, or the current folder where there is none."""
    client: Count | None = Field(None, ge=0, lt=2**32)
    """The client of definitions that name none."""
    timezone: str = "UTC"
    """IANA name; for definitions that name none."""
    catalog: Path = Path("segments/catalog.yaml")
    segments: Path = Path("segments")
    """The folder with the project's `.seg` files."""
    events: str = "embedded"
    """`embedded`, or the URL of a ClickHouse server."""
    sets: str = "embedded"
    """`embedded`, or the URL of a Redis, Valkey or Dragonfly."""
    platform: str = "embedded"
    """`embedded`, or the URL of a PostgreSQL database: users, tokens, definitions, the audit."""
    data: Path = Path(".relo")
    """The folder of the embedded engine, the embedded sets and the installation's key."""
    database: str = "default"
    """The ClickHouse database."""
    cluster: str | None = None
    """The name of the cluster that the ClickHouse server of `events` is a node of."""
    key: SecretStr | None = None
    """The installation's key, 64 hex digits; None: the file `key` in `data`."""
    limits: Limits = Limits()
    schedule: Schedule = Schedule()
    publishing: Publishing = Publishing()
    keeping: Keeping = Keeping()
    service: Service = Service()
    ingest: Ingest = Ingest()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Keywords only: `load` merges the sources itself, to know which one a mistake is in."""
        return (init_settings,)

    @field_validator("catalog", "segments", "data")
    @classmethod
    def _from_root(cls, value: Path, info: ValidationInfo) -> Path:
        return _absolute(value, info)

    @field_validator("ingest")
    @classmethod
    def _files_from_root(cls, value: Ingest, info: ValidationInfo) -> Ingest:
        files = {"places": value.places, "rates": value.rates}
        return value.model_copy(
            update={k: _absolute(path, info) for k, path in files.items() if path is not None}
        )

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ValueError, OSError, KeyError):
            close = nearest(value, available_timezones(), limit=1)
            advice = (
                f"; did you mean `{close[0]}`?" if close else "; use a name like `Europe/Madrid`"
            )
            raise ValueError(f"no time zone is called `{value}`{advice}") from None
        return value

    @field_validator("events")
    @classmethod
    def _event_store(cls, value: str) -> str:
        return _store(value, EVENT_SCHEMES, "the URL of a ClickHouse server")

    @field_validator("sets")
    @classmethod
    def _set_store(cls, value: str) -> str:
        return _store(value, SET_SCHEMES, "the URL of a Redis, Valkey or Dragonfly")

    @field_validator("platform")
    @classmethod
    def _platform_store(cls, value: str) -> str:
        return _store(value, PLATFORM_SCHEMES, "the URL of a PostgreSQL database")

    @field_validator("cluster")
    @classmethod
    def _of_a_server(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("events", "embedded") == "embedded":
            raise ValueError("a cluster needs `events`, the URL of one of its nodes")
        return value

    @field_validator("database", "cluster")
    @classmethod
    def _plain_name(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,62}", value):
            raise ValueError("expected a name of letters, digits and `_`")
        return value

    @field_validator("key")
    @classmethod
    def _hex_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", value.get_secret_value()):
            raise ValueError("expected 64 hex digits")
        return value

    @classmethod
    def load(cls, start: Path | None = None, **overrides: object) -> Self:
        """Read `relo.toml` (found upwards from `start`, or the current folder) and `RELO_*`.

        `overrides` stand above both; those that are None count as not given.
        Raises SettingsError with one line for each wrong setting.
        """
        file = find_file(start or Path.cwd())
        root = file.parent if file else (start or Path.cwd()).absolute()
        sources = _Sources(
            file=_read_file(file) if file else {},
            environment=_read_environment(),
            flags={name: value for name, value in overrides.items() if value is not None},
            path=file,
        )
        sources.refuse_unknown()
        try:
            return cls.model_validate({"root": root, **sources.merged()})
        except ValidationError as error:
            raise SettingsError("\n".join(sources.explain(error))) from None


def _absolute(value: Path, info: ValidationInfo) -> Path:
    """A path that starts at the folder of `relo.toml`."""
    root = info.data.get("root", Path.cwd())
    return Path(os.path.normpath(root / value.expanduser()))


#: The settings that are tables of settings.
_TABLES: dict[str, type[BaseModel]] = {
    "ingest": Ingest,
    "keeping": Keeping,
    "limits": Limits,
    "publishing": Publishing,
    "schedule": Schedule,
    "service": Service,
}

Tree = dict[str, object]
Place = tuple[str, ...]


def find_file(start: Path) -> Path | None:
    """The nearest `relo.toml` in `start` or a folder above it."""
    start = start.absolute()
    for folder in (start, *start.parents):
        if (file := folder / FILE_NAME).is_file():
            return file
    return None


class _Sources:
    """The three places settings come from, kept apart until all is known to be right."""

    def __init__(self, file: Tree, environment: Tree, flags: Tree, path: Path | None) -> None:
        self.file = file
        self.environment = environment
        self.flags = flags
        self.path = path

    def merged(self) -> Tree:
        """One tree, flags above the environment above the file; paths made absolute."""
        here = Path.cwd()
        environment = _with_paths(self.environment, here)
        return _merge(_merge(self.file, environment), _with_paths(self.flags, here))

    def refuse_unknown(self) -> None:
        """Raise SettingsError for keys that no setting has, with the nearest that one has."""
        problems = [
            f"{self._where(place)}: unknown setting `{'.'.join(place)}`; "
            f"{_advice(place[-1], known, str)}"
            for tree in (self.file, self.flags)
            for place, known in _unknown(tree)
        ]
        problems += [
            f"unknown environment variable `{_variable(place)}`; "
            f"{_advice(place[-1], known, partial(_sibling, place))}"
            for place, known in _unknown(_variables())
        ]
        if problems:
            raise SettingsError("\n".join(problems))

    def explain(self, error: ValidationError) -> Iterator[str]:
        """A line for each wrong value: its place, its name and what was expected."""
        for item in error.errors(include_url=False):
            place = tuple(str(part) for part in item["loc"])
            message = item["msg"].removeprefix("Value error, ")
            if message.startswith("Input should be "):
                message = f"expected {message.removeprefix('Input should be ')}"
                # A secret is not repeated in a message.
                if place[0] != "key":
                    message += f", found {_shown(item['input'])}"
            where = self._where(place)
            name = ".".join(place)
            yield f"{where}: {message}" if where.endswith("`") else f"{where}: `{name}`: {message}"

    def _where(self, place: Place) -> str:
        if _holds(self.flags, place):
            return f"`--{place[0].replace('_', '-')}`"
        if _holds(self.environment, place):
            return f"environment variable `{_variable(place)}`"
        if self.path is None:
            return "settings"
        line = _line_of(self.path.read_text(encoding="utf-8"), place)
        return f"{_short(self.path)}, line {line}" if line else _short(self.path)


def _read_file(path: Path) -> Tree:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        found = re.fullmatch(r"(.*) \(at line (\d+), column (\d+)\)", str(error))
        where = f", line {found[2]}, column {found[3]}" if found else ""
        reason = found[1] if found else str(error)
        reason = reason[:1].lower() + reason[1:]
        raise SettingsError(f"{_short(path)}{where}: not TOML: {reason}") from None
    except (UnicodeDecodeError, OSError) as error:
        raise SettingsError(f"{_short(path)}: cannot be read: {error}") from None


def _read_environment() -> Tree:
    """`RELO_LIMITS__MAX_SECONDS=5` as {"limits": {"max_seconds": "5"}}; names are not checked."""
    try:
        return EnvSettingsSource(Settings)()
    except UnreadableVariable as error:
        cause = error.__cause__ or error
        field = re.search(r'field "(\w+)"', str(error))
        variable = _variable((field[1],)) if field else f"{PREFIX}…"
        raise SettingsError(f"environment variable `{variable}`: not JSON: {cause}") from None


def _variables() -> Tree:
    """The names of all `RELO_*` variables as a tree."""
    tree: Tree = {}
    for variable in os.environ:
        if variable.startswith(PREFIX) and variable not in OTHER_VARIABLES:
            *folders, name = variable.removeprefix(PREFIX).lower().split(NESTED)
            branch: Tree = {name: None}
            for folder in reversed(folders):
                branch = {folder: branch}
            tree = _merge(tree, branch)
    return tree


def _unknown(tree: Tree) -> Iterator[tuple[Place, list[str]]]:
    """The places of keys that no setting has, each with the keys that could stand there."""
    settings = [name for name in Settings.model_fields if name != "root"]
    for name, value in tree.items():
        if name not in settings:
            yield (name,), settings
        elif name in _TABLES and isinstance(value, dict):
            yield from _unknown_in((name,), value, _TABLES[name])


def _unknown_in(
    above: Place, table: Tree, model: type[BaseModel]
) -> Iterator[tuple[Place, list[str]]]:
    for name in table:
        if name not in model.model_fields:
            yield (*above, name), list(model.model_fields)


def _with_paths(tree: Tree, folder: Path) -> Tree:
    """`tree` with its relative paths starting at `folder`."""
    return {
        name: folder / Path(value).expanduser()
        if name in ("catalog", "segments", "data") and isinstance(value, str | Path)
        else value
        for name, value in tree.items()
    }


def _merge(below: Mapping[str, object], above: Mapping[str, object]) -> Tree:
    merged = dict(below)
    for name, value in above.items():
        old = merged.get(name)
        both = isinstance(old, dict) and isinstance(value, dict)
        merged[name] = _merge(old, value) if both else value  # type: ignore[arg-type]
    return merged


def _holds(tree: Tree, place: Place) -> bool:
    branch: object = tree
    for part in place:
        if not isinstance(branch, dict) or part not in branch:
            return False
        branch = branch[part]
    return True


def _variable(place: Place) -> str:
    return PREFIX + NESTED.join(place).upper()


def _line_of(text: str, place: Place) -> int | None:
    """The line (from 1) where TOML `text` gives the key at `place`, or else opens its table."""
    table: Place = ()
    best: tuple[int, int] | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[{1,2}([^\]]+)\]", line):
            table = full = _parts(header[1])
        elif key := re.match(r"\s*([\w\-\"'. ]+?)\s*=", line):
            full = (*table, *_parts(key[1]))
        else:
            continue
        if full == place:
            return number
        if full == place[: len(full)] and (best is None or len(full) > best[0]):
            best = (len(full), number)
    return best[1] if best else None


def _parts(key: str) -> Place:
    return tuple(part.strip().strip("\"'") for part in key.split("."))


def _store(value: str, schemes: tuple[str, ...], what: str) -> str:
    """`value` if it is `embedded` or a URL with one of `schemes` and a host (unix: a path)."""
    if value == "embedded":
        return value
    forms = ", ".join(f"`{scheme}://`" for scheme in schemes)
    try:
        url = urlsplit(value)
        # PostgreSQL names the folder of a socket in `?host=`.
        where = url.path if url.scheme == "unix" else url.hostname
        if url.scheme == "postgresql":
            where = where or "".join(parse_qs(url.query).get("host", ()))
        complete = bool(where) and url.port != 0
    except ValueError:
        url, complete = urlsplit(""), False
    if url.scheme not in schemes or not complete:
        raise ValueError(
            f"expected `embedded` or {what} ({forms}), found `{_without_password(value)}`"
        )
    return value


def _without_password(url: str) -> str:
    return re.sub(r"(//[^/@:]*):[^/@]*@", r"\1:…@", url)


def _shown(value: object) -> str:
    text = f"`{value}`" if isinstance(value, str | int | float | Path) else type(value).__name__
    return text if len(text) <= 80 else f"{text[:79]}…`"


def _advice(name: str, known: Iterable[str], shown: Callable[[str], str]) -> str:
    """The valid name nearest to `name`, or all of them where none is near."""
    names = sorted(known)
    if close := nearest(name, names, limit=1):
        return f"did you mean `{shown(close[0])}`?"
    return "known: " + ", ".join(f"`{shown(known_name)}`" for known_name in names)


def _sibling(place: Place, name: str) -> str:
    return _variable((*place[:-1], name))


def _short(path: Path) -> str:
    """`path` relative to the current folder where it lies below it."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
