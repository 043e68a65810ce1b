"""The keys that sign access tokens: which one signs now, and which are still believed.

Algorithm: Ed25519 (`EdDSA`), pinned. What the database holds are names and times; the keys are
derived from the installation's by their names (`kid`). So neither a copy of the database signs
anything, nor does a row that somebody wrote into it make a key of theirs believed.
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select
from sqlalchemy.orm import Session

from relo_dsl.times import UNITS
from relo_server.platform.models import SigningKey
from relo_server.security.keys import Purpose, derive
from relo_server.security.tokens import new_id

#: A key signs for so long; then the next one takes over by itself.
SIGNS_FOR = 30 * UNITS["d"]
#: Beyond its last signature a key is believed for as long as a token lives, and a little more.
OVERLAP = UNITS["h"]


def signing_key(installation_key: bytes, kid: str) -> Ed25519PrivateKey:
    """The key of that name."""
    return Ed25519PrivateKey.from_private_bytes(
        derive(installation_key, Purpose.ACCESS_TOKENS, kid)
    )


def current_kid(session: Session, now: int) -> str:
    """The name of the key that signs now, the newest; a new one where none does."""
    query = (
        select(SigningKey.kid)
        .where(SigningKey.signs_from <= now, SigningKey.signs_until > now)
        .order_by(SigningKey.kid.desc())
    )
    return session.scalars(query).first() or _new(session, now)


def is_believed(session: Session, kid: str, now: int) -> bool:
    """Whether signatures of that key count."""
    key = session.get(SigningKey, kid)
    return key is not None and now < key.believed_until


def rotate(session: Session, now: int) -> str:
    """A new key signs from now on; what the others signed is believed until it has expired."""
    for key in _signing(session, now):
        key.signs_until = now
        key.believed_until = now + OVERLAP
    return _new(session, now)


def distrust(session: Session, now: int) -> str:
    """As `rotate`, but nothing signed before is believed any more: everybody refreshes."""
    for key in session.scalars(select(SigningKey).where(SigningKey.believed_until > now)):
        key.signs_until = min(key.signs_until, now)
        key.believed_until = now
    return _new(session, now)


def _signing(session: Session, now: int) -> Sequence[SigningKey]:
    return session.scalars(select(SigningKey).where(SigningKey.signs_until > now)).all()


def _new(session: Session, now: int) -> str:
    key = SigningKey(
        kid=new_id(now),
        signs_from=now,
        signs_until=now + SIGNS_FOR,
        believed_until=now + SIGNS_FOR + OVERLAP,
    )
    session.add(key)
    session.flush()
    return key.kid
