"""The world: a real Kubernetes cluster on one Linux machine. README.md beside this package says how to use it."""
