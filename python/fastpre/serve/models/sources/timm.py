"""`timm:NAME`: timm's models; parameters are `timm.create_model`'s.

With `num_classes=0` the task is "embedding", and the output the pooled features.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ....interop import timm as interop
from .. import tasks
from ..errors import ModelUnavailable
from ..found import Found, Options
from ..libraries import required
from ..modules import ModuleNetwork
from ..references import did_you_mean
from ..weights import fetching, seeded

if TYPE_CHECKING:
    from torch import nn

__all__ = ["find"]


def find(target: str, parameters: Mapping[str, Any], options: Options) -> Found:
    """See the module."""
    timm = required("timm", "timm")
    data = required("timm.data", "timm")
    architecture = target.partition(".")[0]
    if not timm.is_model(architecture) and not target.startswith(("hf-hub:", "hf_hub:", "local-dir:")):
        raise ModelUnavailable(f"timm has no model {target!r}{did_you_mean(target, timm.list_models())}")
    try:
        with seeded(options.seed), fetching(f"weights of timm:{target}"):
            module: nn.Module = timm.create_model(target, pretrained=not options.random_weights, **parameters)
    except (TypeError, RuntimeError) as e:  # RuntimeError: no pretrained weights, or a tag that is not there
        raise ModelUnavailable(f"timm:{target}: {e}; --random-weights makes it without weights") from e
    task = options.task or ("classification" if getattr(module, "num_classes", 0) else "embedding")
    return Found(
        network=ModuleNetwork(module),
        platform="timm",
        task=task,
        fields=interop.fields(data.resolve_data_config({}, model=module)),
        read=tasks.reader(task, options),
        labels=_labels(data, module),
    )


def _labels(data: Any, module: Any) -> tuple[str, ...]:
    named = module.pretrained_cfg.get("label_names")
    if named and len(named) == module.num_classes:
        return tuple(named)
    subset = data.infer_imagenet_subset(module)
    return tuple(data.ImageNetInfo(subset).label_descriptions()) if subset else ()
