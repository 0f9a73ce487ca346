#!/usr/bin/env python3
"""clang-tidy over the given sources (default: all of src), side by side.

A source that passed is not looked at again while nothing that decides has changed: its text, that of the project
headers it includes, .clang-tidy, the flags, and the versions of clang-tidy and of the libraries. Only passes are kept, as empty
files named by a hash, and only the newest of them.
"""
import argparse
import concurrent.futures
import glob
import hashlib
import os
import re
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CACHE = os.path.join(os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache'), 'edge-healer', 'tidy')
KEPT = 3000                              # entries; a whole run makes about a hundred
PACKAGES = ('libcurl', 'json-c', 'sqlite3', 'libevent_core', 'libmicrohttpd', 'yaml-0.1', 'libcrypto', 'libnftables')
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(.*)', re.M)


def output(*argv):
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


class Tidy:
    def __init__(self, top, cache, program='clang-tidy'):
        self.top, self.cache, self.program = top, cache, program
        self.flags = ['-std=gnu11', '-Iinclude', '-Isrc', '-D_GNU_SOURCE']
        self.flags += output('pkg-config', '--cflags', *PACKAGES).split()
        versions = output(program, '--version'), output('pkg-config', '--modversion', *PACKAGES)
        with open(os.path.join(top, '.clang-tidy')) as f:
            self.common = repr((versions, self.flags, f.read()))
        self.texts = {}

    def text(self, path):
        """A file of the project; None: it is not there, so a system header is meant."""
        if path not in self.texts:
            try:
                with open(os.path.join(self.top, path)) as f:
                    self.texts[path] = f.read()
            except FileNotFoundError:
                self.texts[path] = None
        return self.texts[path]

    def parts(self, path, seen):
        """The source and all project headers below it, whether or not an #if leaves them out."""
        seen.add(path)
        for what in INCLUDE.findall(self.text(path)):
            name = re.match(r'["<]([^">]+)[">]', what)
            if not name:
                raise ValueError('%s includes a computed name: %s' % (path, what))
            for folder in (os.path.dirname(path), 'include', 'src'):
                header = os.path.normpath(os.path.join(folder, name.group(1)))
                if header not in seen and self.text(header) is not None:
                    self.parts(header, seen)
        return seen

    def key(self, path):
        decides = [(p, self.text(p)) for p in sorted(self.parts(path, set()))]
        return hashlib.sha256(repr((self.common, path, decides)).encode()).hexdigest()

    def is_known(self, key):
        try:
            os.utime(os.path.join(self.cache, key))      # it is of use: it stays
            return True
        except OSError:
            return False

    def keep(self, key):
        try:
            os.makedirs(self.cache, exist_ok=True)
            with open(os.path.join(self.cache, key), 'w'):
                pass
        except OSError as e:
            print('tidy: not remembered: %s' % e, file=sys.stderr)

    def check(self, path):
        """(known, ok, what clang-tidy says)"""
        key = self.key(path)
        if self.is_known(key):
            return True, True, ''
        p = subprocess.run([self.program, '--quiet', path, '--'] + self.flags, cwd=self.top, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True)
        ok = p.returncode == 0 and not re.search(r'\b(warning|error):', p.stdout)
        if ok:
            self.keep(key)
        return False, ok, p.stdout if p.stdout.strip() else p.stderr

    def forget_old(self):
        try:
            entries = sorted(glob.glob(os.path.join(self.cache, '*')), key=os.path.getmtime)
            for path in entries[:-KEPT]:
                os.unlink(path)
        except OSError:
            pass                         # somebody else is at it


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    p.add_argument('--jobs', type=int, default=os.cpu_count(), help='at the same time (%(default)s)')
    p.add_argument('--cache', default=CACHE, metavar='FOLDER', help='of what passed before (%(default)s)')
    p.add_argument('--top', default=TOP, metavar='FOLDER', help='the project')
    p.add_argument('--program', default='clang-tidy', metavar='FILE')
    p.add_argument('sources', nargs='*', metavar='FILE', help='relative to the project')
    o = p.parse_args()
    tidy, began, known, bad = Tidy(o.top, o.cache, o.program), time.monotonic(), 0, 0
    sources = o.sources or sorted(glob.glob('src/*/*.c', root_dir=o.top))
    with concurrent.futures.ThreadPoolExecutor(max(1, o.jobs)) as pool:
        for was_known, ok, text in pool.map(tidy.check, sources):
            known, bad = known + was_known, bad + (not ok)
            if not ok:
                print(text.strip(), flush=True)
    tidy.forget_old()
    seconds = time.monotonic() - began
    print('clang-tidy: %d files, %d of them known, %d wrong, %.1f s' % (len(sources), known, bad, seconds))
    return 1 if bad or not sources else 0


if __name__ == '__main__':
    sys.exit(main())
