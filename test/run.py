"""Runs the tests: builds what is needed, runs each program, adds up, prints `N passed, N failed[, N skipped]` last.

All that is done is a Row (test/rig/schedule.py): what it needs, whether it computes or waits. Rows that compute run on
all cores at the lowest priority; beside them those that wait, as many as this machine bears (test/rig/machine.py). A
program tells its counts in its own way (cmocka's PASSED and FAILED lines, or `N passed, N failed[, N skipped]`); one
that tells none counts as one test by its exit code.
"""
import argparse
import glob
import itertools
import os
import re
import signal
import subprocess
import sys
import time

TEST = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(TEST)
sys.path.insert(0, os.path.join(TEST, 'rig'))
import machine  # noqa: E402
from machine import SITE_NODES  # noqa: E402
from schedule import LIMIT_S, Row, Schedule, with_needs  # noqa: E402
from suite import SKIPPED, TIMEOUT  # noqa: E402

PYTHON = '/usr/bin/python3'
CORES = os.cpu_count() or 1
LONG_S = 3 * LIMIT_S              # for what computes long: whatever else runs comes before it
SLOWEST = 10
WAITING_ROOMS = ('kube', 'loop', 'node', 'serf', 'web')       # their test programs wait for timers, sockets, processes
# what takes longest comes first among those that wait, or it is all that runs in the end
FIRST = ('credentials_that_are_not', 'a_minute_of_five', 'a_stream_that_hangs', 'kubelets_come_back',
         'test_outage.test_a_pod_that_vanishes', 'kubesim', 'lost_and_returns_online', 'under_cgroup_v1', 'nine_nodes',
         'serf_agents')


def count(text, code):
    """(passed, failed, skipped) as the program tells."""
    passed = sum(int(n) for n in re.findall(r'^\[  PASSED  \] (\d+) test', text, re.M))
    failed = sum(int(n) for n in re.findall(r'^\[  FAILED  \].*?(\d+) test\(s\)', text, re.M))
    skipped = sum(int(n) for n in re.findall(r'^\[  SKIPPED \] (\d+) test', text, re.M))
    for p, f, s in re.findall(r'^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?', text, re.M):
        passed, failed, skipped = passed + int(p), failed + int(f), skipped + int(s or 0)
    if passed + failed + skipped == 0:
        return (1, 0, 0) if code == 0 else (0, 0, 1) if code == SKIPPED else (0, 1, 0)
    if code != 0 and failed == 0:
        failed = 1                # it crashed, or a sanitizer spoke, after its last test
    return passed, failed, skipped


def make(name, variant, *targets, needs=(), check=True):
    argv = ['make', '-j%d' % CORES, '--no-print-directory', 'WERROR=-Werror', 'VARIANT=' + variant] + list(targets)
    return Row(name, argv, needs=needs, cores=CORES, check=check)


def builds(variant):
    """Two of them never write to the same folder at the same time."""
    rows = [make('build ' + variant, variant, 'binaries'),
            make('build %s tests' % variant, variant, 'test-binaries', 'sim-binary', needs=['build ' + variant])]
    if variant == 'asan':
        rows += [make('build release', 'release', 'binaries', 'sim-binary'), make('clang', 'clang', 'syntax')]
    return rows


def lint():
    return [Row('lint', ['test/lint/run.sh'], cores=CORES, limit_s=LONG_S, check=True)]


def programs(variant):
    """The test programs of a variant, and the corpora through the fuzz targets."""
    env = {'ASAN_OPTIONS': 'abort_on_error=0:detect_leaks=1', 'UBSAN_OPTIONS': 'print_stacktrace=1',
           'EDGE_HEALER_BIN': 'build/%s/edge-healer' % variant}
    rows, needs = [], ['build %s tests' % variant]
    for source in sorted(glob.glob(os.path.join(TEST, '*/test_*.c'))):
        name = os.path.relpath(source, TEST)[:-2]
        rows.append(Row(name, ['build/%s/test/%s' % (variant, name)], env, needs, check=True,
                        waits=1 if name.split('/')[0] in WAITING_ROOMS else 0))
    for source in sorted(glob.glob(os.path.join(TEST, 'fuzz/fuzz_*.c'))):
        name = os.path.basename(source)[:-2]
        corpus = 'test/fuzz/corpus/' + name[len('fuzz_'):]
        replay = 'build/%s/replay/%s' % (variant, name)
        rows.append(Row('fuzz corpus ' + name, [replay, corpus], env, needs, check=True))
    return rows


def scripts():
    env = {'EDGE_HEALER_BIN': 'build/asan/edge-healer'}
    rows = [Row('kubesim static rules', [PYTHON, 'test/kubesim/test_static_rules.py'], check=True),
            Row('kubesim', [PYTHON, '-m', 'unittest', 'discover', '-s', 'test/kubesim'], waits=SITE_NODES),
            Row('recorded API server answers', [PYTHON, 'test/kubesim/check_recorded.py'], waits=1)]
    for room in ('cli', 'surface'):
        for path in sorted(glob.glob(os.path.join(TEST, room, 'test_*.py'))):
            rows.append(Row(os.path.relpath(path, TEST), [PYTHON, path], env, ['build asan'], waits=SITE_NODES))
    for room in ('lint', 'rig'):
        for path in sorted(glob.glob(os.path.join(TEST, room, 'test_*.py'))):
            rows.append(Row(os.path.relpath(path, TEST), [PYTHON, path], waits=1, check=True))
    return rows


def simulator(variant):
    """Seeds in virtual time (release: all of them), what they found before, one twice, mistakes that must be found."""
    sim, needs = 'build/%s/sim/sim' % variant, ['build release' if variant == 'release' else 'build %s tests' % variant]
    seeds = '5000' if variant == 'release' else '500'
    rows = [Row('simulator regressions, ' + variant, [sim, '--file', 'test/sim/regressions.txt'], needs=needs),
            Row('simulator, ' + variant, [sim, '--batch', seeds, '--from', '1'], needs=needs, limit_s=LONG_S)]
    if variant == 'release':
        rows += [Row('simulator with a liar', [sim, '--liar', '--batch', '500', '--from', '1'], needs=needs, limit_s=LONG_S),
                 Row('simulator replays a seed', [PYTHON, 'test/sim/replay.py', sim], needs=needs),
                 Row('simulator mutations', ['make', '--no-print-directory', 'VARIANT=release', 'mutations', 'QUICK=1'],
                     needs=needs, limit_s=LONG_S)]
    return rows


def sites():
    """Each test on a site of its own is a row."""
    binary, needs, suites = 'build/asan/edge-healer', ['build asan'], []
    demo = Row('demo', [PYTHON, 'test/demo/demo.py', '--binary', 'build/release/edge-healer'], needs=['build release'],
               waits=SITE_NODES)
    for suite in ('netns', 'e2e'):
        argv = [PYTHON, 'test/%s/run.py' % suite, '--binary', binary]
        listed = subprocess.run(argv + ['--list'], cwd=TOP, stdout=subprocess.PIPE, text=True, check=True).stdout
        suites.append([Row('%s/%s' % (suite, name), argv + ['--one', name], needs=needs, limit_s=TIMEOUT[False],
                           waits=max(int(nodes), SITE_NODES), again=True)
                       for name, nodes in map(str.split, listed.splitlines())])
    # in turns: sites of namespaces have more nodes
    return [demo] + [row for both in itertools.zip_longest(*suites) for row in both if row]


def rows(variant=None):
    """All of them, or only the test programs and the simulator of a variant."""
    if variant:
        return builds(variant) + programs(variant) + simulator(variant)
    every = builds('asan') + programs('asan') + simulator('asan') + simulator('release') + lint() + scripts() + sites()
    long = [row for word in FIRST for row in every if row.waits and word in row.name]
    return long + [row for row in every if row not in long]


class Report:
    """Prints what becomes of each row, and what is to be said at the end."""

    def __init__(self):
        self.total, self.results = [0, 0, 0], []
        self.again, self.passed_again = [], []         # rows that failed; those of them that then passed alone

    def __call__(self, result):
        """A row has ended; True: it passed. One that is run again is counted then."""
        row, counts = result.row, count(result.text, result.code)
        self.show(result, counts)
        self.results.append(result)
        if counts[1] and row.again and result.code is not None and row not in self.again:
            self.again.append(row)
            return False
        self.total = [a + b for a, b in zip(self.total, counts)]
        if row in self.again and not counts[1]:
            self.passed_again.append(row)
        return not counts[1]

    @staticmethod
    def show(result, counts):
        failed = counts[1]
        told = ', '.join('%d %s' % (n, word) for n, word in zip(counts, ('passed', 'failed', 'skipped')) if n)
        print('%s %6.1f s %6.1f CPU  %s: %s' % ('FAIL' if failed else 'ok  ', result.seconds, result.cpu,
                                              result.row.name, told), flush=True)
        for line in result.text.splitlines():
            if failed or re.match(r'(\[  SKIPPED|SKIP|skipped: |passes; )', line):
                print('     | ' + line, flush=True)
        if failed and result.code:
            print('     | exit code %d' % result.code, flush=True)

    def end(self, began):
        print('The slowest:')
        for r in sorted(self.results, key=lambda r: r.seconds, reverse=True)[:SLOWEST]:
            print('  %6.1f s %6.1f CPU  %s' % (r.seconds, r.cpu, r.row.name))
        print('%.0f s in all, %.0f s of CPU in %d rows' % (time.monotonic() - began, sum(r.cpu for r in self.results),
                                                          len(self.results)))
        for row in self.passed_again:
            print('passed only when run again, alone, which is a fault to look for: ' + row.name)
        passed, failed, skipped = self.total
        print('%d passed, %d failed%s' % (passed, failed, ', %d skipped' % skipped if skipped else ''), flush=True)
        return 1 if failed or not passed else 0


def main():
    p = argparse.ArgumentParser(description='Build and run the tests.')
    p.add_argument('--only', default='', metavar='WORD', help='only tests whose name contains it')
    p.add_argument('--variant', choices=('asan', 'ubsan', 'cov'), help='only the test programs, built so')
    p.add_argument('--check', action='store_true', help='only what is quick: build, lint, unit tests')
    p.add_argument('--list', action='store_true', help='only print the names')
    o = p.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    wanted = with_needs(rows(o.variant), lambda row: o.only in row.name and (row.check or not o.check))
    if o.list:
        print('\n'.join(row.name for row in wanted))
        return 0
    began, report = time.monotonic(), Report()
    factor, waiting = machine.factor(), machine.nodes()
    print('%d cores, room for %d nodes at the same time, deadlines times %.2f' % (CORES, waiting, factor), flush=True)
    Schedule(wanted, report, CORES, waiting, TOP, factor).run()
    for row in report.again:
        print('again, alone: %s (its failure is above)' % row.name, flush=True)
        row.needs = ()
        Schedule([row], report, CORES, 1, TOP, factor).run()
    return report.end(began)


if __name__ == '__main__':
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit('interrupted')
