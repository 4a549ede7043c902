"""The programs that are measured and that measure: where make has built them."""

import subprocess
from pathlib import Path


class Programs:
    def __init__(self, folder):
        folder = Path(folder)
        self.holdfast, self.bare, self.driver = (str(folder / name) for name in ("holdfast", "bench-bare", "examples/bench-driver"))
        missing = [path for path in (self.holdfast, self.bare, self.driver) if not Path(path).exists()]
        if missing:
            raise SystemExit(f"bench: {', '.join(missing)} is not there: run it by `make bench-admission`, which builds it.")

    def crds(self):
        return subprocess.run([self.holdfast, "crds"], check=True, capture_output=True, text=True).stdout

    def has_webhooks(self):
        told = subprocess.run([self.holdfast, "serve", "--help"], check=True, capture_output=True, text=True).stdout
        return "--webhook-bind-address" in told
