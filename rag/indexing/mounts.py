"""Which file system a folder lies on; SQLite's write-ahead log needs one that all its processes share the memory of.

Linux tells it in /proc; elsewhere nothing is known. A library (psutil) would read the same file for this one question.
"""

from __future__ import annotations

import re
from pathlib import Path

_OCTAL = re.compile(r"\\([0-7]{3})")
MOUNTS = Path("/proc/self/mountinfo")
# Seen from several machines at once, whatever they are built on.
_SHARED = {
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fuse.ceph", "fuse.davfs", "fuse.glusterfs", "fuse.rclone",
    "fuse.s3fs", "fuse.sshfs", "gfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2",
    "orangefs", "panfs", "pvfs2", "smb3", "smbfs", "virtiofs", "wekafs",
}  # fmt: skip


def shared_file_system(path: Path, mounts: Path = MOUNTS) -> str | None:
    """The kind of network file system that ``path`` lies on ('nfs4'), or None if it lies on none that is known.

    Args:
        mounts: a table as proc(5) describes ``mountinfo``.
    """
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    place, found, depth = path.absolute(), None, -1
    for line in lines:
        fields, _, about = line.partition(" - ")
        if len(parts := fields.split(" ")) < 5 or not about:
            continue
        point = Path(_OCTAL.sub(lambda m: chr(int(m[1], 8)), parts[4]))  # a blank is written as \\040
        if place.is_relative_to(point) and len(point.parts) >= depth:  # a later mount hides an earlier one
            found, depth = about.split(" ", 1)[0], len(point.parts)
    return found if found in _SHARED else None


def shared_warning(path: Path, kind: str) -> str:
    """What to heed about a folder on such a file system."""
    return (
        f"{path} lies on {kind}, a network file system: use its indexes from one machine at a time, since SQLite's log "
        "and locks do not hold between several"
    )
