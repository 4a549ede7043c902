"""What the world says when it cannot go on: one sentence that says what to do, and an exit code.

1 failed, 2 bad usage, 3 a probe of this machine failed.
"""


class Refusal(Exception):
    """Ends the command with its sentence on standard error."""

    exit_code = 1


class BadUsage(Refusal):
    exit_code = 2


class ProbeFailed(Refusal):
    exit_code = 3
