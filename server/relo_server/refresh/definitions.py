"""What a project says should be in a set, for checking it."""

from __future__ import annotations

from functools import partial

from relo_dsl.consent import scope
from relo_dsl.diagnostics import has_errors
from relo_dsl.setkeys import HOLDOUT
from relo_dsl.sql.lower import holdout_query, members_query
from relo_dsl.workspace import Workspace
from relo_server.versions.verify import Definition


def definition_of(workspace: Workspace, name: str) -> Definition | None:
    """The definition behind an audience's set or its holdout; None where it is gone or broken."""
    audience = name.removesuffix(HOLDOUT)
    if audience not in workspace:
        return None
    if has_errors(workspace.errors_of([audience])):
        return None
    scoped = scope(workspace.plan(audience))
    shares = scoped.plan.shares
    if name == audience:
        return Definition(partial(members_query, scoped), scoped.plan.fingerprint)
    if shares is None or shares.holdout is None:
        return None
    return Definition(partial(holdout_query, scoped), scoped.plan.fingerprint)
