"""The same seed twice: the same bytes. And another one: other bytes."""
import subprocess
import sys


def run(*args):
    return subprocess.run([sys.argv[1], *args], stdout=subprocess.PIPE).stdout


passed = failed = 0
for seed in ('7', '95', '1535'):
    same = run('--seed', seed) == run('--seed', seed) and run('--seed', seed, '--nodes', '5', '--for', '2m') != run('--seed', seed)
    passed, failed = passed + same, failed + (not same)
    if not same:
        print('seed %s is not replayed' % seed)
print('%d passed, %d failed' % (passed, failed))
sys.exit(1 if failed else 0)
