"""The type of the one lock that all parts of a simulated PBX share."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

Lock = AbstractContextManager[Any]
"""Re-entrant: a part may call another part while it holds it (`threading.RLock`)."""
