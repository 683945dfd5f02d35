"""The reference inference server: `fastpre serve`, and its engine for applications of your own.

```python
from fastpre.serve import Engine, load

with Engine(load("torchvision:resnet18")) as engine:
    prediction = engine.run(open("cat.jpg", "rb").read())  # in an event loop: await engine.infer(...)
    prediction.outputs["logits"]  # (1, 1000)
```

Needs `pip install fastpre[serve]`; the engine alone does with `fastpre[torch]`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .engine import Engine, Prediction, Settings
    from .errors import ServeError
    from .models.loading import load

__all__ = ["Engine", "Prediction", "ServeError", "Settings", "load"]

_WHERE = {
    "Engine": ".engine",
    "Prediction": ".engine",
    "Settings": ".engine",
    "ServeError": ".errors",
    "load": ".models.loading",
}


def __getattr__(name: str) -> Any:
    if name in _WHERE:  # imported when asked for: a client of `serve.protocol` needs no engine, and no torch
        return getattr(importlib.import_module(_WHERE[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
