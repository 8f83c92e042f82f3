"""Shards, headers, and reading them back as tables."""

from rllc.suite.errors import RecordsError
from rllc.suite.records.folders import check_writable, folder
from rllc.suite.records.frames import FIELDS, Records, curve_table, load
from rllc.suite.records.notebook import read
from rllc.suite.records.packs import move, pack
from rllc.suite.records.shards import (
    FORMAT,
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
    "folder",
    "load",
    "move",
    "pack",
    "read",
    "set_aside",
    "shards",
    "write_shard",
]
