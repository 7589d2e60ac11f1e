"""ZIP containers (Office files) from strangers: bounded before anything in them is unpacked."""

from __future__ import annotations

import zipfile
from typing import BinaryIO

from rag.errors import InputError

MAX_UNPACKED = 1_000_000_000
MAX_RATIO = 200
MAX_MEMBERS = 20_000
_OLE = b"\xd0\xcf\x11\xe0"


def check_zip(stream: BinaryIO) -> None:
    """Read the directory and rewind. Raises InputError for a damaged archive, and for a bomb by what it promises.

    The standard library stops unpacking a member at the size that is promised here, so a lie gains nothing.
    """
    if stream.read(4) == _OLE:
        raise InputError(
            "It is locked with a password, or of before 2007; save it anew, in today's format and unlocked."
        )
    try:
        with zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise InputError(f"It is a damaged ZIP container ({error}); save it again.") from error
    size, packed = sum(m.file_size for m in members), sum(m.compress_size for m in members)
    if len(members) > MAX_MEMBERS or size > MAX_UNPACKED or (size > 50_000_000 and size > MAX_RATIO * max(packed, 1)):
        raise InputError(f"It would unpack to {size:,} bytes in {len(members):,} parts, which is refused.")
    stream.seek(0)
