"""The longest functions and files, and a failure beyond the hard limits of docs/style.md."""
import glob
import os
import re
import sys

FUNCTION_MAX, FILE_MAX, LINE_MAX, TEST_LINE_MAX = 80, 800, 132, 145
os.chdir(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
functions, failed = [], 0
for path in sorted(glob.glob('src/*/*.c') + glob.glob('include/*/*.h') + glob.glob('test/*/*.c')):
    with open(path) as f:
        lines = f.read().split('\n')
    if len(lines) - 1 > FILE_MAX:
        print('%s: %d lines, at most %d' % (path, len(lines) - 1, FILE_MAX))
        failed += 1
    start = None
    for i, line in enumerate(lines):
        most = TEST_LINE_MAX if path.startswith('test/') else LINE_MAX
        if len(line.expandtabs(8)) > most:
            print('%s:%d: line of %d columns, at most %d' % (path, i + 1, len(line.expandtabs(8)), most))
            failed += 1
        if line == '{' and i and not lines[i - 1].startswith(('struct', 'enum', 'union', 'static const struct')):
            start = i
        elif line == '}' and start is not None:
            name = next((m.group(1) for k in range(start - 1, max(0, start - 6), -1)
                         for m in [re.match(r'^[a-z].*?(\w+)\(', lines[k])] if m), '?')
            functions.append((i - start + 2, path, name))
            if i - start + 2 > FUNCTION_MAX:
                print('%s: %s has %d lines, at most %d' % (path, name, i - start + 2, FUNCTION_MAX))
                failed += 1
            start = None
functions.sort(reverse=True)
print('longest functions: ' + ', '.join('%s %d' % (name, n) for n, path, name in functions[:10]))
sizes = sorted(n for n, path, name in functions if path.startswith('src'))
print('%d functions in src: median %d, p90 %d, max %d lines' % (len(sizes), sizes[len(sizes) // 2], sizes[len(sizes) * 9 // 10], sizes[-1]))
sys.exit(1 if failed or not sizes else 0)
