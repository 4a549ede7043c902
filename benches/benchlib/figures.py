"""Figures: medians, spreads, ratios, tables, the last line. Pure."""

from statistics import median


class Series:
    """Values of one measurement that was repeated."""

    def __init__(self, values):
        self.values = list(values)

    @property
    def middle(self):
        return median(self.values)

    @property
    def spread(self):
        """From the least to the greatest, as a part of the middle."""
        return (max(self.values) - min(self.values)) / self.middle if self.middle else 0.0

    def told(self, digits=0):
        return f"{self.middle:,.{digits}f} ({min(self.values):,.{digits}f} … {max(self.values):,.{digits}f})"


def ratio(ours, theirs):
    """Pair by pair, so that what slows the whole machine for a while cancels out."""
    return Series(a / b for a, b in zip(ours, theirs, strict=True))


def table(head, rows):
    """Columns as wide as they need, the first to the left, the others to the right."""
    cells = [[str(cell) for cell in row] for row in [head, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = ["  ".join(cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths))) for row in cells]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def result(figures):
    """The last line. What was not measured does not stand in it."""
    return "RESULT " + " ".join(f"{name}={_told(value)}" for name, value in figures.items() if value is not None)


def _told(value):
    return f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


# {figure: (is it a limit from above, the limit)}. Bars, not assertions: a benchmark says what was measured, and a person reads it.
BARS = {
    "throughput_ratio": (False, 0.8), "p99_ratio": (True, 1.3), "nodes_ratio": (True, 1.1), "rss_mib_5k": (True, 30.0), "idle_p99_ratio": (True, 1.5), "slowloris_p99_ratio": (True, 1.5),
    "errors": (True, 0), "pods_unsized": (True, 0), "creations_failed": (True, 0), "creations_unsized": (True, 0),
    "templates_first_unsized": (True, 0), "sets_first_left": (True, 0), "sets_first_repaired_s": (True, 10.0),
    "create_start_p99_added_ms": (True, 5.0), "startup_ms": (True, 2.0),
    "freeze_ratio_16": (True, 1.5), "freeze_ratio_256": (True, 1.5), "freeze_ratio_1024": (True, 1.5), "archive_path_ratio": (True, 1 / 3),
    "storm_failed": (True, 0), "storm_unsized": (True, 0), "leaf_changes_of_one": (False, 25), "ca_rollovers": (False, 1), "kill_failed": (True, 0), "kill_repaired_s": (True, 10.0),
}


def bars(figures):
    """A line for each figure that has a bar: kept, or missed and by how much."""
    lines = []
    for name, (from_above, limit) in BARS.items():
        value = figures.get(name)
        if value is not None:
            kept = value <= limit if from_above else value >= limit
            lines.append(f"{'kept  ' if kept else 'MISSED'}  {name} {_told(value)} ({'at most' if from_above else 'at least'} {limit})")
    return lines


def percentile_of_buckets(buckets, quantile):
    """From cumulative {upper bound: count}: the value below which so many lie, by straight lines within a bucket, as Prometheus does it."""
    bounds = sorted(buckets)
    total = buckets[bounds[-1]] if bounds else 0
    if not total:
        return None
    wanted, lower, before = quantile * total, 0.0, 0
    for bound in bounds:
        if buckets[bound] >= wanted:
            if bound == float("inf"):
                return lower
            return lower + (bound - lower) * (wanted - before) / max(buckets[bound] - before, 1)
        lower, before = bound, buckets[bound]
    return lower
