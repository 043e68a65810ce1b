"""The naive evaluator: the specification, executed line by line and without haste.

It decides what is right. SQL and everything else that computes a definition must give the same
members for the same records at every instant, so nothing here is clever: one device at a time, one
event at a time, exact decimals, no sharing. It does no I/O and knows no clock: T is an argument.

Devices stand under the ids they came with. Instants are epoch milliseconds.
"""

from relo_dsl.interpret.conditions import Context, Lists, holds
from relo_dsl.interpret.history import ConsentRecord, Device, Event, History
from relo_dsl.interpret.measures import quantity, selected
from relo_dsl.interpret.members import NO_LISTS, candidates, chosen, context_of, holdout, members
from relo_dsl.interpret.predicates import test
from relo_dsl.interpret.values import read, typed
from relo_dsl.interpret.visibility import DeviceView, consented, exists, view

__all__ = [
    "NO_LISTS",
    "ConsentRecord",
    "Context",
    "Device",
    "DeviceView",
    "Event",
    "History",
    "Lists",
    "candidates",
    "chosen",
    "consented",
    "context_of",
    "exists",
    "holdout",
    "holds",
    "members",
    "quantity",
    "read",
    "selected",
    "test",
    "typed",
    "view",
]
