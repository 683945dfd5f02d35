"""What the server tells of itself: counters, stage times, recent failures."""

from __future__ import annotations
