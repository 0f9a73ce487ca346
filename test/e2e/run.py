#!/usr/bin/env python3
"""Runs the end-to-end tests: test_*.py here, one function = one test, each in a process and on a site of its own.

Without --kubeconfig against kubesim; with one, the same tests against that control plane.
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

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
SKIPPED = 77
TIMEOUT = {False: 180, True: 900}            # seconds for one test: kubesim, a real control plane


def options():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--binary', required=True, metavar='FILE', help='edge-healer')
    p.add_argument('--kubeconfig', metavar='FILE', help='a real control plane; default: kubesim')
    p.add_argument('--only', metavar='WORD', default='', help='only tests whose name contains it')
    p.add_argument('--jobs', type=int, default=2, metavar='N', help='tests at the same time (2)')
    p.add_argument('--again', action='store_true', help='run what failed once more, alone')
    p.add_argument('--list', action='store_true', help='only print the names')
    p.add_argument('--one', metavar='FILE.TEST', help=argparse.SUPPRESS)
    return p.parse_args()


def load(module):
    """By path: the rig's folders are on sys.path and have a test_store.py of their own."""
    spec = importlib.util.spec_from_file_location('e2e_' + module, os.path.join(HERE, module + '.py'))
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def tests():
    names = []
    for path in sorted(glob.glob(os.path.join(HERE, 'test_*.py'))):
        module = os.path.splitext(os.path.basename(path))[0]
        names += ['%s.%s' % (module, name) for name, f in vars(load(module)).items()
                  if name.startswith('test_') and getattr(f, 'is_test', False)]
    return names


def run_one(o):
    """In a process of its own; ends by SystemExit on a signal, so that the site is taken down."""
    from stage import Skip
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    module, name = o.one.split('.')
    try:
        getattr(load(module), name)(o.binary, o.kubeconfig)
    except Skip as e:
        print('skipped: %s' % e, flush=True)
        return SKIPPED
    except Exception:
        traceback.print_exc()
        return 1
    return 0


def _end_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def start(o, name):
    argv = [sys.executable, os.path.join(HERE, 'run.py'), '--binary', o.binary, '--one', name]
    argv += ['--kubeconfig', o.kubeconfig] if o.kubeconfig else []
    began = time.monotonic()
    with tempfile.TemporaryFile('w+') as out:
        p = subprocess.Popen(argv, stdout=out, stderr=out, stdin=subprocess.DEVNULL, preexec_fn=_end_with_parent)
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


def report(name, code, text, seconds):
    word = {0: 'ok', SKIPPED: 'skip'}.get(code, 'FAIL')
    module, test = name.split('.')
    why = ''
    if word == 'skip':
        why = ' (%s)' % next((line[9:] for line in text.splitlines() if line.startswith('skipped: ')), '')
    print('%-4s %6.1f s  %-9s %s%s' % (word, seconds, module[5:], test[5:].replace('_', ' '), why), flush=True)
    if word == 'FAIL':
        lines = text.splitlines() + ([str(code)] if isinstance(code, str) else [])
        print('\n'.join('     | ' + line for line in lines[-70:]), flush=True)
    return word


def main():
    o = options()
    o.binary = os.path.abspath(o.binary)
    o.kubeconfig = o.kubeconfig and os.path.abspath(o.kubeconfig)
    if o.one:
        return run_one(o)
    names = [n for n in tests() if o.only in n]
    if o.list:
        print('\n'.join(names))
        return 0
    words, failed_names = [], []
    # Threads, but each child is awaited by the thread that started it: PDEATHSIG follows the thread.
    with concurrent.futures.ThreadPoolExecutor(max(1, o.jobs)) as pool:
        for done in concurrent.futures.as_completed([pool.submit(lambda n=n: (n,) + start(o, n)) for n in names]):
            words.append(report(*done.result()))
            if words[-1] == 'FAIL' and o.again:
                words.pop()
                failed_names.append(done.result()[0])
    for name in failed_names:     # alone on the machine, and visibly: what passes only now is still a bug to look for
        print('again, alone: %s (its failure is above)' % name, flush=True)
        words.append(report(name, *start(o, name)))
    failed, skipped = words.count('FAIL'), words.count('skip')
    print('%d passed, %d failed%s' % (words.count('ok'), failed, ', %d skipped' % skipped if skipped else ''))
    return 1 if failed or not words else 0


if __name__ == '__main__':
    signal.signal(signal.SIGTERM, lambda *_: os._exit(1))   # children end with us, and their sites with them
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        os._exit(1)
