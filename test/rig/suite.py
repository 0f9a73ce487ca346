"""Runs a folder of tests that need a site: test_*.py there, one function = one test, each in a process and on a site of
its own.

PENDING names tests of what the daemon does not do yet, with the reason. Such a test runs like any other; that it fails
is reported as skipped with the reason; when it passes its row is named, to be deleted.
"""
import argparse
import concurrent.futures
import ctypes
import glob
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback

import machine
from process import DISCARD_ENV

SKIPPED = 77
TIMEOUT = {False: 300, True: 900}            # seconds for one test: kubesim, a real control plane; times factor()
REAL_JOBS = 2                                # tests at the same time against a real control plane


class Skip(Exception):
    """What cannot be tested here, and why."""


def _end_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _skipped(why):
    print('skipped: %s' % why, flush=True)
    return SKIPPED


def _why(text):
    """What a test says of itself besides its failure."""
    return next((' (%s)' % line for line in text.splitlines() if line.startswith(('skipped: ', 'passes; '))), '')


class Suite:
    def __init__(self, script, about, pending=None, not_permitted=None):
        """not_permitted: why nothing of this suite can run on this machine."""
        self.script, self.here = script, os.path.dirname(os.path.abspath(script))
        self.about, self.pending, self.not_permitted = about, pending or {}, not_permitted
        sys.path.insert(0, self.here)

    def options(self):
        p = argparse.ArgumentParser(description=self.about)
        p.add_argument('--binary', required=True, metavar='FILE', help='edge-healer')
        p.add_argument('--kubeconfig', metavar='FILE', help='a real control plane; default: kubesim')
        p.add_argument('--only', metavar='WORD', default='', help='only tests whose name contains it')
        p.add_argument('--jobs', type=int, metavar='N', help='tests at the same time (as many as the cores bear)')
        p.add_argument('--again', action='store_true', help='run what failed once more, alone')
        p.add_argument('--list', action='store_true', help='only print the names, and how many nodes each has')
        p.add_argument('--one', metavar='FILE.TEST', help='this test in this process; exit code %d: skipped' % SKIPPED)
        o = p.parse_args()
        o.jobs = o.jobs or (REAL_JOBS if o.kubeconfig else machine.sites())
        o.binary = os.path.abspath(o.binary)
        o.kubeconfig = o.kubeconfig and os.path.abspath(o.kubeconfig)
        return o

    def load(self, module):
        """By path: the rig's folders are on sys.path and have a test_store.py of their own."""
        spec = importlib.util.spec_from_file_location('suite_' + module, os.path.join(self.here, module + '.py'))
        loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
        return loaded

    def tests(self):
        """The names of all tests, and how many nodes each runs."""
        found = {}
        for path in sorted(glob.glob(os.path.join(self.here, 'test_*.py'))):
            module = os.path.splitext(os.path.basename(path))[0]
            for name, f in vars(self.load(module)).items():
                if name.startswith('test_') and getattr(f, 'is_test', False):
                    found['%s.%s' % (module, name)] = getattr(f, 'nodes', 1)
        return found

    def run_one(self, o):
        """In a process of its own; ends by SystemExit on a signal, so that the site is taken down."""
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        module, name = o.one.split('.')
        if self.not_permitted:
            return _skipped(self.not_permitted)
        not_yet = self.pending.get(name)
        if not_yet:
            os.environ[DISCARD_ENV] = '1'
        try:
            getattr(self.load(module), name)(o.binary, o.kubeconfig)
        except Skip as e:
            return _skipped(e)
        except Exception as e:
            traceback.print_exc()
            return _skipped('not yet: %s; now: %s' % (not_yet, str(e)[:160])) if not_yet else 1
        if not_yet:
            print('passes; its row in PENDING: %s' % not_yet, flush=True)
        return 0

    def start(self, o, name):
        argv = [sys.executable, self.script, '--binary', o.binary, '--one', name]
        argv += ['--kubeconfig', o.kubeconfig] if o.kubeconfig else []
        began = time.monotonic()
        with tempfile.TemporaryFile('w+') as out:
            p = subprocess.Popen(argv, stdout=out, stderr=out, stdin=subprocess.DEVNULL, preexec_fn=_end_with_parent)
            try:
                code = p.wait(machine.patient(TIMEOUT[bool(o.kubeconfig)]))
            except subprocess.TimeoutExpired:
                p.terminate()
                try:
                    p.wait(60)
                except subprocess.TimeoutExpired:
                    p.kill()
                    p.wait()
                code = 'took too long'
            out.seek(0)
            return code, out.read(), time.monotonic() - began

    def report(self, name, code, text, seconds):
        word = {0: 'ok', SKIPPED: 'skip'}.get(code, 'FAIL')
        module, test = name.split('.')
        lines = text.splitlines() + ([str(code)] if isinstance(code, str) else [])
        print('%-4s %6.1f s  %-9s %s%s' % (word.replace('skip', 'SKIP'), seconds, module[5:],
                                             test[5:].replace('_', ' '), _why(text)), flush=True)
        if word == 'FAIL':
            print('\n'.join('     | ' + line for line in lines[-70:]), flush=True)
        return word

    def all(self, o, names):
        """The words of all results. Threads, but each child is awaited by the thread that started it, since PDEATHSIG
        follows the thread."""
        words, failed_names = [], []
        with concurrent.futures.ThreadPoolExecutor(max(1, o.jobs)) as pool:
            started = [pool.submit(lambda n=n: (n,) + self.start(o, n)) for n in names]
            for done in concurrent.futures.as_completed(started):
                words.append(self.report(*done.result()))
                if words[-1] == 'FAIL' and o.again:
                    words.pop()
                    failed_names.append(done.result()[0])
        for name in failed_names:     # alone, and visibly: what passes only now is still a bug to look for
            print('again, alone: %s (its failure is above)' % name, flush=True)
            words.append(self.report(name, *self.start(o, name)))
        return words

    def main(self):
        o = self.options()
        if o.one:
            return self.run_one(o)
        found = {name: nodes for name, nodes in self.tests().items() if o.only in name}
        if o.list:
            print('\n'.join('%s %d' % item for item in found.items()))
            return 0
        names = list(found)
        machine.factor()              # once, for all tests
        if self.not_permitted:
            print('SKIP: ' + self.not_permitted)
            print('0 passed, 0 failed, %d skipped' % len(names))
            return 0
        words = self.all(o, names)
        failed, skipped = words.count('FAIL'), words.count('skip')
        print('%d passed, %d failed%s' % (words.count('ok'), failed, ', %d skipped' % skipped if skipped else ''))
        return 1 if failed or not words else 0

    def run(self):
        signal.signal(signal.SIGTERM, lambda *_: os._exit(1))   # children end with us, and their sites with them
        try:
            sys.exit(self.main())
        except KeyboardInterrupt:
            os._exit(1)
