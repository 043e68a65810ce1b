"""What the thing under the cursor means: Markdown for editors and for `relo hover`.

Files with mistakes are no obstacle: whatever could be read around the cursor is explained.
"""

from __future__ import annotations

from relo_dsl.hover.explain import Hover, hover
from relo_dsl.hover.words import LANGUAGES, Language

__all__ = ["LANGUAGES", "Hover", "Language", "hover"]
