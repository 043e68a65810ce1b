"""Spanish."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

from relo_dsl.explain.words import Owner, Unit, Words, quoted, sizes
from relo_dsl.terms import MeasureKind, Op

_UNITS = {"d": "día", "h": "hora", "min": "minuto", "s": "segundo", "ms": "milisegundo"}
_CALENDAR = {
    "day": ("día", "días"),
    "week": ("semana", "semanas"),
    "month": ("mes", "meses"),
    "quarter": ("trimestre", "trimestres"),
    "year": ("año", "años"),
}
_DAYS = {
    "monday": "los lunes",
    "tuesday": "los martes",
    "wednesday": "los miércoles",
    "thursday": "los jueves",
    "friday": "los viernes",
    "saturday": "los sábados",
    "sunday": "los domingos",
}
_OPS = {
    "=": "es",
    "!=": "no es",
    "<": "es menor que",
    "<=": "es como mucho",
    ">": "es mayor que",
    ">=": "es al menos",
}
_COUNTS = {"=": "exactamente", "<": "menos de", "<=": "como mucho", ">": "más de", ">=": "al menos"}
_MEASURES = {
    "count": "el número de {events}",
    "sum": "la suma de {prop} en {events}",
    "avg": "el promedio de {prop} en {events}",
    "min": "el menor {prop} de {events}",
    "max": "el mayor {prop} de {events}",
    "median": "la mediana de {prop} en {events}",
    "distinct": "el número de {prop} distintos de {events}",
    "days": "el número de días con {events}",
    "weeks": "el número de semanas con {events}",
    "months": "el número de meses con {events}",
}
_CALCULATED = {"+": "más", "-": "menos", "*": "por", "/": "entre"}
_TEXTS = {
    "contains": "contiene",
    "starts with": "empieza por",
    "ends with": "termina en",
    "matches": "sigue el patrón",
}
_GROUPS = {
    "all": "se cumple todo esto:",
    "some": "se cumple al menos una de estas cosas:",
    "not all": "no se cumplen todas estas cosas:",
    "none": "no se cumple ninguna de estas cosas:",
}
_FRESH = {
    "event": "solo cambia cuando se registra algo: puede estar al día en instantes",
    "time": "cambia también con el tiempo: está al día desde la siguiente actualización",
    "batch": "depende de otros dispositivos: está al día solo tras mirarlos todos",
}
_FLAGS = {
    "analytics": "analítica",
    "personalization": "personalización",
    "dsp": "exportación a plataformas de anuncios",
    "cross_client": "uso entre clientes",
    "email": "correo",
    "push": "mensajes push",
    "extended_retention": "conservación más larga",
    "reserved": "el reservado",
}
_LABELS = {
    "consent": "consentimiento que necesita",
    "fresh": "cómo de al día puede estar",
    "reads": "lo que lee",
    "events": "eventos",
    "every event": "todos",
    "traits": "rasgos",
    "lists": "listas",
    "scores": "puntuaciones",
    "back": "desde",
    "refresh": "se actualiza",
    "everything": "todo lo que se guarda",
    "after": "y después",
    "clause": "cláusula",
    "clauses": "cláusulas",
}
_KINDS = {"audience": "audiencia", "segment": "segmento"}


class Spanish(Words):
    """Spanish, in the present tense; the device is left out, as a subject is in Spanish."""

    code = "es"
    both = "y"
    either = "o"

    def duration(self, millis: int) -> str:
        parts = [f"{n} {_UNITS[unit]}{'' if n == 1 else 's'}" for n, unit in sizes(millis)]
        return self.listed(parts, "y") or "ningún tiempo"

    def value(self, value: str | Decimal | bool) -> str:
        return quoted(value, true="verdadero", false="falso")

    # ---- windows -------------------------------------------------------------------------------

    def at_any_time(self, *, negative: bool) -> str:
        return "en ningún momento" if negative else "en cualquier momento"

    def last(self, millis: int) -> str:
        return self._span("último", millis)

    def following(self, millis: int) -> str:
        return self._span("próximo", millis)

    def _span(self, word: str, millis: int) -> str:
        [(count, unit), *rest] = sizes(millis) or [(0, "ms")]
        end = "a" if unit == "h" else "o"
        word = word[:-1] + end
        if count == 1 and not rest:
            return f"en {'la' if end == 'a' else 'el'} {word} {_UNITS[unit]}"
        return f"en {'las' if end == 'a' else 'los'} {word}s {self.duration(millis)}"

    def between_ago(self, near: int, far: int) -> str:
        return f"hace entre {self.duration(near)} y {self.duration(far)}"

    def before_ago(self, millis: int) -> str:
        return f"hace al menos {self.duration(millis)}"

    def since(self, moment: str) -> str:
        return f"desde {moment}"

    def before(self, moment: str) -> str:
        return _short(f"antes de {moment}")

    def from_to(self, first: str, last: str) -> str:
        return f"de {first} a {last}"

    def from_until(self, first: str, end: str) -> str:
        return _short(f"desde {first} y antes de {end}")

    def on_day(self, day: str) -> str:
        return f"el {day}"

    def this(self, unit: Unit) -> str:
        if unit == "day":
            return "hoy"
        return f"{'esta' if unit == 'week' else 'este'} {_CALENDAR[unit][0]}"

    def past(self, unit: Unit) -> str:
        if unit == "day":
            return "ayer"
        one = _CALENDAR[unit][0]
        return f"la {one} pasada" if unit == "week" else f"el {one} pasado"

    def last_calendar(self, count: int, unit: Unit) -> str:
        one, many = _CALENDAR[unit]
        previous = "anteriores" if count > 2 else "anterior"
        name = many if count > 2 else one
        article = ("las" if unit == "week" else "los") if count > 2 else ""
        if count == 2:
            article = "la" if unit == "week" else "el"
            return f"{self.this(unit)} o {article} {name} {previous}"
        return f"{self.this(unit)} o {article} {count - 1} {name} {previous}"

    def start_of(self, unit: Unit, shift: int) -> str:
        one, many = _CALENDAR[unit]
        article = "de la" if unit == "week" else "del"
        if not shift:
            return f"el comienzo {article} {one} actual"
        count = f"{abs(shift)} {one if abs(shift) == 1 else many}"
        return f"el comienzo {article} {one} {count} {'antes' if shift < 0 else 'después'}"

    def moment_ago(self, millis: int) -> str:
        if not millis:
            return "ahora"
        return f"{'hace' if millis > 0 else 'dentro de'} {self.duration(abs(millis))}"

    # ---- predicates ----------------------------------------------------------------------------

    def named(self, name: str, owner: Owner) -> str:
        return {"event": "", "trait": "su rasgo ", "score": "su puntuación "}[owner] + f"`{name}`"

    def compared(self, what: str, op: Op, other: str) -> str:
        return f"{what} {_OPS[op]} {other}"

    def one_of(self, what: str, values: str, *, negated: bool) -> str:
        return f"{what} {'no es ninguno' if negated else 'es uno'} de {values}"

    def in_range(self, what: str, low: str, high: str, *, negated: bool) -> str:
        return f"{what} {'no ' if negated else ''}está entre {low} y {high}"

    def matches(self, what: str, how: str, text: str, *, any_case: bool) -> str:
        ending = ", en mayúsculas o minúsculas" if any_case else ""
        return f"{what} {_TEXTS[how]} {text}{ending}"

    def has(self, what: str, values: Sequence[str], *, every: bool) -> str:
        if len(values) == 1:
            return f"{what} incluye {values[0]}"
        if every:
            return f"{what} incluye {self.listed(values, 'y')}"
        return f"{what} incluye {self.listed(values, 'o')}"

    def exists(self, what: str) -> str:
        return f"{what} se conoce"

    def is_missing(self, what: str) -> str:
        return f"{what} no se conoce"

    def or_missing(self, test: str, what: str) -> str:
        return f"{test} o {what} no se conoce"

    def some_element(self, what: str, where: str) -> str:
        return f"hay uno entre {what} donde {where}"

    def lies(self, what: str, window: str) -> str:
        return f"{what} cae {window}"

    def anniversary(self, what: str, window: str) -> str:
        return f"un aniversario de {what} cae {window}"

    def near(self, what: str, distance: str, place: str) -> str:
        return f"{what} está como mucho a {distance} de {place}"

    def in_area(self, what: str, area: str | None, corners: int) -> str:
        known = f'la zona "{area}"' if area else f"un área de {corners} esquinas"
        return f"{what} está en {known}"

    def absent(self, value: bool) -> str:
        return "pasa cualquier cosa" if value else "pasa algo que nunca ocurre"

    def not_so(self, sentence: str) -> str:
        return f"no se cumple que {sentence}"

    # ---- events and measures -------------------------------------------------------------------

    def any_event(self) -> str:
        return "evento de cualquier tipo"

    def where(self, events: str, predicate: str) -> str:
        return f"{events} donde {predicate}"

    def measure(self, kind: MeasureKind, events: str, prop: str | None) -> str:
        return _MEASURES[kind].format(events=events, prop=prop)

    def calculated(self, op: str, left: str, right: str) -> str:
        return f"{left} {_CALCULATED[op]} {right}"

    # ---- conditions ----------------------------------------------------------------------------

    def did(self, events: str, window: str, *, negative: bool) -> str:
        return f"{'no tiene ningún' if negative else 'tiene al menos un'} {events} {window}"

    def counted(self, op: Op, number: str, events: str, window: str) -> str:
        if op == "!=":
            return f"no tiene exactamente {number} {events} {window}"
        return f"tiene {_COUNTS[op]} {number} {events} {window}"

    def counted_between(self, low: str, high: str, events: str, window: str) -> str:
        return f"tiene de {low} a {high} {events} {window}"

    def extreme(self, which: str, events: str, window: str | None, where: str | None) -> str:
        said = f"su {'primer' if which == 'first' else 'último'} {events}"
        if window is not None:
            said += f" fue {window}"
        if where is not None:
            said += ", y en él " if window is not None else " es uno donde "
            said += where
        return said

    def in_order(self, steps: Sequence[str]) -> str:
        return "tiene, uno tras otro, " + ", y después ".join(steps)

    def step(self, events: str, windows: Sequence[str], gap: int | None) -> str:
        said = " ".join((f"un {events}", *windows))
        return said if gap is None else f"{said} como mucho {self.duration(gap)} después"

    def then_no(self, events: str, length: int) -> str:
        return f"ningún {events} durante {self.duration(length)}, plazo ya cumplido"

    def regular(self, inner: str, at_least: int, periods: int, length: Unit | int) -> str:
        if isinstance(length, int):
            each = f"los últimos {periods} periodos de {self.duration(length)}"
        elif length == "week":
            each = f"las últimas {periods} semanas de calendario, contando la actual"
        else:
            name = _CALENDAR[length][1]
            each = f"los últimos {periods} {name} de calendario, contando el actual"
        return f"en al menos {at_least} de {each}, {inner}"

    def held(self, inner: str, length: int) -> str:
        return f"desde hace {self.duration(length)}, sin interrupción, {inner}"

    def affine(self, prop: str, events: str, product: str, at_least: int) -> str:
        return (
            f"algún {events} suyo tiene un {prop} que al menos {at_least} dispositivos con "
            f"consentimiento tienen junto a {product}, y ninguno suyo tiene {product}"
        )

    def on_list(self, name: str, *, negative: bool) -> str:
        return f"{'no ' if negative else ''}está en la lista `{name}`"

    def in_segment(self, name: str, *, negative: bool) -> str:
        return f"{'no ' if negative else ''}cumple la condición de `{name}`"

    def always(self, value: bool) -> str:
        return "es cualquier dispositivo" if value else "nada: no entra ningún dispositivo"

    def group(self, how: Literal["all", "some", "not all", "none"]) -> str:
        return _GROUPS[how]

    # ---- the whole -----------------------------------------------------------------------------

    def ranked(self, which: str, amount: str, by: str, *, share: bool) -> str:
        end = "más alto" if which == "top" else "más bajo"
        some = f"el {amount} %" if share else f"los {amount}"
        return f"de ellos se queda {some} con el valor {end}; el valor es {by}"

    def sampled(self, share: str) -> str:
        return f"se toma un {share} % de ellos, al azar y siempre los mismos"

    def held_out(self, share: str, name: str) -> str:
        return (
            f"se aparta un {share} % de ellos, al azar y siempre los mismos, y se publica como "
            f"`{name}:holdout`"
        )

    def heading(self, name: str, kind: str, client: int) -> str:
        return f"{name}, {_KINDS[kind]} del cliente {client}"

    def opening(self, *, single: bool) -> str:
        if single:
            return "un dispositivo entra cuando:"
        return "un dispositivo entra cuando se cumple todo esto:"

    def flag(self, name: str) -> str:
        return _FLAGS[name]

    def consent(self, name: str, bit: int, reasons: Sequence[str]) -> str:
        return f"{name} ({bit}), porque {self.listed(reasons, 'y')}"

    def reason(self, destination: str | None) -> str:
        return "la definición lo exige" if destination is None else f"se envía a {destination}"

    def ordinary(self) -> str:
        return "toda definición necesita al menos este"

    def fresh(self, kind: str) -> str:
        return _FRESH[kind]

    def label(self, what: str) -> str:
        return _LABELS[what]

    def refreshed(self, how: str, detail: str) -> str:
        day, _, clock = detail.partition(" ")
        return {
            "realtime": "con cada registro",
            "hourly": "cada hora",
            "daily": f"cada día a las {detail}",
            "weekly": f"cada semana, {_DAYS.get(day, day)} a las {clock}",
            "every": f"cada {detail}",
            "cron": f"según `{detail}`",
        }[how]


def _short(text: str) -> str:
    return text.replace(" de el ", " del ")
