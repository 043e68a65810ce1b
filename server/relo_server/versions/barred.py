"""Who must not be published now, whatever was computed: by latest consent, and by erasure.

The same law as the compiler's (`relo_dsl.sql.scope`), but at the wall clock instead of T: the
latest record decides, records of one instant are ANDed, a device without one has the client's
default. A record that is dated after that cannot give anything yet, but what it takes is taken: the
clock that dated it may have been put right since.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relo_dsl.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Mapping

_ERASED = "SELECT device FROM erasures WHERE client_id = {c:UInt32}"
_DEVICES = "SELECT device FROM consent WHERE client_id = {c:UInt32} GROUP BY device HAVING "
_PAST = "time <= fromUnixTimestamp64Milli({now:Int64}, 'UTC')"
#: Odd where the record lacks consent, and larger the later it is.
_RANK = "toUnixTimestamp64Milli(time) * 2 + (bitAnd(flags, {mask:UInt8}) != {mask:UInt8})"
_LACKING = f"bitAnd(bitOr(maxIf({_RANK}, {_PAST}), max({_RANK})), 1) = 1"


@dataclass(frozen=True, slots=True)
class Bar:
    """Tests of `device` for one client, mask and instant (`now`, epoch ms of the wall clock).

    `default_flags` are those of a device without a consent record.
    """

    client: int
    mask: int
    default_flags: int
    now: int

    @property
    def allowed(self) -> str:
        """SQL: the device may be published."""
        return f"(device NOT IN ({_ERASED}) AND {self._consents})"

    @property
    def barred(self) -> str:
        """SQL: it must not be."""
        return f"(device IN ({_ERASED}) OR NOT {self._consents})"

    @property
    def _consents(self) -> str:
        if self.default_flags & self.mask == self.mask:
            return f"device NOT IN ({_DEVICES}{_LACKING})"
        return f"device IN ({_DEVICES}countIf({_PAST}) > 0 AND NOT ({_LACKING}))"

    @property
    def params(self) -> Mapping[str, object]:
        """The values that the tests need."""
        return {"c": self.client, "mask": self.mask, "now": self.now}


def record_erasures(
    engine: Engine, client: int, devices: Sequence[bytes], now: int, *, finished: bool = False
) -> None:
    """Notes devices (16-byte keys) as erased; when this returns, the ledger is on the disk.

    `withdraw` afterwards takes them out of everything that is published. `finished` notes that
    nothing of them is left.
    """
    import pyarrow as pa

    count = len(devices)
    table = pa.table(
        {
            "client_id": pa.array([client] * count, pa.uint32()),
            "device": pa.array(devices, pa.binary(16)),
            "at": pa.array([now] * count, pa.int64()).cast(pa.timestamp("ms", "UTC")),
            "finished": pa.array([int(finished)] * count, pa.uint8()),
        }
    )
    engine.insert_arrow("erasures", table, one_part=True)
