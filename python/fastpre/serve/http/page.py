"""The documentation page: the OpenAPI description as one HTML file, without scripts and without anything to load."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

__all__ = ["page"]

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 54rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24;
       background: #fff; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; border-bottom: 1px solid #d0d7de; }
summary { cursor: pointer; padding: .35rem 0; overflow-wrap: anywhere; }
details { border-bottom: 1px solid #eaeef2; } details > div { margin: 0 0 1rem 1.2rem; }
code, pre { font: 14px/1.4 ui-monospace, monospace; } pre { background: #f6f8fa; padding: .7rem; overflow-x: auto; }
.verb { display: inline-block; width: 3.2rem; font-weight: 600; color: #0550ae; } .verb.post { color: #116329; }
table { border-collapse: collapse; } td { padding: .1rem .8rem .1rem 0; vertical-align: top; }
@media (prefers-color-scheme: dark) {
  body { background: #0d1117; color: #d1d7de; } pre { background: #161b22; } details, h2 { border-color: #30363d; }
  .verb { color: #79c0ff; } .verb.post { color: #7ee787; }
}
"""

# Nothing but the page's own style, whatever else might find its way into it.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"

_EXAMPLES = """curl --data-binary @cat.jpg -H 'Content-Type: image/jpeg' ADDRESS/v1/predict
curl -F image=@cat.jpg -F image=@dog.jpg ADDRESS/v1/predict
curl --data-binary @cat.jpg -H 'Inference-Header-Content-Length: 0' ADDRESS/v2/models/MODEL/infer"""


def page(document: Mapping[str, Any]) -> tuple[str, str]:
    """The page, and the Content-Security-Policy that it is sent with."""
    groups: dict[str, list[str]] = {"Images and tensors": [], "The server and its models": [], "Shared memory": []}
    inference, about, memory = groups.values()
    for path, operations in document["paths"].items():
        for verb, operation in operations.items():
            group = memory if "sharedmemory" in path else inference if _infers(path) else about
            group.append(_operation(verb, path, operation))
    info = document["info"]
    title = html.escape(f"{info['title']} {info['version']}")
    body = "".join(f"<h2>{html.escape(name)}</h2>{''.join(parts)}" for name, parts in groups.items())
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{title}</h1><p>{html.escape(info['description'])}</p>"
        f'<pre>{html.escape(_EXAMPLES)}</pre><p>For programs: <a href="openapi.json">openapi.json</a></p>{body}'
        "</body></html>"
    )
    return text, _POLICY


def _infers(path: str) -> bool:
    return path.endswith(("/infer", "/predict"))


def _operation(verb: str, path: str, operation: Mapping[str, Any]) -> str:
    rows = [
        f"<tr><td><code>{html.escape(parameter['name'])}</code></td><td>{html.escape(parameter['in'])}</td>"
        f"<td>{html.escape(parameter['description'])}</td></tr>"
        for parameter in operation.get("parameters", ())
    ]
    bodies = [html.escape(kind) for kind in operation.get("requestBody", {}).get("content", ())]
    answers = [
        f"<tr><td>{status}</td><td>{html.escape(response['description'])}</td></tr>"
        for status, response in operation["responses"].items()
    ]
    inside = f"<p>{html.escape(operation['summary'])}</p>"
    if rows:
        inside += f"<table>{''.join(rows)}</table>"
    if bodies:
        inside += f"<p>Body: {', '.join(f'<code>{kind}</code>' for kind in bodies)}</p>"
    inside += f"<table>{''.join(answers)}</table>"
    return (
        f'<details><summary><span class="verb {verb}">{verb.upper()}</span> <code>{html.escape(path)}</code>'
        f"</summary><div>{inside}</div></details>"
    )
