"""What an error might give away."""

from __future__ import annotations

import traceback


def everything_in(error: BaseException) -> str:
    """Everything that a logger or a crash reporter could make of an error, locals included."""
    whole = traceback.TracebackException.from_exception(error, capture_locals=True)
    own = [frame for frame in whole.stack if "/tests/" not in frame.filename]
    locals_ = [str(frame.locals) for frame in own]
    chain = [repr(link) for link in (error.__cause__, error.__context__)]
    assert chain == ["None", "None"]
    return "".join([str(error), repr(error), *traceback.format_exception(error), *locals_])
