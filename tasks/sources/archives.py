"""Archives from elsewhere, unpacked without trust."""

import tarfile
from pathlib import Path

from tasks.sources import formats


def extract(tar: tarfile.TarFile, folder: Path) -> None:
    """Unpacks an archive; members stay in `folder` and are no more than `formats.MOST_BYTES`.

    Raises:
      DataError: they would be.
      tarfile.TarError: a member that lies outside, is a device, or links outside.
    """
    size = 0
    for member in tar:
        size += member.size
        formats.check_size(Path(str(tar.name)), size)
        tar.extract(member, folder, filter="data")
