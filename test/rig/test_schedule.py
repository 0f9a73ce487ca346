#!/usr/bin/env python3
"""The runner of all tests: order, room, time limits, and that nothing is left running."""
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import machine  # noqa: E402
from process import wait_for  # noqa: E402
from schedule import Row, Schedule, with_needs  # noqa: E402

SLEEPER = 'sleep 1000 & echo $! >%s; wait'


def alive(pid):
    """A process that runs, not one that only waits to be reaped."""
    try:
        with open('/proc/%d/stat' % pid) as f:
            return f.read().rsplit(')', 1)[1].split()[0] != 'Z'
    except OSError:
        return False


class Rows(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir, self.results = folder.name, []

    def path(self, name):
        return os.path.join(self.dir, name)

    def pid(self, name='pid'):
        """The number of a process that wrote it down."""
        def read():
            if os.path.exists(self.path(name)):
                with open(self.path(name)) as f:
                    return int(f.read() or 0)
            return 0
        return wait_for(read, 10, 'a process writes down its number')

    @staticmethod
    def wait_dead(pid):
        """It was sent a SIGKILL: it has to get a core to die."""
        wait_for(lambda: not alive(pid), 10, 'process %d is gone' % pid)

    def sh(self, name, script, **more):
        return Row(name, ['sh', '-c', script], **more)

    def run_rows(self, rows, cores=2, waiting=2):
        def report(result):
            self.results.append(result)
            return result.code == 0
        Schedule(rows, report, cores, waiting, self.dir).run()
        return {r.row.name: r for r in self.results}

    def test_output_code_and_cpu_are_told(self):
        got = self.run_rows([self.sh('a', 'echo out; echo err >&2; exit 3'),
                             self.sh('b', 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done')])
        self.assertEqual((got['a'].code, got['a'].text), (3, 'out\nerr\n'))
        self.assertEqual(got['b'].code, 0)
        self.assertGreater(got['b'].cpu, 0.02)

    def test_needs_come_first_and_what_lacks_them_is_not_run(self):
        got = self.run_rows([self.sh('late', 'cat made', needs=['early']), self.sh('early', 'sleep 0.2; echo x >made'),
                             self.sh('bad', 'false'), self.sh('lost', 'true', needs=['bad']),
                             self.sh('lost too', 'true', needs=['lost'])])
        self.assertEqual(got['late'].text, 'x\n')
        self.assertIsNone(got['lost'].code)
        self.assertIsNone(got['lost too'].code)
        self.assertIn('bad failed', got['lost'].text)

    def most_at_once(self, want, rows, **room):
        """How many ran at the same time, by the times that they wrote down. Each waits until `want` have begun."""
        with tempfile.TemporaryDirectory() as folder:
            script = 'date +%%s.%%N; touch %s/$$; i=0; while [ $(ls %s | wc -l) -lt %d ] && [ $i -lt 500 ]; do ' \
                     'i=$((i+1)); sleep 0.02; done; date +%%s.%%N' % (folder, folder, want)
            self.results = []
            self.run_rows([self.sh(name, script, **more) for name, more in rows], **room)
        edges = []
        for r in self.results:
            began, ended = r.text.split()
            edges += [(float(began), 1), (float(ended), -1)]
        now = most = 0
        for _, step in sorted(edges):
            now += step
            most = max(most, now)
        return most

    def test_each_kind_has_its_room(self):
        def same(count, **more):
            return [('%d' % i, more) for i in range(count)]
        self.assertEqual(self.most_at_once(3, same(6, waits=1), waiting=3), 3)
        self.assertEqual(self.most_at_once(2, same(4, waits=3), waiting=8), 2)
        self.assertEqual(self.most_at_once(2, same(4), cores=2), 2)
        self.assertEqual(self.most_at_once(1, same(2, cores=2), cores=2), 1)
        self.assertEqual(self.most_at_once(2, [('c', {'cores': 1}), ('w', {'waits': 1})], cores=1, waiting=1), 2)
        self.assertEqual(self.most_at_once(1, same(1, cores=8), cores=2), 1)

    def test_only_what_computes_is_idle(self):
        show = '%s -c "import os; print(os.sched_getscheduler(0))"' % sys.executable
        got = self.run_rows([self.sh('computes', show), self.sh('waits', show, waits=1)])
        self.assertEqual(int(got['computes'].text), os.SCHED_IDLE)
        self.assertEqual(int(got['waits'].text), os.SCHED_OTHER)

    def test_a_row_whose_time_is_over_is_killed_with_its_group(self):
        got = self.run_rows([self.sh('long', SLEEPER % self.path('pid'), waits=1, limit_s=machine.patient(3))])
        self.assertNotEqual(got['long'].code, 0)
        self.assertIn('not done within', got['long'].text)
        self.wait_dead(self.pid())

    def test_what_a_row_leaves_behind_is_killed(self):
        self.run_rows([self.sh('untidy', 'sleep 1000 & echo $! >pid')])
        self.wait_dead(self.pid())

    def test_a_program_that_is_not_there_is_a_failure(self):
        self.assertIsNone(self.run_rows([Row('none', ['/does/not/exist'])])['none'].code)

    def test_stopped_it_leaves_nothing_running(self):
        script = '''
import sys
sys.path.insert(0, %r)
from schedule import Row, Schedule
import signal
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
Schedule([Row('r', ['sh', '-c', %r])], lambda r: True, 1, 1, %r).run()
''' % (HERE, SLEEPER % self.path('pid'), self.dir)
        for signo in (signal.SIGINT, signal.SIGTERM):
            p = subprocess.Popen([sys.executable, '-c', script], stderr=subprocess.DEVNULL)
            pid = self.pid()
            p.send_signal(signo)
            p.wait(machine.patient(40))
            self.wait_dead(pid)
            os.unlink(self.path('pid'))

    def test_what_is_wanted_brings_what_it_needs(self):
        rows = [self.sh('a', 'true'), self.sh('b', 'true', needs=['a']), self.sh('c', 'true'),
                self.sh('d', 'true', needs=['b'])]
        self.assertEqual([r.name for r in with_needs(rows, lambda r: r.name == 'd')], ['a', 'b', 'd'])


class Patience(unittest.TestCase):
    def setUp(self):
        before = dict(os.environ)
        self.addCleanup(lambda: (os.environ.clear(), os.environ.update(before)))

    def test_it_is_measured_once_and_left_to_children(self):
        os.environ.pop(machine.FACTOR_ENV, None)
        got = machine.factor()
        self.assertGreaterEqual(got, 1)
        self.assertEqual(float(os.environ[machine.FACTOR_ENV]), got)

    def test_a_slow_machine_has_longer_deadlines_and_fewer_sites(self):
        os.environ[machine.FACTOR_ENV] = '1'
        fast, began = machine.sites(), time.monotonic()
        with self.assertRaises(AssertionError):
            wait_for(lambda: False, 0.2, 'never')
        self.assertLess(time.monotonic() - began, 0.8)
        os.environ[machine.FACTOR_ENV] = '5'
        began = time.monotonic()
        with self.assertRaises(AssertionError):
            wait_for(lambda: False, 0.2, 'never')
        self.assertGreaterEqual(time.monotonic() - began, 1)
        self.assertEqual(machine.patient(3), 15)
        self.assertLess(machine.sites(), fast)

    def test_no_deadline_shrinks(self):
        os.environ[machine.FACTOR_ENV] = '0.3'
        self.assertEqual(machine.patient(3), 3)


if __name__ == '__main__':
    program = unittest.main(exit=False, verbosity=0)
    bad = len(program.result.failures) + len(program.result.errors)
    print('%d passed, %d failed' % (program.result.testsRun - bad, bad))
    sys.exit(1 if bad else 0)
