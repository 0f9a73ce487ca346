"""A child process of a test, its output in a file, and waiting for things to happen."""
import ctypes
import os
import signal
import subprocess
import time

from machine import patient

PYTHON = '/usr/bin/python3'
DISCARD_ENV = 'RIG_DISCARD'              # set: a failure is expected, nobody will read its logs
STEP_MIN_S, STEP_MAX_S = 0.02, 0.1       # between two looks of wait_for()
BINARY_ENV = 'EDGE_HEALER_BIN'           # the test programs' own; the daemon would take it for one of its keys


def _die_with_parent():
    """A child must not outlive a test that was killed (prctl PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def wait_for(check, seconds, what):
    """Waits until check() is true and returns its value; raises AssertionError naming what did not happen.

    `seconds` is a deadline of the test, longer on a slow machine: what the product promises is asserted by the test
    itself. Looks every 20 ms at first, later rarely (looking takes time from what is looked at): what happens is
    noticed at most a tenth of its time, or STEP_MAX_S, too late.
    """
    began, limit = time.monotonic(), patient(seconds)
    while True:
        got, waited = check(), time.monotonic() - began
        if got:
            return got
        if waited > limit:
            raise AssertionError('not within %g s: %s' % (limit, what))
        time.sleep(min(max(STEP_MIN_S, waited / 10), STEP_MAX_S))


class Process:
    """A child with its output in a file."""

    def __init__(self, name, argv, log, env=None, stdin=None):
        self.name, self.log = name, log
        self.out = open(log, 'ab')
        self.p = subprocess.Popen(argv, stdout=self.out, stderr=self.out, stdin=stdin, preexec_fn=_die_with_parent,
                                  env=dict({k: v for k, v in os.environ.items() if k != BINARY_ENV}, **(env or {})))

    def text(self):
        with open(self.log, errors='replace') as f:
            return f.read()

    def line(self, prefix, seconds=15):
        """What follows `prefix` in its output, once it is there."""
        def look():
            if self.p.poll() is not None:
                raise AssertionError('%s ended early:\n%s' % (self.name, self.text()[-2000:]))
            for line in self.text().splitlines():
                if prefix in line:
                    return line.split(prefix, 1)[1].strip() or True
            return None
        return wait_for(look, seconds, '%s says "%s"' % (self.name, prefix))

    def kill(self, signo=signal.SIGKILL):
        if self.p.poll() is None:
            self.p.send_signal(signo)
            self.p.wait()

    def end(self, seconds=10):
        """Its stdin ends; what it does then is its own affair."""
        self.p.stdin.close()
        self.p.wait(seconds)

    def say(self, text):
        """A line to its stdin."""
        self.p.stdin.write(text.encode() + b'\n')
        self.p.stdin.flush()

    def alive(self):
        return self.p.poll() is None
