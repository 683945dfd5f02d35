"""The reference inference server: `fastpre serve`, and its engine for applications of your own."""

from __future__ import annotations
