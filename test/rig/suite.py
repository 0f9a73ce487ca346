"""Runs a folder of tests that need a site: test_*.py there, one function = one test, each in a process and on a site of its own.

PENDING names tests of what the daemon does not do yet, with the reason. Such a test runs like any other; that it fails is
reported as skipped with the reason; when it passes its row is named, to be deleted.
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

from process import DISCARD_ENV

SKIPPED = 77
TIMEOUT = {False: 180, True: 900}            # seconds for one test: kubesim, a real control plane


class Skip(Exception):
    """What cannot be tested here, and why."""


def _end_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _why(text):
    return next((line[9:] for line in text.splitlines() if line.startswith('skipped: ')), '')


class Suite:
    def __init__(self, script, about, pending=None, jobs=2):
        self.script, self.here = script, os.path.dirname(os.path.abspath(script))
        self.about, self.pending, self.jobs = about, pending or {}, jobs
        sys.path.insert(0, self.here)

    def options(self):
        p = argparse.ArgumentParser(description=self.about)
        p.add_argument('--binary', required=True, metavar='FILE', help='edge-healer')
        p.add_argument('--kubeconfig', metavar='FILE', help='a real control plane; default: kubesim')
        p.add_argument('--only', metavar='WORD', default='', help='only tests whose name contains it')
        p.add_argument('--jobs', type=int, default=self.jobs, metavar='N', help='tests at the same time (%(default)s)')
        p.add_argument('--again', action='store_true', help='run what failed once more, alone')
        p.add_argument('--list', action='store_true', help='only print the names')
        p.add_argument('--one', metavar='FILE.TEST', help=argparse.SUPPRESS)
        o = p.parse_args()
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
        names = []
        for path in sorted(glob.glob(os.path.join(self.here, 'test_*.py'))):
            module = os.path.splitext(os.path.basename(path))[0]
            names += ['%s.%s' % (module, name) for name, f in vars(self.load(module)).items()
                      if name.startswith('test_') and getattr(f, 'is_test', False)]
        return names

    def run_one(self, o):
        """In a process of its own; ends by SystemExit on a signal, so that the site is taken down."""
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        module, name = o.one.split('.')
        try:
            getattr(self.load(module), name)(o.binary, o.kubeconfig)
        except Skip as e:
            print('skipped: %s' % e, flush=True)
            return SKIPPED
        except Exception:
            traceback.print_exc()
            return 1
        return 0

    def start(self, o, name):
        argv = [sys.executable, self.script, '--binary', o.binary, '--one', name]
        argv += ['--kubeconfig', o.kubeconfig] if o.kubeconfig else []
        began = time.monotonic()
        with tempfile.TemporaryFile('w+') as out:
            p = subprocess.Popen(argv, stdout=out, stderr=out, stdin=subprocess.DEVNULL, preexec_fn=_end_with_parent,
                                 env=dict(os.environ, **({DISCARD_ENV: '1'} if name.split('.')[1] in self.pending else {})))
            try:
                code = p.wait(TIMEOUT[bool(o.kubeconfig)])
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
        why = ' (%s)' % _why(text) if word == 'skip' else ''
        lines = text.splitlines() + ([str(code)] if isinstance(code, str) else [])
        if test in self.pending and word == 'FAIL':
            last = next((line for line in reversed(lines) if 'Error' in line), 'no error told')
            word, why = 'skip', ' (not yet: %s; now: %s)' % (self.pending[test], last[:160])
        elif test in self.pending and word == 'ok':
            why = ' (passes; its row in PENDING: %s)' % self.pending[test]
        print('%-4s %6.1f s  %-9s %s%s' % (word.replace('skip', 'SKIP'), seconds, module[5:],
                                             test[5:].replace('_', ' '), why), flush=True)
        if word == 'FAIL':
            print('\n'.join('     | ' + line for line in lines[-70:]), flush=True)
        return word

    def all(self, o, names):
        """The words of all results. Threads, but each child is awaited by the thread that started it: PDEATHSIG follows the thread."""
        words, failed_names = [], []
        with concurrent.futures.ThreadPoolExecutor(max(1, o.jobs)) as pool:
            for done in concurrent.futures.as_completed([pool.submit(lambda n=n: (n,) + self.start(o, n)) for n in names]):
                words.append(self.report(*done.result()))
                if words[-1] == 'FAIL' and o.again:
                    words.pop()
                    failed_names.append(done.result()[0])
        for name in failed_names:     # alone on the machine, and visibly: what passes only now is still a bug to look for
            print('again, alone: %s (its failure is above)' % name, flush=True)
            words.append(self.report(name, *self.start(o, name)))
        return words

    def main(self, not_permitted=None):
        """not_permitted: why nothing of this suite can run on this machine."""
        o = self.options()
        if o.one:
            return self.run_one(o)
        names = [n for n in self.tests() if o.only in n]
        if o.list:
            print('\n'.join(names))
            return 0
        if not_permitted:
            print('SKIP: ' + not_permitted)
            print('0 passed, 0 failed, %d skipped' % len(names))
            return 0
        words = self.all(o, names)
        failed, skipped = words.count('FAIL'), words.count('skip')
        print('%d passed, %d failed%s' % (words.count('ok'), failed, ', %d skipped' % skipped if skipped else ''))
        return 1 if failed or not words else 0

    def run(self, not_permitted=None):
        signal.signal(signal.SIGTERM, lambda *_: os._exit(1))   # children end with us, and their sites with them
        try:
            sys.exit(self.main(not_permitted))
        except KeyboardInterrupt:
            os._exit(1)
