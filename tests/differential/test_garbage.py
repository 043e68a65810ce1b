"""Whatever is written, checking it gives diagnostics; and what has no errors runs."""

from __future__ import annotations

from relo_dsl.consent import scope
from relo_dsl.diagnostics import render_all
from relo_dsl.interpret import History, members
from relo_dsl.source import SourceFile
from relo_dsl.sql.lower import members_query
from relo_dsl.workspace import Workspace
from tests.differential.collect import collect
from tests.differential.garbage import spoilt
from tests.differential.histories import INSTANTS
from tests.differential.world import CATALOG, LISTS

_TEXTS = 1_500


def test_nothing_written_makes_the_compiler_crash() -> None:
    cases, _ = collect(60, 11)
    history = History.of(cases[0].records(3), client=3)
    sound = 0
    for text in spoilt([case.text for case in cases], _TEXTS, seed=11):
        workspace = Workspace(CATALOG, client=3, lists=frozenset(LISTS))
        workspace.add(SourceFile("spoilt.seg", text))
        try:
            render_all(workspace.check())
            if not workspace.has_errors:
                for name in workspace.names:
                    plan = scope(workspace.plan(name))
                    members(plan, history, INSTANTS[0], dict.fromkeys(LISTS, frozenset()))
                    members_query(plan, INSTANTS[0])
                    sound += 1
        except Exception as error:
            raise AssertionError(text) from error
    assert sound > _TEXTS // 50
