"""One picture is asked of a camera's web server: with its password, in a limited time, and with its age."""

from __future__ import annotations

import email.utils
import http.client
import os
import socket
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPMessage
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import unquote, urlsplit, urlunsplit

from edge.config.address import redacted
from edge.errors import UserError, may_pass
from edge.storage.disk import open_regular

_MOST_BYTES: Final = 256 << 20
_PIECE_BYTES: Final = 1 << 16
_REFUSED: Final = (401, 403)
_ELSEWHERE: Final = "the camera sends to another host, which is not followed"


class NoAnswerError(Exception):
    """No picture came; the text says why and holds nothing of the address. ``refused``: by the camera, as a password is:
    asking again soon may lock the user out.
    """

    def __init__(self, text: str, *, refused: bool = False) -> None:
        super().__init__(text)
        self.refused = refused


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer has the bytes of a picture, whole or not, and the moment before which it can't have been taken: when it
    was asked for, or by as much earlier as the camera's server says that it kept it.
    """

    data: bytes
    asked_ns: int
    asked_mono_ns: int
    short_by: int


class HttpPicture:
    """The picture at an address is asked for again and again. One thread uses it."""

    def __init__(self, address: str, *, timeout_s: float, ca_file: Path | None = None) -> None:
        """Take the address with its secrets in place.

        Raises:
            UserError: an address that is none, or a ``ca_file`` that is none.
        """
        self._timeout_s = timeout_s
        parts = checked_url(address)
        host = parts.netloc.rpartition("@")[2]
        self._plain = urlunsplit((parts.scheme, host, parts.path or "/", parts.query, ""))
        passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        if parts.username is not None:
            user, password = unquote(parts.username), unquote(parts.password or "")
            places = [f"{parts.scheme}://{host}/", f"https://{parts.hostname}/"]  # where its own server may send to
            passwords.add_password(None, places, user, password)
        self._opener = urllib.request.OpenerDirector()  # with nothing that opens files, FTP or a proxy of the environment
        for handler in (
            urllib.request.HTTPHandler(),
            urllib.request.HTTPSHandler(context=_tls(ca_file)),
            urllib.request.HTTPErrorProcessor(),
            urllib.request.HTTPDefaultErrorHandler(),
            _SameHost(),
            _OneDigest(passwords),
            _OneBasic(passwords),
        ):
            self._opener.add_handler(handler)

    def get(self) -> Answered:
        """Ask once.

        Raises:
            NoAnswerError: no answer in time, an error of HTTP, or something that is no picture.
        """
        asked_ns, asked_mono_ns = time.time_ns(), time.monotonic_ns()
        end = time.monotonic() + self._timeout_s
        try:
            request = urllib.request.Request(self._plain, headers={"User-Agent": "edge-inspect", "Accept": "image/*"})  # noqa: S310  (its scheme was checked)
            with self._opener.open(request, timeout=self._timeout_s) as response:
                _check_kind(response.headers)
                data = _read(response, end, self._timeout_s)
                age_ns = int(_age_s(response.headers) * 1e9)
                promised = response.headers.get("Content-Length", "")
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(error) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise NoAnswerError(_reason(error, self._timeout_s)) from None
        short_by = int(promised) - len(data) if promised.isdigit() else 0
        return Answered(data, asked_ns - age_ns, asked_mono_ns - age_ns, short_by)


def checked_url(address: str) -> Any:
    """Return the parts of an address.

    Raises:
        UserError: another scheme, no host, or a password in which the host can't be told from the rest.
    """
    try:
        parts = urlsplit(address)
        ambiguous = "@" in parts.path + parts.query + parts.fragment
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and not ambiguous:
            return parts
    except ValueError:
        pass
    raise UserError(
        "source.address: no address of a camera's picture",
        received=redacted(address),
        expected="http://HOST/PATH or https://HOST/PATH; / ? # @ and : in a password escaped (%2F %3F %23 %40 %3A)",
        fix="write the password as ${NAME}, which needs no escaping; a stream is kind: opencv, a file kind: recorded",
    )


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    if ca_file is None:
        return ssl.create_default_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # the certificate is the camera's own: cameras' names in it are seldom their addresses
    try:
        os.close(open_regular(ca_file))  # OpenSSL would wait at a pipe
        context.load_verify_locations(ca_file)
    except ssl.SSLError as error:
        # torn, or on its way here
        raise UserError("source.ca_file: holds no certificate", received=ca_file, expected="PEM", passes=True) from error
    except OSError as error:
        text = f"source.ca_file: cannot be read: {error.strerror}"
        raise UserError(text, received=ca_file, passes=may_pass(error)) from None
    return context


class _OneDigest(urllib.request.HTTPDigestAuthHandler):
    """A wrong password is sent once: cameras lock a user out after a few."""

    def http_error_401(self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage) -> Any:
        challenges = [value for value in headers.get_all("WWW-Authenticate", []) if value.lower().startswith("digest")]
        if req.has_header("Authorization") or not challenges:
            return None
        # the library looks at the first challenge only, and knows MD5 and SHA
        known = [value for value in challenges if "sha-" not in value.lower()]
        only = HTTPMessage()
        only["WWW-Authenticate"] = (known or challenges)[0]
        return super().http_error_401(req, fp, code, msg, only)


class _OneBasic(urllib.request.HTTPBasicAuthHandler):
    def http_error_401(self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage) -> Any:
        schemes = [value.partition(" ")[0].lower() for value in headers.get_all("WWW-Authenticate", [])]
        if req.has_header("Authorization") or "basic" not in schemes or "digest" in schemes:
            return None
        return super().http_error_401(req, fp, code, msg, headers)


class _SameHost(urllib.request.HTTPRedirectHandler):
    """A camera may send to another path or to https, not to another host."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        target = urlsplit(newurl)
        if target.scheme not in ("http", "https") or target.hostname != urlsplit(req.full_url).hostname:
            raise NoAnswerError(_ELSEWHERE)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_kind(headers: HTTPMessage) -> None:
    kind = headers.get_content_type() if headers.get("Content-Type") else ""
    if kind.startswith("multipart/"):
        raise NoAnswerError("the address is that of a stream, not of one picture: use kind: opencv")
    if kind.startswith(("text/", "video/", "audio/")) or kind in ("application/json", "application/xml"):
        raise NoAnswerError(f"the address gives no picture but {kind}")


def _read(response: Any, end: float, timeout_s: float) -> bytes:
    pieces, size = [], 0
    while piece := response.read1(_PIECE_BYTES):
        pieces.append(piece)
        size += len(piece)
        if size > _MOST_BYTES:
            raise NoAnswerError(f"more than {_MOST_BYTES >> 20} MB: no picture")
        if time.monotonic() > end:
            raise NoAnswerError(f"the picture did not come whole within {timeout_s:g} s")
    return b"".join(pieces)


def _age_s(headers: HTTPMessage) -> float:
    """Return how old the picture was when it was sent, in s, as its server says by its own clock; 0 if it doesn't."""
    age = headers.get("Age", "")
    sent, changed = (_stamp(headers.get(name)) for name in ("Date", "Last-Modified"))
    by_dates = sent - changed if sent is not None and changed is not None else 0.0
    return max(0.0, by_dates, float(age) if age.isdigit() else 0.0)


def _stamp(text: str | None) -> float | None:
    try:
        return None if text is None else email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def _refusal(error: urllib.error.HTTPError) -> NoAnswerError:
    if 300 <= error.code < 400:
        return NoAnswerError(_ELSEWHERE)
    known = http.client.responses.get(error.code, "")
    hint = {401: ": user or password", 403: ": this user may not see it", 404: ": another path"}.get(error.code, "")
    return NoAnswerError(f"HTTP {error.code} {known}{hint}".rstrip(), refused=error.code in _REFUSED)


def _reason(error: Exception, timeout_s: float) -> str:
    """Say what went wrong without a word of the address, which the errors of the library repeat."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return f"no answer within {timeout_s:g} s"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({cause.verify_message}): see ca_file"
    if isinstance(cause, socket.gaierror):
        return "its name is not known"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    if isinstance(cause, http.client.HTTPException):
        return f"no HTTP: {type(cause).__name__}"
    return type(cause).__name__
