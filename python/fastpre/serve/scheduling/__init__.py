"""What is done when: a queue, slots of a batch, and a policy. Pure: no threads, no clock but the `now` of each call."""

from __future__ import annotations
