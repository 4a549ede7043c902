"""The measurements straight at the webhook: throughput, latency, nodes, floods, memory, cold start."""

from statistics import median

from . import figures, load
from .control_plane import wait
from .servers import Bare, Holdfast


# What the bare server's answer holds besides its patch.
AROUND_THE_PATCH = 169


class Sizes:
    """How much of everything. `quick` shows that the machinery works; its figures mean nothing."""

    def __init__(self, quick):
        self.pairs, self.seconds, self.warmup = (1, 1, 0) if quick else (7, 10, 1)
        self.few_nodes, self.nodes = (20, 200) if quick else (100, 5000)
        self.templates, self.daemonsets = (20, 10) if quick else (500, 300)
        self.pods = 200 if quick else 10_000
        self.idle, self.slow, self.flood_pairs = (100, 20, 1) if quick else (5000, 500, 7)
        self.cold_starts = 1 if quick else 5
        self.rate = 200
        self.connections = 25


class Direct:
    """`null`: the baseline stands for both servers, and the figures show what the machine itself makes of equal ones."""

    def __init__(self, plane, programs, driver, cores, folder, sizes, null):
        self.plane, self.programs, self.driver, self.sizes, self.null = plane, programs, driver, sizes, null
        self.core, self.folder = cores[0], folder
        self.population = folder / "population.json"
        self.bare = self.ours = None
        self.figures, self.rows, self.errors, self.verified, self.others = {}, [], 0, 0, []

    def run(self):
        try:
            self._phases()
        finally:
            for server in (self.bare, self.ours):
                if server:
                    server.end()
        self.figures.update(errors=self.errors, verified=self.verified, others_share_max=max(self.others, default=0.0))

    def _phases(self):
        sizes = self.sizes
        self._tell(f"{sizes.few_nodes} nodes, {sizes.templates} templates, {sizes.daemonsets} DaemonSets")
        self.plane.add_shares(sizes.templates, sizes.daemonsets)
        self._nodes(sizes.few_nodes)
        self._start()
        few = self.ours.settled_memory()
        throughput_few, cpu_few = self._pairs(f"closed loop, {sizes.few_nodes} nodes", "rate")
        self._tell(f"{sizes.nodes} nodes, added while it runs")
        self._nodes(sizes.nodes)
        self.ours.settled_memory()
        throughput, cpu = self._pairs(f"closed loop, {sizes.nodes} nodes", "rate")
        p99, _ = self._pairs(f"open loop, {sizes.rate}/s", "p99_us", "--rate", sizes.rate, lower_is_better=True)
        self._handshakes()
        loaded = self.ours.settled_memory()
        self.figures.update(throughput_ratio=throughput.middle, p99_ratio=p99.middle, cpu_ratio=cpu.middle, nodes_ratio=throughput_few.middle / throughput.middle, nodes_cpu_ratio=cpu.middle / cpu_few.middle)
        self._floods()
        self._memory(few, loaded)

    def _tell(self, line):
        print(f"\n== {line}", flush=True)

    def _nodes(self, count):
        self.plane.add_nodes(count)
        self.plane.write_population(self.population)

    def _start(self):
        directory = self.folder / "certs"
        if self.null:
            self.ours = Bare(self.programs, self.core, directory, self.folder / "null.log")
            self.bare = Bare(self.programs, self.core, directory, self.folder / "bare.log")
            return
        self.ours = self._holdfast()
        # The baseline's answers are as long as ours.
        bytes_ = self._measure(self.ours, 1)["answer_bytes"]
        self.bare = Bare(self.programs, self.core, directory, self.folder / "bare.log", max(0, bytes_ - AROUND_THE_PATCH))

    def _holdfast(self):
        started = Holdfast(self.programs, self.core, self.folder / "certs", self.folder / "holdfast.log", self.plane.kubeconfig)
        wait("holdfast to lead", 60, lambda: started.check() and self.plane.leader() == "bench")
        return started

    def _measure(self, server, seconds, *words):
        is_constant = isinstance(server, Bare)
        sizes = self.sizes
        told = self.driver.measure(server, seconds, "--population", self.population, "--nodes", self.plane.nodes, "--daemonsets", sizes.daemonsets, "--connections", sizes.connections,
                                   "--warmup", sizes.warmup, *words, expect="constant" if is_constant else "sized")
        self.errors += told["errors"]
        self.verified += told["verified"]
        self.others.append(told["shares"]["others"] + told["shares"]["stolen"])
        return told

    def _pairs(self, title, field, *words, lower_is_better=False):
        """Alternating runs of both servers; ours against the baseline, pair by pair: the field, and processor time for a request."""
        ours, bare = [], []
        for number in range(self.sizes.pairs):
            order = [("baseline", self.bare, bare), ("ours", self.ours, ours)]
            for name, server, runs in order if number % 2 == 0 else reversed(order):
                runs.append(self._measure(server, self.sizes.seconds, *words))
                print(f"  {title}, {number + 1} of {self.sizes.pairs}, {name:<8} {load.told_in_a_line(runs[-1])}", flush=True)
        against = figures.ratio([run[field] for run in ours], [run[field] for run in bare])
        for unit, key, digits in (("requests/s", "rate", 0), ("p50 us", "p50_us", 0), ("p99 us", "p99_us", 0), ("cpu us/request", "cpu_us", 1)):
            series = [figures.Series(run[key] for run in runs) for runs in (bare, ours)]
            mark = f"{against.told(3)}{' (lower is better)' if lower_is_better else ''}" if key == field else f"{series[1].middle / series[0].middle:.3f}" if series[0].middle else "-"
            self.rows.append([title, unit, series[0].told(digits), series[1].told(digits), mark])
        return against, figures.ratio([run["cpu_us"] for run in ours], [run["cpu_us"] for run in bare])

    def _handshakes(self):
        runs = [self._measure(server, self.sizes.seconds, "--handshakes") for server in (self.bare, self.ours)]
        self.rows.append(["a connection for each request", "requests/s", *(f"{run['rate']:,.0f}" for run in runs), f"{runs[1]['rate'] / runs[0]['rate']:.3f}"])

    def _floods(self):
        """Good traffic beside connections that only take room."""
        for kind, figure, count in (("idle", "idle_p99_ratio", self.sizes.idle), ("slowloris", "slowloris_p99_ratio", self.sizes.slow)):
            self._tell(f"{count} {kind} connections beside {self.sizes.rate} requests/s")
            quiet, beside, told = [], [], {}
            for number in range(self.sizes.flood_pairs):
                # Which comes first changes from pair to pair.
                if number % 2 == 0:
                    quiet.append(self._measure(self.ours, self.sizes.seconds, "--rate", self.sizes.rate))
                with self.driver.flood(kind, self.ours, count) as told:
                    beside.append(self._measure(self.ours, self.sizes.seconds, "--rate", self.sizes.rate))
                    memory = self.ours.memory()
                if number % 2:
                    quiet.append(self._measure(self.ours, self.sizes.seconds, "--rate", self.sizes.rate))
                print(f"  without {load.told_in_a_line(quiet[-1])}\n  beside  {load.told_in_a_line(beside[-1])}\n  {told}, RSS {memory['rss']:.1f} MiB", flush=True)
            self.figures[figure] = figures.ratio([run["p99_us"] for run in beside], [run["p99_us"] for run in quiet]).middle

    def _memory(self, few, loaded):
        """Of processes that were just started, and of the one that was measured; the greater one counts."""
        sizes, rss = self.sizes, {}
        self._tell("memory and cold start")
        self.ours.end()
        starts = []
        for _ in range(sizes.cold_starts):
            self.ours = self._holdfast()
            starts.append(self.ours.ready_after_s)
            rss["fresh"] = self.ours.settled_memory()
            self.ours.end()
        self.plane.add_pods(sizes.pods)
        self.ours = self._holdfast()
        rss["pods"] = self.ours.settled_memory()
        rss["loaded"] = rss["fresh"] if self.null else loaded
        growth = (rss["fresh"]["rss"] - few["rss"]) * 1024 / max(1, sizes.nodes - sizes.few_nodes)
        for name, of in (("just started", "fresh"), ("after the load", "loaded"), (f"with {sizes.pods:,} pods besides, just started", "pods")):
            self.rows.append([f"memory, {name}", "MiB", "-", f"RSS {rss[of]['rss']:.1f}, PSS {rss[of]['pss']:.1f}, peak {rss[of]['peak']:.1f}", ""])
        self.rows.append(["memory for each further node", "KiB", "-", "-" if self.null else f"{growth:.2f}", ""])
        self.rows.append(["from its start to ready", "s", "-", figures.Series(starts).told(3), ""])
        self.figures.update(rss_mib_5k=max(rss["fresh"]["rss"], rss["loaded"]["rss"]), hwm_mib_5k=rss["fresh"]["peak"], rss_mib_10k_pods=rss["pods"]["rss"],
                            kib_per_node=None if self.null else growth, cold_start_s=median(starts))
