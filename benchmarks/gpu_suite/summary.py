"""The report as a short table, the last thing that is printed: what is wrong first, then figures, then targets."""

from __future__ import annotations

from typing import Any

MOST_CHARACTERS = 9500  # some places keep only the end of an output
WIDTH = 150
NOT_MEASURED = "not measured"
SETS = ("natural", "large", "small", "odd")


def table(report: dict[str, Any]) -> str:
    """Plain text of at most MOST_CHARACTERS."""
    sections = report["sections"]
    blocks = [
        _head(report),
        _status_lines(sections),
        _test_lines(sections.get("tests", {})),
        _difference_lines(sections.get("difference", {})),
        _bench_lines(sections.get("bench", {})),
        _kernel_lines(sections.get("kernel", {})),
        _sanitizer_lines(sections.get("sanitizer", {})),
        _target_lines(report),
    ]
    last = "\n".join(map(_one_line, blocks[-1]))
    first = "\n".join(_one_line(line) for block in blocks[:-1] for line in block)
    room = MOST_CHARACTERS - len(last) - 60
    if len(first) > room:
        first = first[:room].rpartition("\n")[0] + "\n  ... the rest is in gpu.json"
    return f"{first}\n{last}"


def _one_line(text: str) -> str:
    """Libraries' messages have line ends, and no end."""
    return text.replace("\n", " ")[:WIDTH]


def exit_code(report: dict[str, Any]) -> int:
    """1 if a section did not come to its end, or there is a GPU that was not used; figures are no failures."""
    gpu = report.get("gpu", {})
    unused = bool(gpu.get("present")) and not gpu["usable"]
    return int(
        unused
        or "error" in report.get("wheel", {})
        or any(_went_wrong(s["status"]) for s in report["sections"].values())
    )


def _went_wrong(status: str) -> bool:
    return status != "done" and not status.startswith(("not run", NOT_MEASURED))


def _head(report: dict[str, Any]) -> list[str]:
    build = report["sections"].get("build", {})
    about, torch, nvjpeg = build.get("machine", {}), build.get("torch", {}), build.get("nvjpeg", {})
    gpu = report.get("gpu", {})
    lines = ["", "=" * 40 + " fastpre GPU suite " + "=" * 40]
    if gpu.get("usable"):
        engines = build.get("cuda_device", {}).get("engines", "?")
        lines.append(
            f"{gpu.get('name')}, driver {gpu.get('driver')}, {engines} JPEG engines, {gpu.get('count')} device(s)"
        )
    else:
        what = "THERE IS A GPU, and fastpre cannot use it" if gpu.get("present") else "no GPU"
        lines += [
            f"NOT MEASURED: {what} ({gpu.get('why', 'unknown')})",
            "What follows is from the emulator on the CPU: right or wrong, not fast or slow.",
        ]
    lines.append(
        f"nvJPEG {nvjpeg.get('version') or 'not found'}, torch {torch.get('version')}, python {build.get('python')}, "
        f"{about.get('cpu')}, {about.get('cores')} cores"
    )
    images = "GENERATED" if build.get("images") == "generated" else "the corpus"
    lines.append(
        f"fastpre {build.get('fastpre', {}).get('version')} ({report.get('wheel', {}).get('file', 'installed')}), "
        f"commit {report['commit']}, {report['date']}"
    )
    lines.append(f"images: {images}" + (", --quick: figures mean nothing" if report["quick"] else ""))
    if "error" in report.get("wheel", {}):
        lines.append(f"WHEEL NOT INSTALLED, measured the installed one: {report['wheel']['error'].strip()[-160:]}")
    return lines


def _status_lines(sections: dict[str, Any]) -> list[str]:
    done = [f"{name} {s['seconds']:.0f} s" for name, s in sections.items() if s["status"] == "done"]
    lines = [f"done: {', '.join(done) or 'nothing'}"]
    without = [name for name, s in sections.items() if s["status"].startswith(NOT_MEASURED)]
    if without:
        lines.append(f"not measured: {', '.join(without)}")
    for name, s in sections.items():
        if s["status"] == "done" or name in without:
            continue
        words = s["status"] + (f": {s['error']}" if "error" in s else "")
        if "was_running" in s:
            words += f" (at: {s['was_running']})"
        lines.append(f"{'!! ' if _went_wrong(s['status']) else ''}{name}: {words}")
    for name, s in sections.items():
        lines += [
            f"!! {name}: {c['entrant']} ended the process: {c['how'].splitlines()[0]}" for c in s.get("crashed", [])
        ]
    return lines


def _test_lines(tests: dict[str, Any]) -> list[str]:
    if "tests" not in tests:
        return []
    cut = ", CUT SHORT" if tests.get("stopped_early") else ""
    lines = [
        f"tests ({tests['device']}): {tests['passed']} passed, {tests['failed']} failed, {tests['errors']} errors, "
        f"{tests['skipped']} skipped{cut}"
    ]
    lines += [f"  FAILED {failure}" for failure in tests["failures"][:5]]
    reasons = sorted(tests.get("skip_reasons", {}).items(), key=lambda item: -item[1])
    return lines + [f"  skipped {count}: {why}" for why, count in reasons[:3]]


def _difference_lines(difference: dict[str, Any]) -> list[str]:
    lines = []
    where = difference.get("device")
    for name, s in difference.get("exact", {}).items():
        if "different" in s:
            lines.append(
                f"exact ({where}), {name}: {s['equal']} equal, {s['refused_alike']} refused alike, "
                f"{s['different']} different"
                + (f", first: {s['first_different'][0]['image']}" if s["different"] else "")
            )
    for decoder, sets in difference.get("fast", {}).items():
        if sets.get("ran") is False:
            lines.append(f"fast via {decoder}: no image took it here")
            continue
        lines += [_fast_line(where, decoder, name, s) for name, s in sets.items() if name in SETS and s.get("images")]
    return lines


def _fast_line(where: str | None, decoder: str, name: str, s: dict[str, Any]) -> str:
    ran = ", ".join(f"{key} {d['images']}" for key, d in s["decoders"].items())
    close = (
        "all equal"
        if s["psnr_db"] is None
        else f"{s['within_2_percent']:.3f} % within 2, PSNR {s['psnr_db']:.1f} dB, worst {s['worst_psnr_db']:.1f}"
    )
    retried = f", {s['retried']} RETRIED" if s["retried"] else ""
    return f"fast ({where}) via {decoder}, {name}: {close}; {ran}{retried}"


def _bench_lines(bench: dict[str, Any]) -> list[str]:
    cells = [cell for cell in bench.get("cells", []) if cell.get("rows")]
    if not cells:
        return []
    names = [f"{cell['set'][:3]}/{cell['batch']}" for cell in cells]
    lines = ["", f"{'images/s (set/batch)':36}" + "".join(f"{name:>8}" for name in names)]
    latency = [row for row in bench.get("latency", []) if "ms" in row]
    singles = dict.fromkeys(row["what"] for row in latency)
    lines[-1] += "".join(f"{f'ms {what}':>11}" for what in singles)
    labels = {row["key"]: row["label"] for cell in cells for row in cell["rows"]}
    for key, label in labels.items():
        speeds = [next((r["images_per_second"] for r in cell["rows"] if r["key"] == key), None) for cell in cells]
        times = [next((r["ms"]["median"] for r in latency if (r["key"], r["what"]) == (key, s)), None) for s in singles]
        line = f"{label[:35]:36}" + "".join(f"{'-' if s is None else f'{s:.0f}':>8}" for s in speeds)
        lines.append(line + "".join(f"{'-' if t is None else f'{t:.2f}':>11}" for t in times))
    absent = bench.get("absent", {}) | {key: why for cell in cells for key, why in cell.get("absent", {}).items()}
    return lines + [f"  not run: {key}: {why}" for key, why in absent.items()]


def _kernel_lines(kernel: dict[str, Any]) -> list[str]:
    if "copy" not in kernel:
        return []
    lines = ["", f"device copy {kernel['copy']['bytes_per_second'] / 1e9:.0f} GB/s (read + written); "
                 f"nvJPEG alone {kernel.get('nvjpeg_alone_ms', kernel.get('nvjpeg_alone_missing', '-'))} ms "
                 f"for {kernel.get('batch', '-')} images"]  # fmt: skip
    for key, mode in kernel.get("modes", {}).items():
        parts = [f"{name} {k['ms_a_batch']:.3f} ms" for name, k in mode.get("kernels", {}).items()]
        copied = mode.get("copies", {}).get("HtoD")
        if copied:
            parts.append(f"HtoD {copied['ms_a_batch']:.3f} ms, {copied['bytes_a_batch'] / 1e6:.1f} MB")
        if "fraction_of_copy" in mode:
            parts.append(f"{100 * mode['fraction_of_copy']:.0f} % of copy")
        lines.append(f"{key}: {', '.join(parts) or mode.get('error') or mode.get('note')}")
    return lines


def _sanitizer_lines(sanitizer: dict[str, Any]) -> list[str]:
    lines = []
    for name, tool in sanitizer.get("tools", {}).items():
        if tool["errors"] is None:
            lines.append(f"sanitizer, {name}: {tool.get('note', 'no summary')}")
        else:
            lines.append(f"sanitizer, {name}: {tool['errors']} errors in {tool['batches']} batches")
            lines += [f"    {line}" for line in tool.get("first", [])[:2]]
        if tool.get("wrong_batches"):
            lines.append(f"  !! {tool['wrong_batches']} of these batches were wrong")
    return lines


def _target_lines(report: dict[str, Any]) -> list[str]:
    lines = ["", f"{'target':48}{'bound':>12}{'measured':>12}  verdict"]
    for t in report["targets"]:
        value = t["value"]
        shown = "-" if value is None else f"{value:.4g}" if isinstance(value, (int, float)) else value
        note = f"  ({t['note']})" if t["note"] else ""
        lines.append(f"{t['text']:48}{t['bound']:>12}{shown:>12}  {t['verdict']}{note}")
    return lines
