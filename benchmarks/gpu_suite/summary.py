"""The report as a short table, the last thing that is printed: what is wrong first, then figures, then targets."""

from __future__ import annotations

from typing import Any

import photographs
import targets

MOST_CHARACTERS = 9500  # some places keep only the end of an output
WIDTH = 150


def table(report: dict[str, Any]) -> str:
    """Plain text of at most MOST_CHARACTERS."""
    sections = report["sections"]
    lines = _head(report) + _status_lines(sections) + _check_lines(sections.get("checks", {}))
    lines += _difference_lines(sections.get("difference", {})) + _throughput_lines(sections.get("throughput", {}))
    lines += _kernel_lines(sections.get("kernels", {}))
    last = "\n".join(["", *(targets.line(target)[:WIDTH] for target in report["targets"])])
    # Libraries' messages have line ends, and no end.
    first = "\n".join(line.replace("\n", " ")[:WIDTH] for line in lines)
    room = MOST_CHARACTERS - len(last) - 60
    if len(first) > room:
        first = first[:room].rpartition("\n")[0] + "\n  ... the rest is in gpu.json"
    return f"{first}\n{last}"


def exit_code(report: dict[str, Any]) -> int:
    """1 if a section did not come to its end, or there is a GPU that was not used; figures are no failures."""
    unused = report["gpu"].get("present") and not report["gpu"]["usable"]
    return int(bool(unused) or any(_went_wrong(s["status"]) for s in report["sections"].values()))


def _went_wrong(status: str) -> bool:
    return status != "done" and not status.startswith(("not run", targets.NOT_MEASURED))


def _head(report: dict[str, Any]) -> list[str]:
    device = report["sections"].get("device", {})
    about, cuda, gpu = device.get("machine", {}), device.get("cuda", {}), report["gpu"]
    lines = ["", "=" * 40 + " fastpre GPU suite " + "=" * 40]
    if gpu["usable"]:
        found = [f"{d.get('name')}, {d.get('engines', '?')} JPEG engines" for d in cuda.get("devices", [])]
        lines.append(f"{'; '.join(found)}; driver {gpu.get('driver')}")
    else:
        what = "THERE IS A GPU, and fastpre cannot use it" if gpu.get("present") else "no GPU"
        lines += [
            f"NOT MEASURED: {what} ({gpu['why']})",
            "What follows is from the emulator on the CPU: right or wrong, not fast or slow.",
        ]
    nvjpeg, torch = cuda.get("nvjpeg", {}).get("version") or "not found", device.get("torch", {}).get("version")
    return [
        *lines,
        f"nvJPEG {nvjpeg}, torch {torch}, python {about.get('python')}, {about.get('cpu')}, {about.get('cores')} cores",
        f"fastpre {device.get('fastpre', {}).get('version')}, commit {report['commit']}, {report['date']}",
        f"images: {'GENERATED' if device.get('images') == photographs.GENERATED else 'the corpus'}"
        + (", --quick: figures mean nothing" if report["quick"] else ""),
    ]


def _status_lines(sections: dict[str, Any]) -> list[str]:
    done = [f"{name} {s['seconds']:.0f} s" for name, s in sections.items() if s["status"] == "done"]
    without = [name for name, s in sections.items() if s["status"].startswith(targets.NOT_MEASURED)]
    lines = [f"done: {', '.join(done) or 'nothing'}", f"not measured: {', '.join(without) or 'nothing'}"]
    for name, s in sections.items():
        if s["status"] != "done" and name not in without:
            words = s["status"] + (f": {s['error']}" if "error" in s else "")
            words += f" (at: {s['running']})" if "running" in s else ""
            lines.append(f"{'!! ' if _went_wrong(s['status']) else ''}{name}: {words}")
        lines += [f"!! {name}: {key} ended the process: {how}" for key, how in s.get("crashed", {}).items()]
    return lines


def _check_lines(checks: dict[str, Any]) -> list[str]:
    lines, tests = [], checks.get("tests")
    if tests:
        counts = ", ".join(f"{tests[key]} {key}" for key in ("passed", "failed", "skipped"))
        lines = [f"tests ({checks['device']}): {counts}", *(f"  FAILED {failure}" for failure in tests["failures"])]
    for name, tool in checks.get("sanitizer", {}).items():
        errors = "no summary" if tool["errors"] is None else f"{tool['errors']} errors"
        lines.append(f"sanitizer, {name}: {errors}; tests: {tool['passed']} passed, {tool['failed']} failed")
        lines += [f"    {line}" for line in tool["first"][:2]]
    return lines


def _difference_lines(difference: dict[str, Any]) -> list[str]:
    where, lines = difference.get("device"), []
    for name, s in difference.get("exact", {}).items():
        if "different" in s:
            first = f", first: {s['first_different'][0]['image']}" if s["different"] else ""
            counts = f"{s['equal']} equal, {s['refused_alike']} refused alike, {s['different']} different"
            lines.append(f"exact ({where}), {name}: {counts}{first}")
    for decoder, sets in difference.get("fast", {}).items():
        if sets.get("ran") is False:
            lines.append(f"fast via {decoder}: no image took it here")
            continue
        for name, s in sets.items():
            if name in photographs.SETS and s["images"]:
                ran = ", ".join(f"{key} {d['images']}" for key, d in s["decoders"].items())
                close = f"{s['within_2_percent']:.3f} % within 2, PSNR {s['psnr_db']} dB, worst {s['worst_psnr_db']}"
                close = "all equal" if s["psnr_db"] is None else close
                retried = f", {s['retried']} RETRIED" if s["retried"] else ""
                lines.append(f"fast ({where}) via {decoder}, {name}: {close}; {ran}{retried}")
    return lines


def _throughput_lines(throughput: dict[str, Any]) -> list[str]:
    """Images/s of batches, milliseconds of single images."""
    cells = [cell for cell in throughput.get("cells", []) if cell["rows"]]
    if not cells:
        return []
    lines = ["", f"{'images/s; of one image, ms':36}"]
    for cell in cells:
        lines[1] += f"{cell['set']:>13}" if _one(cell) else f"{cell['set'][:3]}/{cell['batch']}".rjust(8)
    for key, label in {row["key"]: row["label"] for cell in cells for row in cell["rows"]}.items():
        line = f"{label[:35]:36}"
        for cell in cells:
            ms = next((row["ms"]["median"] for row in cell["rows"] if row["key"] == key), None)
            figure = "-" if ms is None else f"{ms:.2f}" if _one(cell) else f"{1e3 / ms:.0f}"
            line += figure.rjust(13 if _one(cell) else 8)
        lines.append(line)
    absent = throughput.get("absent", {}) | {key: why for cell in cells for key, why in cell["absent"].items()}
    return lines + [f"  not run: {key}: {why}" for key, why in absent.items()]


def _one(cell: dict[str, Any]) -> bool:
    return bool(cell["set"].startswith("one "))


def _kernel_lines(kernels: dict[str, Any]) -> list[str]:
    if "copy" not in kernels:
        return []
    lines = ["", f"device copy {kernels['copy']['bytes_per_second'] / 1e9:.0f} GB/s (read + written); nvJPEG alone "
                 f"{kernels.get('nvjpeg_alone_ms', '-')} ms for {kernels.get('batch', '-')} images"]  # fmt: skip
    for key, mode in kernels.get("modes", {}).items():
        parts = [f"{name} {k['ms_a_batch']:.3f} ms" for name, k in mode["kernels"].items()]
        copied = mode["copies"].get("HtoD")
        parts += [f"HtoD {copied['ms_a_batch']:.3f} ms, {copied['bytes_a_batch'] / 1e6:.1f} MB"] if copied else []
        parts += [f"{100 * mode['fraction_of_copy']:.0f} % of copy"] if "fraction_of_copy" in mode else []
        lines.append(f"{key}: {', '.join(parts)}")
    return lines + [f"  not run: {key}: {why}" for key, why in kernels.get("absent", {}).items()]
