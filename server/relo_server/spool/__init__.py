"""A log on disk that keeps what was acknowledged: written by one process, read by one.

A spool is a folder of segments. Its writer appends and acknowledges after the disk has it; its
reader takes frames in order, and releases what is stored elsewhere. They share nothing but files,
so that the reader may be another process.
"""

from relo_server.spool.errors import SpoolError, SpoolFull
from relo_server.spool.frames import Position
from relo_server.spool.reader import Frame, SpoolReader
from relo_server.spool.writer import SpoolWriter

__all__ = ["Frame", "Position", "SpoolError", "SpoolFull", "SpoolReader", "SpoolWriter"]
