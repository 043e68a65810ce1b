"""The words around the explanations, in each language, and lengths of time in plain words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from relo_dsl.catalog import CONSENT_FLAGS, Description
from relo_dsl.times import UNITS

Language = Literal["en", "es"]
LANGUAGES: tuple[Language, ...] = ("en", "es")

_WORDS: dict[str, tuple[str, str]] = {
    "example": ("Example", "Ejemplo"),
    "more": ("More in", "Más en"),
    "at": ("At", "En"),
    "after": ("after", "después de"),
    "from": ("from", "desde"),
    "up to": ("up to", "hasta"),
    "before": ("before", "antes de"),
    "always": ("any time", "cualquier momento"),
    "nothing yet": ("nothing lies in it yet", "todavía no hay nada en ella"),
    "step": ("At most {} after the step before.", "Como mucho {} después del paso anterior."),
    "no step": ("Within {} after the step before.", "En {} después del paso anterior."),
    "audience": ("audience", "audiencia"),
    "segment": ("segment", "segmento"),
    "event": ("event", "evento"),
    "trait": ("trait", "rasgo"),
    "list": ("list", "lista"),
    "place": ("place", "lugar"),
    "zone": ("zone", "zona"),
    "score": ("score", "puntuación"),
    "destination": ("destination", "destino"),
    "consent flag": ("consent flag", "bandera de consentimiento"),
    "type": ("type of audience", "tipo de audiencia"),
    "pattern": ("RFM pattern", "patrón RFM"),
    "let": ("`let`", "`let`"),
    "property of": ("property of {}", "propiedad de {}"),
    "field": ("field", "campo"),
    "in unit": ("in {}", "en {}"),
    "one of": ("One of", "Uno de"),
    "properties": ("Properties", "Propiedades"),
    "fields": ("Fields", "Campos"),
    "needs": ("Needs the consent", "Necesita el consentimiento"),
    "minimum": ("Takes audiences from {} devices", "Acepta audiencias desde {} dispositivos"),
    "refreshed": (
        "Without `refresh` it is refreshed: {}",
        "Sin `refresh` se refresca: {}",
    ),
    "corners": ("{} corners", "{} vértices"),
    "latitude": ("latitude {}, longitude {}", "latitud {}, longitud {}"),
    "instant": ("The instant", "El instante"),
    "metres": ("{} metres", "{} metros"),
    "string": ("string", "texto"),
    "number": ("number", "número"),
    "boolean": ("boolean", "booleano"),
    "time": ("time", "tiempo"),
    "point": ("point", "punto"),
    "string[]": ("strings", "textos"),
    "number[]": ("numbers", "números"),
    "object[]": ("objects", "objetos"),
    "realtime": ("in real time", "en tiempo real"),
    "hourly": ("hourly", "cada hora"),
    "daily": ("daily", "cada día"),
    "weekly": ("weekly", "cada semana"),
}

#: What each consent flag allows.
FLAGS: dict[str, tuple[str, str]] = {
    "analytics": ("To be counted and measured.", "Ser contado y medido."),
    "personalization": (
        "To see contents chosen for them, on site and in the app.",
        "Ver contenidos elegidos para quien visita, en la web y en la aplicación.",
    ),
    "dsp": ("To be passed on to ad platforms.", "Pasar a plataformas de publicidad."),
    "cross_client": (
        "To be joined with devices of other clients.",
        "Unirse con dispositivos de otros clientes.",
    ),
    "email": ("To be written to by email.", "Recibir correos."),
    "push": ("To get push messages.", "Recibir notificaciones."),
    "extended_retention": (
        "To have events kept for longer, where a record granted it.",
        "Que los eventos se conserven más tiempo, si un registro lo concedió.",
    ),
    "reserved": ("Reserved.", "Reservada."),
}

_UNITS: dict[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "d": (("day", "days"), ("día", "días")),
    "h": (("hour", "hours"), ("hora", "horas")),
    "min": (("minute", "minutes"), ("minuto", "minutos")),
    "s": (("second", "seconds"), ("segundo", "segundos")),
    "ms": (("millisecond", "milliseconds"), ("milisegundo", "milisegundos")),
}


def word(name: str, language: Language) -> str:
    """A word or phrase of the table above; `{}` in it is for the caller to fill."""
    return _WORDS[name][LANGUAGES.index(language)]


def flag_text(name: str, language: Language) -> str:
    """What a consent flag allows, in a sentence."""
    return FLAGS[name][LANGUAGES.index(language)]


def flags(mask: int) -> str:
    """The names of the bits of a consent mask: `dsp (4), email (16)`."""
    return ", ".join(f"{name} ({bit})" for name, bit in CONSENT_FLAGS.items() if mask & bit)


def in_plain_words(millis: int, language: Language) -> str:
    """A length of time: `1 day 12 hours`."""
    parts = []
    for unit, forms in _UNITS.items():
        count, millis = divmod(millis, UNITS[unit])
        if count:
            parts.append(f"{count} {forms[LANGUAGES.index(language)][count != 1]}")
    return " ".join(parts) or f"0 {_UNITS['ms'][LANGUAGES.index(language)][1]}"


def described(description: Description, language: Language) -> str | None:
    """A description in the language asked for, or else in English, or else in whichever it has."""
    if isinstance(description, dict):
        found = description.get(language) or description.get("en")
        return found or next(iter(description.values()), None)
    return description


def quoted(names: Iterable[str], most: int = 20) -> str:
    """Names in backticks; of very many the first ones."""
    listed = list(names)
    text = ", ".join(f"`{name}`" for name in listed[:most])
    return text + (", …" if len(listed) > most else "")
