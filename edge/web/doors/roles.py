"""Roles say what a visitor may do, and a visitor is whoever made this request."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from edge.errors import UserError


class Role(IntEnum):
    """Each role may do all that the roles before it may."""

    OPEN = 0
    """Everybody, without a log-in: the log-in page itself and the files that it is made of."""
    VIEWER = 1
    """Looks: Fleet, Live, Review, Log."""
    REVIEWER = 2
    """Also labels frames, and exports them and what a search of the log finds."""
    ENGINEER = 3
    """Also tunes, and reads archived configs, bundles and calibrations."""
    ADMIN = 4
    """Also sees and ends users, tokens and sessions, and reads the audit log."""

    @property
    def word(self) -> str:
        return self.name.lower()


def role_named(text: str) -> Role:
    """Return the role of this name. Raises UserError if there is none."""
    known = [role for role in Role if role is not Role.OPEN]
    for role in known:
        if role.word == text:
            return role
    raise UserError("role", received=text, expected=", ".join(role.word for role in known))


@dataclass(frozen=True, slots=True)
class Visitor:
    """A visitor has a name, a role, and the cameras that it may see; None: all of them."""

    name: str
    role: Role
    cameras: frozenset[str] | None = None
    session: str | None = None
    """Key of the session or token in the accounts, by which a revocation is noticed; None without one."""
    is_program: bool = False
    """True if it came with a token; its requests carry no cookie that another site could use."""

    def sees(self, camera: str) -> bool:
        return self.cameras is None or camera in self.cameras


NOBODY = Visitor("", Role.OPEN, frozenset())
