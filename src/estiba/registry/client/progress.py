"""What pull, push and copy tell of a blob, in Docker's words."""

from __future__ import annotations

from estiba.image.progress import EXISTS_HERE, Progress, Silence

__all__ = (
    "DOWNLOADED", "DOWNLOADING", "ELSEWHERE", "EXISTS_HERE", "EXISTS_THERE", "MOUNTED", "PREPARING", "PUSHED",
    "PUSHING", "UNPACKED", "WAITING", "Progress", "Silence",
)  # fmt: skip

WAITING = "Waiting"
ELSEWHERE = "Waiting for another pull"
DOWNLOADING = "Downloading"
DOWNLOADED = "Download complete"
UNPACKED = "Pull complete"
PREPARING = "Preparing"
PUSHING = "Pushing"
PUSHED = "Pushed"
EXISTS_THERE = "Layer already exists"
MOUNTED = "Mounted from {}"
