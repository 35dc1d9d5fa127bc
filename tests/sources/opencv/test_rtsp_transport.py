"""An RTSP camera hears the transport that the config asks for, from OpenCV and from PyAV."""

from __future__ import annotations

import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from edge.config.sources import OpencvConfig
from edge.sources.opencv.reader import opened_device
from edge.storage.video import VideoError

SDP = "\r\n".join(
    [
        *("v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=x", "c=IN IP4 127.0.0.1", "t=0 0"),
        *("m=video 0 RTP/AVP 26", "a=control:track1", ""),
    ]
)


@contextmanager
def rtsp_camera() -> Iterator[tuple[str, list[str]]]:
    """A camera that describes itself and gives no stream: its address, and the transports that it was asked for."""
    asked: list[str] = []

    def talk(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            text = ""
            while data := connection.recv(4096):
                text += data.decode()
                while "\r\n\r\n" in text:
                    request, _, text = text.partition("\r\n\r\n")
                    connection.sendall(reply(request).encode())

    def reply(request: str) -> str:
        method, number = request.split()[0], re.search(r"CSeq: *(\d+)", request)
        head = f"CSeq: {number[1] if number else 0}\r\n"
        if method == "SETUP":
            transport = re.search(r"Transport: *(\S+)", request)
            asked.append(transport[1] if transport else "")
            return f"RTSP/1.0 461 Unsupported Transport\r\n{head}\r\n"
        if method == "DESCRIBE":
            return f"RTSP/1.0 200 OK\r\n{head}Content-Type: application/sdp\r\nContent-Length: {len(SDP)}\r\n\r\n{SDP}"
        return f"RTSP/1.0 200 OK\r\n{head}Public: OPTIONS, DESCRIBE, SETUP, PLAY\r\n\r\n"

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                threading.Thread(target=talk, args=(connection,), daemon=True).start()

    server = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"rtsp://127.0.0.1:{server.getsockname()[1]}/stream", asked
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(5)


@pytest.mark.parametrize(("transport", "expected"), [(None, "RTP/AVP/TCP"), ("tcp", "RTP/AVP/TCP"), ("udp", "RTP/AVP/UDP")])
def test_a_camera_is_asked_for_the_transport_of_the_config(
    transport: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", raising=False)
    with rtsp_camera() as (address, asked):
        config = OpencvConfig.model_validate({"kind": "opencv", "device": address, "transport": transport})
        with pytest.raises(VideoError):
            opened_device(config, is_file=False)
    kinds = [text.partition(";")[0] for text in asked]
    assert kinds[0] == expected
    assert transport is None or set(kinds) == {expected}, "no other one in its place"
    assert "OPENCV_FFMPEG_CAPTURE_OPTIONS" not in os.environ


def test_other_options_of_the_environment_stay_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp|buffer_size;1000000")
    with rtsp_camera() as (address, asked):
        config = OpencvConfig(kind="opencv", device=address, transport="udp")
        with pytest.raises(VideoError):
            opened_device(config, is_file=False)
    assert {text.partition(";")[0] for text in asked} == {"RTP/AVP/UDP"}
    assert os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] == "rtsp_transport;tcp|buffer_size;1000000"
