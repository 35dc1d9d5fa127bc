"""What the page's tests have in common: passwords are hashed in 1 ms; how hard scrypt works is not what they test."""

from __future__ import annotations

import pytest

from edge.web.doors import passwords


@pytest.fixture(autouse=True)
def quick_passwords(monkeypatch) -> None:
    monkeypatch.setattr(passwords, "_N", 1 << 8)


@pytest.fixture(autouse=True)
def no_other_lines(monkeypatch) -> None:
    """The machine's own daemons are none of the test's."""
    monkeypatch.setattr("edge.service.instances.trusted_roots", list)
