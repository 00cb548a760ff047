"""From samples to a table on the terminal, Markdown, and a plot."""

from dataclasses import dataclass
from html import escape
from statistics import median

from subjects import FLOOR, OURS, PEER

NO_INIT, LOOP = "no init", "waitpid loop"


@dataclass
class Metric:
    key: str
    title: str
    unit: str
    divisor: float
    floor: str = ""  # the subject that no init can beat; "" where there is none
    plotted: bool = True
    digits: int = 0


METRICS = [
    Metric("size", "stripped binary", "KiB", 1024),
    Metric("start", "exec of init until main() of its child", "us", 1e3, NO_INIT),
    Metric("life", "exec of init until init has ended (child: true)", "us", 1e3, NO_INIT, False),
    Metric("signal", "SIGUSR1 to init until its child has it", "us", 1e3, NO_INIT, True, 1),
    Metric("storm", "20 000 orphans die: until the last is reaped", "ms", 1e6, LOOP),
    Metric("storm-cpu", "CPU time of init for that", "ms", 1e6, LOOP, False),
    Metric("backlog", "20 000 zombies wait: until the last is reaped", "ms", 1e6, LOOP, True, 1),
    Metric("backlog-cpu", "CPU time of init for that", "ms", 1e6, LOOP, False, 1),
    Metric("crowd-1", "one orphan ends and is reaped, 1 child lives", "us", 1e3, LOOP, False, 1),
    Metric("crowd-cpu-1", "CPU time of init per death, 1 child lives", "us", 1e3, LOOP, True, 1),
    Metric("crowd-1000", "one orphan ends and is reaped, 1 000 children live", "us", 1e3, LOOP,
           False, 1),
    Metric("crowd-cpu-1000", "CPU time of init per death, 1 000 children live", "us", 1e3, LOOP,
           True, 1),
    Metric("crowd-15000", "one orphan ends and is reaped, 15 000 children live", "us", 1e3, LOOP,
           True),
    Metric("crowd-cpu-15000", "CPU time of init per death, 15 000 children live", "us", 1e3, LOOP,
           True),
    Metric("pss", "idle memory of all processes (PSS)", "KiB", 1024),
    Metric("anonymous", "of that, not pages of the binary", "KiB", 1024, "", False),
    Metric("switches", "context switches in 10 s at rest", "", 1),
    Metric("processes", "processes at rest", "", 1, "", False),
]


def summarise(bench, machine):
    kinds = {s.name: s.kind for s in bench.subjects}
    dynamic = {s.name for s in bench.subjects if s.dynamic}
    metrics = {}
    for metric in METRICS:
        peers = {name for name, kind in kinds.items() if kind == PEER}
        if metric.key == "size":
            peers -= dynamic  # libc comes on top of those
        taken = bench.samples.get(metric.key, {})
        rows = {name: {"n": len(v), "min": min(v), "p50": median(v)}
                for name, v in taken.items() if v}
        for row in rows.values():
            row.update(ratios(row, rows, metric, peers))
        if rows:
            metrics[metric.key] = {"title": metric.title, "unit": metric.unit,
                                   "divisor": metric.divisor, "rows": rows}
    return {"machine": machine, "subjects": kinds, "notes": bench.notes, "metrics": metrics}


def best_peer(rows, peers, column):
    values = [row[column] for name, row in rows.items() if name in peers]
    return min(values, default=0)


def ratios(row, rows, metric, peers):
    """To the floor and to the best peer, by min and by p50; None where there is nothing to
    divide by (a floor that was not measured, a peer that needs 0 of it)."""
    answer = {}
    for column in ("min", "p50"):
        floor = rows.get(metric.floor, {}).get(column, 0)
        peer = best_peer(rows, peers, column)
        answer[f"{column}/floor"] = round(row[column] / floor, 3) if floor else None
        answer[f"{column}/best peer"] = round(row[column] / peer, 3) if peer else None
    return answer


def number(value, metric):
    return f"{value / metric.divisor:,.{metric.digits}f}"


def ratio_pair(row, to):
    pair = [row[f"min/{to}"], row[f"p50/{to}"]]
    return "" if None in pair else f"{pair[0]:.2f} / {pair[1]:.2f}"


HEAD = ["subject", "min", "p50", "x floor (min / p50)", "x best peer (min / p50)", "n"]


def table(metric, results):
    """Rows of text, fastest first; what could not be measured comes last, with its reason."""
    rows = results["metrics"][metric.key]["rows"]
    lines = [[name, number(row["min"], metric), number(row["p50"], metric),
              ratio_pair(row, "floor"), ratio_pair(row, "best peer"), str(row["n"])]
             for name, row in sorted(rows.items(), key=lambda item: item[1]["p50"])]
    lines += [[name, why, "", "", "", ""] for name, why in results["notes"].items()
              if name in results["subjects"] and name not in rows]
    return lines


def tables(results):
    for metric in METRICS:
        if metric.key in results["metrics"]:
            unit = f", {metric.unit}" if metric.unit else ""
            yield f"{metric.title}{unit}", table(metric, results)


def about(results):
    m = results["machine"]
    load = "/".join(map(str, m["load"]))
    lines = [f"{m['cpu']}, {m['cores']} cores, Linux {m['kernel']} {m['machine']}, load {load}."]
    lines += [f"{name}: {why}." for name, why in results["notes"].items()]
    return lines


def markdown(results):
    text = ["# pinnace beside its peers", "", *about(results), ""]
    for title, lines in tables(results):
        text += [f"## {title}", "", "| " + " | ".join(HEAD) + " |",
                 "|---" + "|--:" * (len(HEAD) - 1) + "|"]
        text += ["| " + " | ".join(line) + " |" for line in lines]
        text.append("")
    return "\n".join(text)


def terminal(results):
    text = []
    for title, lines in tables(results):
        widths = [max(len(line[i]) for line in [HEAD, *lines] if not (i == 1 and not line[2]))
                  for i in range(len(HEAD))]
        text.append(f"\n{title}")
        for line in [HEAD, *lines]:
            cells = [line[0].ljust(widths[0])]
            cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]
            text.append("  " + "  ".join(cells).rstrip())
    return "\n".join([*text, "", *about(results)])


# The plot: one panel a metric, a bar a subject up to its p50, a tick at its min.

COLOURS = {OURS: "#1769c2", PEER: "#a9b4c0", FLOOR: "#dfe4ea"}
LEGEND = "bar: p50, tick: min; less is better; blue: pinnace, pale: floors; one run, taking turns"
WIDTH, COLUMNS, MARGIN = 1000, 2, 24
LABEL_WIDTH, VALUE_WIDTH, ROW, TITLE = 166, 56, 17, 26
PANEL = (WIDTH - MARGIN * (COLUMNS + 1)) // COLUMNS
BAR = PANEL - LABEL_WIDTH - VALUE_WIDTH


def text_at(x, y, words, extra=""):
    return f'<text x="{x}" y="{y}" {extra}>{escape(words)}</text>'


def bar(x, y, name, row, metric, kind, full):
    end = LABEL_WIDTH + x
    length = row["p50"] / full * BAR if full else 0
    tick = end + (row["min"] / full * BAR if full else 0)
    bold = ' font-weight="bold"' if kind == OURS else ""
    return [
        text_at(end - 6, y + 12, name, f'text-anchor="end"{bold}'),
        f'<rect x="{end}" y="{y + 2}" width="{length:.1f}" height="{ROW - 5}" '
        f'fill="{COLOURS[kind]}"/>',
        f'<line x1="{tick:.1f}" x2="{tick:.1f}" y1="{y + 1}" y2="{y + ROW - 2}" stroke="#333"/>',
        text_at(f"{end + length + 5:.1f}", y + 12, number(row["p50"], metric), bold.strip()),
    ]


def panel(x, y, metric, results):
    rows = sorted(results["metrics"][metric.key]["rows"].items(), key=lambda item: item[1]["p50"])
    full = max(row["p50"] for _, row in rows)
    unit = f" ({metric.unit})" if metric.unit else ""
    parts = [text_at(x, y + 14, metric.title + unit, 'font-size="13" font-weight="bold"')]
    for i, (name, row) in enumerate(rows):
        kind = results["subjects"][name]
        parts += bar(x, y + TITLE + i * ROW, name, row, metric, kind, full)
    return parts, TITLE + len(rows) * ROW + MARGIN


def svg(results):
    parts = []
    heights = [MARGIN + 42] * COLUMNS
    parts.append(text_at(MARGIN, MARGIN + 8, "pinnace beside its peers", 'font-size="17"'))
    parts.append(text_at(MARGIN, MARGIN + 27, LEGEND, 'fill="#555"'))
    for metric in METRICS:
        if metric.plotted and metric.key in results["metrics"]:
            column = heights.index(min(heights))
            x = MARGIN + column * (PANEL + MARGIN)
            drawn, height = panel(x, heights[column], metric, results)
            parts += drawn
            heights[column] += height
    height = max(heights)
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
            f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="11" '
            f'fill="#222">\n<rect width="100%" height="100%" fill="#fff"/>\n')
    return head + "\n".join(parts) + "\n</svg>\n"
