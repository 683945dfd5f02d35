"""The table of `serving.py`, from a result alone."""

from __future__ import annotations

import json
import pathlib
import statistics
import sys
from typing import Any

CLIENTS = (8, 1)
BUSY = 0.05  # share of the cores that other processes may have had

# What the server is to reach on two cores shared with the client, with the model of 0.34 ms.
LEAST_IMAGES_S, LEAST_OF_CEILING, LEAST_OF_BEST, MOST_P99_MS = 900, 0.72, 3.5, 20
MOST_ADDED_MS = {"HTTP": 0.3, "gRPC": 0.6}


def median(rounds: list[dict[str, Any]], name: str) -> float | None:
    """Of the rounds that have it."""
    values = [each[name] for each in rounds if each[name] is not None]
    return statistics.median(values) if values else None


def rates(result: dict[str, Any], role: str, clients: int = 8) -> dict[str, float]:
    """Median images/s by label, of servers with that role."""
    found = {}
    for row in result["rows"]:
        for route in row["routes"].values():
            rate = median(route["rounds"][str(clients)], "images_s")
            if row["role"] == role and rate is not None:
                found[route["label"]] = rate
    return found


def best(result: dict[str, Any]) -> tuple[str, float] | None:
    """The fastest rival with 8 clients."""
    found = rates(result, "rival")
    return max(found.items(), key=lambda each: each[1]) if found else None


def ceiling(result: dict[str, Any]) -> float:
    """Images/s of preprocessing and model alone, all cores."""
    return statistics.median(each["images_s"] for each in result["ceiling"])


def table(result: dict[str, Any]) -> str:
    """The whole report as text."""
    m, most = result["machine"], ceiling(result)
    first = best(result)
    spread = [each["images_s"] for each in result["ceiling"]]
    lines = [
        f"{result['title']}; {m['cpu']}, {m['cores']} cores shared with the client; {result['date']}, "
        f"commit {m['commit']}",
        f"{result['photos']}; medians of {result['rounds']} rounds of {result['seconds']:g} s, least and most images/s",
        f"preprocessing and model alone, all cores: {most:.0f} images/s ({min(spread):.0f} to {max(spread):.0f})",
        "",
        f"  {'':30}{'8 clients':>24}{'of best':>9}{'ceiling':>9}{'p50':>8}{'p99':>8}{'client':>8}"
        f"{'1 client':>10}{'p50':>8}{'p99':>8}",
        f"  {'':30}{'images/s':>24}{'rival':>9}{'':>9}{'ms':>8}{'ms':>8}{'cpu':>8}{'images/s':>10}{'ms':>8}{'ms':>8}",
    ]
    for row in result["rows"]:
        for route in row["routes"].values():
            lines.append(_line(row, route, first, most))
    lines += ["", *_remarks(result)]
    if "added" in result:
        lines += _added(result["added"])
    lines += [f"  skipped: {key}: {why}" for key, why in result["absent"].items()]
    return "\n".join(lines + [f"  target: {line}" for line in targets(result)]) + "\n"


def _line(row: dict[str, Any], route: dict[str, Any], first: tuple[str, float] | None, most: float) -> str:
    many, one = (route["rounds"][str(clients)] for clients in CLIENTS)
    rate = median(many, "images_s") or 0.0
    each = [found["images_s"] for found in many]
    span = f"{rate:.0f} ({min(each):.0f} to {max(each):.0f})"
    works = row["role"] != "floor"
    of_best = f"{rate / first[1]:.2f}" if first and works else "-"
    of_most = f"{rate / most:.0%}" if works else "-"
    cpu = f"{100 * (median(many, 'client_cpu') or 0):.0f}%"
    times = [_ms(median(rounds, name)) for rounds in (many, one) for name in ("p50_ms", "p99_ms")]
    return (
        f"  {route['label']:30}{span:>24}{of_best:>9}{of_most:>9}{times[0]:>8}{times[1]:>8}{cpu:>8}"
        f"{median(one, 'images_s') or 0:>10.0f}{times[2]:>8}{times[3]:>8}"
    )


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _remarks(result: dict[str, Any]) -> list[str]:
    """What makes figures worth less than they look."""
    lines = []
    others = [each["others"] for each in result["ceiling"]]
    for row in result["rows"]:
        for route in row["routes"].values():
            every = [found for rounds in route["rounds"].values() for found in rounds]
            others += [found["others"] for found in every]
            failed = max(found["error_share"] for found in every)
            if failed:
                lines.append(f"  {route['label']}: up to {failed:.1%} of the requests of a round failed")
            behind = sum(found["client_fell_behind"] for found in every)
            if behind:
                lines.append(f"  {route['label']}: in {behind} of {len(every)} measurements the client fell behind")
    if statistics.median(others) > BUSY:
        lines.append(
            f"  busy machine: other processes had {statistics.median(others):.0%} of the cores, at most "
            f"{max(others):.0%}; measure again when it is quiet"
        )
    return lines


def _added(found: dict[str, Any]) -> list[str]:
    ways = found["ways"]
    lines = [
        f"  one client, {found['images']} photographs, {found['rounds']} rounds; preprocessing and model alone "
        f"p50 {ways['alone']['p50_ms']:.2f} ms",
    ]
    for name, way in ways.items():
        if name != "alone":
            low, high = way["added_quartiles_ms"]
            word = "whole" if name.endswith("echo") else "added"
            lines.append(
                f"    {name:10} p50 {way['p50_ms']:6.2f} ms, {word} {way['added_ms']:.3f} ms "
                f"(quartiles over photographs {low:.3f} to {high:.3f})"
            )
    return lines


def targets(result: dict[str, Any]) -> list[str]:
    """What was to be reached beside what was."""
    ours, first = result_of(result, "http"), best(result)
    if ours is None:
        return []
    rate, p99 = median(ours["rounds"]["8"], "images_s") or 0.0, median(ours["rounds"]["8"], "p99_ms")
    if result["model_ms"] != "0.34":
        if first is None:
            return ["no worse than the best rival: no rival was measured"]
        word = "reached" if rate >= first[1] else "MISSED"
        return [f"no worse than the best rival ({first[0]}, {first[1]:.1f} images/s): {rate:.1f}, {word}"]
    judged = [
        (f"at least {LEAST_IMAGES_S} images/s", rate, rate >= LEAST_IMAGES_S, "{:.0f}"),
        (f"at least {LEAST_OF_CEILING:.0%} of the ceiling", rate / ceiling(result),
         rate / ceiling(result) >= LEAST_OF_CEILING, "{:.0%}"),
    ]  # fmt: skip
    if first is not None:
        times = rate / first[1]
        judged.append(
            (f"at least {LEAST_OF_BEST} x the best rival ({first[0]})", times, times >= LEAST_OF_BEST, "{:.2f}")
        )
    if p99 is not None:
        judged.append((f"p99 with 8 clients at most {MOST_P99_MS} ms", p99, p99 <= MOST_P99_MS, "{:.1f}"))
    for name, bound in MOST_ADDED_MS.items():
        if "added" in result:
            value = result["added"]["ways"][name]["added_ms"]
            judged.append((f"{name} adds at most {bound} ms", value, value <= bound, "{:.3f}"))
    return [f"{name}: {form.format(value)}, {'reached' if ok else 'MISSED'}" for name, value, ok, form in judged]


def result_of(result: dict[str, Any], key: str) -> dict[str, Any] | None:
    """A route by its key."""
    for row in result["rows"]:
        if key in row["routes"]:
            found: dict[str, Any] = row["routes"][key]
            return found
    return None


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(table(json.loads(pathlib.Path(name).read_text(encoding="utf-8"))))
