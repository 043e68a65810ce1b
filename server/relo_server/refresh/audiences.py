"""Which definitions are published at all."""

from __future__ import annotations

from collections.abc import Sequence

from relo_dsl.errors import UserError
from relo_dsl.workspace import Workspace


def audiences(workspace: Workspace) -> list[str]:
    """The names of the definitions that are published, in their order."""
    return [name for name in workspace.names if workspace.syntax(name).kind == "audience"]


def refuse_segments(workspace: Workspace, names: Sequence[str]) -> None:
    """Raises UserError for names of segments, which are conditions and never published."""
    for name in names:
        if workspace.syntax(name).kind != "audience":
            raise UserError(
                f"`{name}` is a segment, and only audiences are published",
                f"write `audience {name}` to publish it, or build an audience that refers to it",
            )
