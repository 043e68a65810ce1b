"""A language for audiences: text in, consented SQL, members and published sets out."""

from __future__ import annotations

# Written out, because asking the package metadata would cost every command 30 ms.
__version__ = "0.1.0"
