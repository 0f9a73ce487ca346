#!/usr/bin/env python3
"""The memory of tidy.py: what was seen to be right is not looked at again, and nothing else is taken for right."""
import os
import subprocess
import sys
import tempfile
import unittest

TIDY = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'tidy.py')
PROGRAM = '''#!/bin/sh
# stands for clang-tidy: writes down what it looks at; a source with WRONG in it is wrong, one with ODD only says so
[ "$1" = --version ] && { cat version; exit 0; }
echo "$2" >>looked_at
grep -q ODD "$2" && echo "$2:1:1: warning: odd"
! grep -q WRONG "$2"
'''


class Memory(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.top = folder.name
        for sub in ('src/a', 'src/b', 'include/a'):
            os.makedirs(os.path.join(self.top, sub))
        self.write('.clang-tidy', 'Checks: some\n')
        self.write('version', '1\n')
        self.write('program', PROGRAM)
        os.chmod(os.path.join(self.top, 'program'), 0o755)
        self.write('src/a/one.c', '#include <stdio.h>\n#include "a/one.h"\n#include "near.h"\n')
        self.write('src/b/two.c', 'int two;\n')
        self.write('include/a/one.h', '# include "a/deep.def"\n')
        self.write('include/a/deep.def', 'ROW(1)\n')
        self.write('src/a/near.h', 'int near;\n')

    def write(self, path, text):
        with open(os.path.join(self.top, path), 'w') as f:
            f.write(text)

    def tidy(self, *sources):
        """(exit code, the sources that the program looked at)"""
        seen = os.path.join(self.top, 'looked_at')
        if os.path.exists(seen):
            os.unlink(seen)
        cache, program = os.path.join(self.top, 'cache'), os.path.join(self.top, 'program')
        p = subprocess.run([sys.executable, TIDY, '--top', self.top, '--cache', cache, '--program', program, *sources],
                           cwd=self.top, capture_output=True, text=True)
        self.said = p.stdout + p.stderr
        if not os.path.exists(seen):
            return p.returncode, []
        with open(seen) as f:
            return p.returncode, sorted(f.read().split())

    def test_what_passed_is_not_looked_at_again(self):
        self.assertEqual(self.tidy(), (0, ['src/a/one.c', 'src/b/two.c']), self.said)
        self.assertEqual(self.tidy(), (0, []), self.said)

    def test_whatever_decides_makes_a_miss(self):
        one, both = ['src/a/one.c'], ['src/a/one.c', 'src/b/two.c']
        for path, who in (('src/a/one.c', one), ('include/a/one.h', one), ('include/a/deep.def', one),
                          ('src/a/near.h', one), ('.clang-tidy', both), ('version', both)):
            self.tidy()
            with open(os.path.join(self.top, path), 'a') as f:
                f.write('// changed\n')
            self.assertEqual(self.tidy(), (0, who), path)
            self.assertEqual(self.tidy(), (0, []), path)

    def test_a_header_that_comes_first_on_the_way_makes_a_miss(self):
        self.tidy()
        os.makedirs(os.path.join(self.top, 'src/a/a'))
        self.write('src/a/a/one.h', 'int other;\n')
        self.assertEqual(self.tidy(), (0, ['src/a/one.c']))

    def test_a_failure_is_never_remembered(self):
        for word, code in (('WRONG', 1), ('ODD', 1)):
            self.write('src/b/two.c', '// %s\n' % word)
            for _ in range(3):
                self.assertEqual(self.tidy('src/b/two.c'), (code, ['src/b/two.c']), word)

    def test_what_was_right_once_is_right_when_it_comes_back(self):
        self.tidy()
        self.write('src/b/two.c', '// WRONG\n')
        self.assertEqual(self.tidy()[0], 1)
        self.write('src/b/two.c', 'int two;\n')
        self.assertEqual(self.tidy(), (0, []))

    def test_without_a_cache_all_is_looked_at(self):
        self.write('cache', 'not a folder')
        for _ in range(2):
            self.assertEqual(self.tidy(), (0, ['src/a/one.c', 'src/b/two.c']), self.said)

    def test_old_entries_go(self):
        self.tidy()
        cache = os.path.join(self.top, 'cache')
        for i in range(3010):
            self.write('cache/old%d' % i, '')
            os.utime(os.path.join(cache, 'old%d' % i), (i, i))
        self.assertEqual(self.tidy(), (0, []))
        left = os.listdir(cache)
        self.assertEqual(len(left), 3000)
        self.assertNotIn('old11', left)
        self.assertIn('old12', left)

    def test_a_computed_include_is_refused(self):
        self.write('src/b/two.c', '#include HEADER\n')
        self.assertEqual(self.tidy('src/b/two.c'), (1, []), self.said)


if __name__ == '__main__':
    program = unittest.main(exit=False, verbosity=0)
    bad = len(program.result.failures) + len(program.result.errors)
    print('%d passed, %d failed' % (program.result.testsRun - bad, bad))
    sys.exit(1 if bad else 0)
