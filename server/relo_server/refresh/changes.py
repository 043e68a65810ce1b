"""Whether anything that audiences are made of has changed, without reading any of it."""

from __future__ import annotations

from relo_dsl.engine import Engine

#: What members are computed from.
SOURCES = ("events", "traits", "consent", "scores", "lists", "erasures")
#: The mark where none can be made: it has to count as changed.
UNKNOWN = "?"
_PARTS = """
SELECT hex(sipHash128(arraySort(groupArray((table, name, modification_time))))), count()
FROM system.parts WHERE active AND database = {d:String} AND table IN {t:Array(String)}
"""
_ELSEWHERE = """
SELECT count() FROM system.tables
WHERE database = {d:String} AND name IN {t:Array(String)} AND engine NOT LIKE '%MergeTree'
"""


def mark(engine: Engine) -> str:
    """A text that is another one after every insert, deletion or upload. Raises EngineError.

    It is made of the names of the parts that tables consist of. Every insert adds a part under a
    new name, also if it was begun before another that ended first, so a mark taken before a
    computation differs from the one after any record that the computation did not see. Merging
    parts changes it too: a refresh too many, never one too few. It is UNKNOWN where it cannot be
    told, because rows lie on other servers as well.
    """
    asked = {"d": engine.database, "t": list(SOURCES)}
    if engine.rows(_ELSEWHERE, asked)[0][0]:
        return UNKNOWN
    return str(engine.rows(_PARTS, asked)[0][0])


def with_definition(found: str, fingerprint: str) -> str:
    """A mark that is another one after a change of the definition, too."""
    return UNKNOWN if found == UNKNOWN else f"{found} {fingerprint}"
