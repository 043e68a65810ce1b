"""What the alternatives of an `or` have in common is asked once.

`(a and b) or (a and c)` is `a and (b or c)`: the part in common is computed once, and the rest
often becomes one scan.
"""

from __future__ import annotations

from relo_dsl.terms import And, Condition, Not, Or


def factored(condition: Condition) -> Condition:
    """A condition that means the same."""
    match condition:
        case Not(operand):
            return Not(factored(operand))
        case And(operands):
            return And(tuple(factored(operand) for operand in operands))
        case Or(operands):
            return _factored_or(tuple(factored(operand) for operand in operands))
        case _:
            return condition


def _factored_or(alternatives: tuple[Condition, ...]) -> Condition:
    parts = [a.operands if isinstance(a, And) else (a,) for a in alternatives]
    common = [p for p in parts[0] if all(p in others for others in parts[1:])]
    if not common:
        return Or(alternatives)
    rests = [tuple(p for p in own if p not in common) for own in parts]
    if not all(rests):  # one alternative asks for nothing more, so the others do not matter
        return common[0] if len(common) == 1 else And(tuple(common))
    either = Or(tuple(rest[0] if len(rest) == 1 else And(rest) for rest in rests))
    return And((*common, either))
