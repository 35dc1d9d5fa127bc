"""Addresses of network cameras with a secret in each place that vendors and people put it."""

from __future__ import annotations

from typing import Final

SECRET: Final = "S3CRET"
STYLES: Final = (
    "rtsp://admin:S3CRET@127.0.0.1:9/h264",
    "http://admin:S3CRET/pw@127.0.0.1:9/v",
    "http://admin:a@S3CRET@127.0.0.1:9/v",
    "http://admin:a?S3CRET@127.0.0.1:9/v",
    "http://admin:a#S3CRET@127.0.0.1:9/v",
    "rtsp://S3CRET@127.0.0.1:9/live",
    "http://127.0.0.1:9/S3CRET/video.mjpg",
    "http://127.0.0.1:9/video?user=admin&password=S3CRET",
    "http://127.0.0.1:9/video?password=x@S3CRET",
    "srt://127.0.0.1:9?passphrase=S3CRET&mode=caller",
    "rtmp://:S3CRET@127.0.0.1:9/app",
    "rtsp:admin:S3CRET@127.0.0.1",
)
"""Nobody answers at port 9."""
