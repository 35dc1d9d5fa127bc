"""Long commands take ``-q``, which leaves errors and --json alone, and ``-v``, which adds the log's lines."""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
from collections.abc import Callable
from typing import Annotated, Any, Final, get_args, get_type_hints

import typer
from typer.models import OptionInfo

from edge.cli import _bars
from edge.errors import UserError
from edge.service.logs import set_up_logs

LONG: Final = (
    *("record", "replay", "export", "fit", "train", "build", "backbone", "calibrate"),
    *("gather", "split", "audit", "evaluate", "shift", "stress", "adapt", "report", "check", "doctor"),
)
"""Commands that may take long enough for a bar, or are called by a job that nobody watches."""
_QUIET, _VERBOSE = "be_quiet", "be_verbose"
_QuietOption = Annotated[bool, typer.Option("-q", "--quiet", help="No bars and no text; errors, notes and --json stay.")]
_VerboseOption = Annotated[bool, typer.Option("-v", "--verbose", help="Also the log's lines, on standard error.")]


def with_loudness(name: str, command: Callable[..., Any]) -> Callable[..., Any]:
    """Return a long command that takes ``-q`` and ``-v``, too; others stay as they are.

    A command that has a ``--verbose`` of its own keeps its meaning; the log's lines come with it.
    """
    if name not in LONG:
        return command
    signature = inspect.signature(command)
    hints = get_type_hints(command, include_extras=True)
    own = next((key for key, hint in hints.items() if "--verbose" in _names(hint)), None)
    extra = {_QUIET: _QuietOption} | ({} if own else {_VERBOSE: _VerboseOption})

    @functools.wraps(command)
    def taken(**values: Any) -> Any:
        quiet, verbose = values.pop(_QUIET), values[own] if own else values.pop(_VERBOSE)
        if quiet and verbose:
            raise UserError(f"edge {name}: -q and -v", expected="one of them")
        if verbose:
            set_up_logs("info")
        with _silence(as_json=bool(values.get("as_json"))) if quiet else contextlib.nullcontext():
            return command(**values)

    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [p.replace(kind=keyword, annotation=hints[p.name]) for p in signature.parameters.values()]
    parameters += [inspect.Parameter(key, keyword, default=False, annotation=hint) for key, hint in extra.items()]
    taken.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    taken.__annotations__ = {p.name: p.annotation for p in parameters}
    return taken


@contextlib.contextmanager
def _silence(*, as_json: bool) -> Any:
    with contextlib.ExitStack() as stack:
        stack.enter_context(_bars.no_bars())
        if not as_json:
            stack.enter_context(contextlib.redirect_stdout(stack.enter_context(open(os.devnull, "w", encoding="utf-8"))))
        yield


def _names(hint: Any) -> list[object]:
    """Return the names that an option is declared with; typer takes the first of them for its default until it is used."""
    declared = [one for one in get_args(hint) if isinstance(one, OptionInfo)]
    return [name for one in declared for name in (one.default, *(one.param_decls or ()))]
