"""Runs commands beside each other: what computes at the lowest priority on all cores, what mostly waits beside it.

One thread looks after all of them. Each row is a process group: what a row leaves behind when it ends, when its time is
over, or when we are stopped is killed with it. Those that wait also measure short times; so the others run under
SCHED_IDLE and get the cores only when nobody else wants them.
"""
import ctypes
import os
import signal
import subprocess
import tempfile
import time

LOOK_S = 0.05
GRACE_S = 30                             # from SIGTERM to SIGKILL: a site of namespaces is taken down in that time
LIMIT_S = 900                            # of a row that computes and names none; times the factor of the machine
WAIT_LIMIT_S = 300                       # of one that waits: nobody has the cores before it


class Row:
    def __init__(self, name, argv, env=None, needs=(), waits=0, cores=1, limit_s=None, again=False, check=False):
        """waits: 0, it computes; else it mostly waits, or measures time, and takes so much room among such rows (a
        site: its nodes). cores: how many it computes on. needs: names of rows that must have passed before. again: if
        it fails it is run once more, alone. check: part of `make check`."""
        self.name, self.argv, self.env, self.needs, self.waits = name, argv, env or {}, tuple(needs), waits
        self.cores, self.again, self.check = cores, again, check
        self.limit_s = limit_s or (WAIT_LIMIT_S if waits else LIMIT_S)


class Result:
    """What became of a row. code: exit code, minus a signal, or None: not run. cpu: seconds, all its processes."""

    def __init__(self, row, code, text, seconds=0.0, cpu=0.0):
        self.row, self.code, self.text, self.seconds, self.cpu = row, code, text, seconds, cpu


def _child(idle):
    """In the child, before exec. A group, not a session: SCHED_IDLE counts among the processes of one session only."""
    os.setpgid(0, 0)
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)           # PR_SET_PDEATHSIG: not even kill -9 of us leaves it behind
    if idle:
        try:
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        except OSError:
            os.nice(19)


class Running:
    def __init__(self, row, cwd, limit_s):
        self.row, self.limit_s, self.began, self.why = row, limit_s, time.monotonic(), ''
        self.kill_at = None
        with tempfile.TemporaryFile('w+', errors='replace') as out:
            self.p = subprocess.Popen(row.argv, cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                      env=dict(os.environ, **row.env), preexec_fn=lambda: _child(not row.waits))
            self.out = os.fdopen(os.dup(out.fileno()), 'r', errors='replace')

    def signal(self, signo):
        try:
            os.killpg(self.p.pid, signo)
        except ProcessLookupError:
            pass

    def stop(self, why):
        """Asks the whole group to end; look() sees to it that it does."""
        if not self.kill_at:
            self.why, self.kill_at = why, time.monotonic() + GRACE_S
            self.signal(signal.SIGTERM)

    def look(self):
        """Its Result once it has ended, else None."""
        now = time.monotonic()
        if not os.waitid(os.P_PID, self.p.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if now - self.began > self.limit_s:
                self.stop('not done within %d s' % self.limit_s)
            if self.kill_at and now > self.kill_at:
                self.signal(signal.SIGKILL)
            return None
        self.signal(signal.SIGKILL)                      # the rest of the group, while nobody else can have its number
        _, status, usage = os.wait4(self.p.pid, 0)
        self.p.returncode = os.waitstatus_to_exitcode(status)
        self.out.seek(0)
        text, code = self.out.read(), self.p.returncode
        self.out.close()
        if self.why:
            text, code = '%s\n%s' % (text, self.why), code or 1
        return Result(self.row, code, text, now - self.began, usage.ru_utime + usage.ru_stime)


class Schedule:
    """run() gives each Result to `report` as it comes; report says whether the row passed."""

    def __init__(self, rows, report, cores, waiting, cwd, factor=1.0):
        """cores: how many may compute; waiting: the room for rows that wait."""
        self.todo, self.running, self.passed, self.failed = list(rows), [], set(), set()
        self.report, self.cores, self.waiting, self.cwd, self.factor = report, cores, waiting, cwd, factor

    def _has_room(self, row):
        same = [r.row for r in self.running if bool(r.row.waits) == bool(row.waits)]
        if not same:
            return True                                  # what is too big for the machine runs alone
        if row.waits:
            return sum(r.waits for r in same) + row.waits <= self.waiting
        return sum(r.cores for r in same) + row.cores <= self.cores

    def _start(self):
        """In their order; of each kind none overtakes one that only lacks room."""
        full = set()
        for row in list(self.todo):
            lacks = self.failed.intersection(row.needs)
            if lacks:
                self.todo.remove(row)
                self._end(Result(row, None, 'not run: %s failed' % ', '.join(sorted(lacks))))
            elif bool(row.waits) not in full and self.passed.issuperset(row.needs):
                if self._has_room(row):
                    self.todo.remove(row)
                    self._launch(row)
                else:
                    full.add(bool(row.waits))

    def _launch(self, row):
        try:
            self.running.append(Running(row, self.cwd, row.limit_s * self.factor))
        except OSError as e:
            self._end(Result(row, None, str(e)))

    def _end(self, result):
        (self.passed if self.report(result) else self.failed).add(result.row.name)

    def _look(self):
        for r in list(self.running):
            result = r.look()
            if result:
                self.running.remove(r)
                self._end(result)

    def run(self):
        names = {row.name for row in self.todo}
        missing = [need for row in self.todo for need in row.needs if need not in names]
        assert not missing, 'rows are needed that are not there: %s' % missing
        assert len(names) == len(self.todo), 'two rows have the same name'
        try:
            while self.todo or self.running:
                self._start()
                self._look()
                time.sleep(LOOK_S)
        finally:
            self._stop_all()

    def _stop_all(self):
        for r in self.running:
            r.stop('stopped')
        while self.running:
            self.running = [r for r in self.running if not r.look()]
            time.sleep(LOOK_S)


def with_needs(rows, wanted):
    """The rows for which wanted(row) holds, and what they need, in their order."""
    by_name, names = {row.name: row for row in rows}, set()

    def take(row):
        names.add(row.name)
        for need in row.needs:
            if need not in names:
                take(by_name[need])
    for row in rows:
        if wanted(row):
            take(row)
    return [row for row in rows if row.name in names]
