"""Runs the tests: builds what is needed, runs each program, adds up, prints `N passed, N failed` last.

Each step of STEPS is a row: name, command, how many may run beside it. A program tells its counts in its own way (cmocka's
PASSED and FAILED lines, or `N passed, N failed[, N skipped]`); one that tells none counts as one test by its exit code.
"""
import argparse
import concurrent.futures
import glob
import os
import re
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PYTHON = '/usr/bin/python3'
LIMIT_S = 900                     # of one program
JOBS = 2


def count(text, code):
    """(passed, failed, skipped) as the program tells."""
    passed = sum(int(n) for n in re.findall(r'^\[  PASSED  \] (\d+) test', text, re.M))
    failed = sum(int(n) for n in re.findall(r'^\[  FAILED  \].*?(\d+) test\(s\)', text, re.M))
    skipped = sum(int(n) for n in re.findall(r'^\[  SKIPPED \] (\d+) test', text, re.M))
    for p, f, s in re.findall(r'^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?', text, re.M):
        passed, failed, skipped = passed + int(p), failed + int(f), skipped + int(s or 0)
    if passed + failed + skipped == 0:
        passed, failed = (1, 0) if code == 0 else (0, 1)
    if code != 0 and failed == 0:
        failed = 1                # it crashed, or a sanitizer spoke, after its last test
    return passed, failed, skipped


def run(name, argv, env=None):
    began = time.monotonic()
    try:
        p = subprocess.run(argv, cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LIMIT_S,
                           env=dict(os.environ, **(env or {})), stdin=subprocess.DEVNULL)
        text, code = p.stdout.decode('utf8', 'replace'), p.returncode
    except subprocess.TimeoutExpired as e:
        text, code = (e.stdout or b'').decode('utf8', 'replace') + '\nnot done within %d s' % LIMIT_S, 1
    passed, failed, skipped = count(text, code)
    print('%s %-34s %4d passed %s%s %6.1f s' % ('ok  ' if not failed else 'FAIL', name, passed,
                                              '%d failed ' % failed if failed else '', '%d skipped' % skipped if skipped else '',
                                              time.monotonic() - began), flush=True)
    for line in text.splitlines():
        if failed or line.startswith('again, alone') or re.match(r'(\[  SKIPPED|SKIP)', line):
            print('     | ' + line, flush=True)
    return passed, failed, skipped


def make(variant, *targets):
    argv = ['make', '-j%d' % JOBS, '--no-print-directory', 'WERROR=-Werror', 'VARIANT=' + variant] + list(targets)
    return ('build %s %s' % (variant, ' '.join(targets)), argv, None)


def programs(variant):
    """The test programs of a variant, and the corpora through the fuzz targets."""
    env = {'ASAN_OPTIONS': 'abort_on_error=0:detect_leaks=1', 'UBSAN_OPTIONS': 'print_stacktrace=1',
           'EDGE_HEALER_BIN': 'build/%s/edge-healer' % variant}
    rows = []
    for source in sorted(glob.glob(os.path.join(TOP, 'test/*/test_*.c'))):
        name = os.path.relpath(source, os.path.join(TOP, 'test'))[:-2]
        rows.append((name, ['build/%s/test/%s' % (variant, name)], env))
    for source in sorted(glob.glob(os.path.join(TOP, 'test/fuzz/fuzz_*.c'))):
        name = os.path.basename(source)[:-2]
        corpus = 'test/fuzz/corpus/' + name[len('fuzz_'):]
        rows.append(('fuzz corpus ' + name, ['build/%s/replay/%s' % (variant, name), corpus], env))
    return rows


def scripts(variant):
    binary = 'build/%s/edge-healer' % variant
    env = {'EDGE_HEALER_BIN': binary}
    rows = [('kubesim static rules', [PYTHON, 'test/kubesim/test_static_rules.py'], None),
            ('kubesim', [PYTHON, '-m', 'unittest', 'discover', '-s', 'test/kubesim'], None),
            ('recorded API server answers', [PYTHON, 'test/kubesim/check_recorded.py'], None)]
    for path in sorted(glob.glob(os.path.join(TOP, 'test/cli/test_*.py')) + glob.glob(os.path.join(TOP, 'test/surface/test_*.py'))):
        rows.append((os.path.relpath(path, os.path.join(TOP, 'test')), [PYTHON, path], env))
    return rows


def simulator(variant):
    """Seeds in virtual time (release: all of them), what they found before, one seed twice, mistakes that must be found."""
    sim = 'build/%s/sim/sim' % variant
    rows = [('simulator regressions', [sim, '--file', 'test/sim/regressions.txt'], None),
            ('simulator', [sim, '--batch', '5000' if variant == 'release' else '500', '--from', '1'], None)]
    if variant == 'release':
        rows += [('simulator replays a seed', [PYTHON, 'test/sim/replay.py', sim], None),
                 ('simulator mutations', ['make', '--no-print-directory', 'VARIANT=release', 'mutations', 'QUICK=1'], None)]
    return rows


def alone(variant):
    """What measures time or loads both cores: one after the other, last."""
    return [('end to end', [PYTHON, 'test/e2e/run.py', '--binary', 'build/%s/edge-healer' % variant, '--again'], None),
            ('netns', [PYTHON, 'test/netns/run.py', '--binary', 'build/%s/edge-healer' % variant, '--again'], None),
            ('demo', [PYTHON, 'test/demo/demo.py', '--binary', 'build/release/edge-healer'], None)]


class Tally:
    def __init__(self, only):
        self.only, self.total = only, [0, 0, 0]

    def add(self, counts):
        self.total = [a + b for a, b in zip(self.total, counts)]

    def rows(self, rows, jobs):
        rows = [r for r in rows if not self.only or self.only in r[0]]
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            for counts in pool.map(lambda r: run(*r), rows):
                self.add(counts)

    def must(self, row):
        """A step without which the rest makes no sense."""
        counts = run(*row)
        self.add(counts)
        if counts[1]:
            self.end()

    def end(self):
        print('%d passed, %d failed%s' % (self.total[0], self.total[1], ', %d skipped' % self.total[2] if self.total[2] else ''))
        sys.exit(1 if self.total[1] or not self.total[0] else 0)


def main():
    p = argparse.ArgumentParser(description='Build and run the tests.')
    p.add_argument('--only', default='', metavar='WORD', help='only tests whose name contains it')
    p.add_argument('--variant', choices=('asan', 'ubsan', 'cov'), help='only the test programs, built so')
    o = p.parse_args()
    t = Tally(o.only)
    variant = o.variant or 'asan'
    if not o.only and not o.variant:
        t.must(make('release', 'binaries'))
        t.rows([make('clang', 'test-binaries')], 1)
    else:
        t.must(make('release', 'binaries'))
    t.must(make(variant, 'test-binaries', 'sim-binary'))
    if not o.variant:
        t.must(make('release', 'sim-binary'))
    if not o.variant:
        t.rows([('lint', ['test/lint/run.sh'], None)], 1)
    t.rows(programs(variant) + simulator(variant) + ([] if o.variant else simulator('release') + scripts(variant)), JOBS)
    if not o.variant:
        t.rows(alone(variant), 1)
    t.end()


if __name__ == '__main__':
    main()
