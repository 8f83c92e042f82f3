"""Shards, headers, and reading them back as tables."""

from rllc.suite.errors import RecordsError
from rllc.suite.records.frames import FIELDS, Records, curve_table, load
from rllc.suite.records.packs import move, pack
from rllc.suite.records.shards import (
    FORMAT,
    check_writable,
    finished,
    set_aside,
    shards,
    write_shard,
)

__all__ = [
    "FIELDS",
    "FORMAT",
    "Records",
    "RecordsError",
    "check_writable",
    "curve_table",
    "finished",
    "load",
    "move",
    "pack",
    "set_aside",
    "shards",
    "write_shard",
]
