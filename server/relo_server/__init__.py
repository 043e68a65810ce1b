"""The service around the language: stored events, published sets, refreshes."""

from __future__ import annotations
