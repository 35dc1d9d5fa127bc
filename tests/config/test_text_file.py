"""A config's text is read whole or refused in words; nobody waits for ever."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from edge.config import text_file
from edge.config.load import load_config
from edge.config.text_file import MOST_BYTES, read_text_file
from edge.errors import UserError


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        load_config(path)
    return str(caught.value)


def test_a_device_a_folder_and_what_is_too_large_are_refused(tmp_path: Path) -> None:
    assert refusal(Path("/dev/zero")) == "/dev/zero: not a file\n  received: a device\n  expected: a YAML file"
    assert refusal(tmp_path) == f"{tmp_path}: cannot be read: Is a directory"
    large = tmp_path / "large.yaml"
    with large.open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    told = f"{large}: too large for a config\n  received: more than 4 MiB\n  expected: a YAML file"
    assert refusal(large) == told
    with large.open("r+b") as file:
        file.truncate(MOST_BYTES)
    assert len(read_text_file(large)) == MOST_BYTES


def test_a_pipe_into_which_nobody_writes_is_not_waited_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_file, "PIPE_S", 0.1)
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    told = f"{pipe}: a pipe that gave no whole text in 0.1 s\n  fix: name a file, or write into the pipe"
    assert refusal(pipe) == told
    writer = os.open(pipe, os.O_RDWR)
    try:
        os.write(writer, b"camera: cam1\n")  # and no end
        assert refusal(pipe) == told
    finally:
        os.close(writer)


def test_what_a_shell_pipes_in_is_read_to_its_end(tmp_path: Path) -> None:
    text = "camera: cam1\n" * 20_000  # more than a pipe holds
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(text,))
    writer.start()
    assert read_text_file(pipe) == text
    writer.join()


def test_text_whose_writer_is_gone_already_is_read_too() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"camera: cam1\n")
    os.close(writing)
    try:
        assert read_text_file(Path(f"/dev/fd/{reading}")) == "camera: cam1\n"
    finally:
        os.close(reading)


def test_a_pipe_whose_writer_went_without_a_word_is_empty(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: os.close(os.open(pipe, os.O_WRONLY)))  # opens as soon as it is read
    writer.start()
    told = f"{pipe}: an empty pipe\n  expected: YAML text\n  fix: look at the command that writes it"
    assert refusal(pipe) == told
    writer.join()
