"""The process of one section: `python -m gpu_suite.child ORDER`, ORDER being JSON from supervise.py."""

from __future__ import annotations

import importlib
import json
import pathlib
import sys
import traceback
import warnings

from gpu_suite.sections import Context


def main() -> int:
    order = json.loads(sys.argv[1])
    context = Context(
        device=order["device"],
        seconds=order["seconds"],
        quick=order["quick"],
        out=pathlib.Path(order["out"]),
        partial=pathlib.Path(order["partial"]),
        skip=tuple(order["skip"]),
    )
    # The peers' tensors only read the compressed bytes.
    warnings.filterwarnings("ignore", "The given buffer is not writable")
    try:
        importlib.import_module(order["module"]).run(context)
        context.result.setdefault("status", "done")
    except Exception as e:  # whatever it is, it is the finding
        context.result["status"] = "failed"
        context.result["error"] = f"{type(e).__name__}: {e}"[:2000]
        context.result["traceback"] = traceback.format_exc()[-3000:]
    context.save()
    return 0


if __name__ == "__main__":
    sys.exit(main())
