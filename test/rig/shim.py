"""What a healer under test believes of its machine: see shim.c. Built into the site's folder, where there is a compiler."""
import os
import shutil
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
IDLE = 'cpu  1000 0 1000 100000000 0 0 0 0 0 0\n'


def build(folder):
    """The path of the library, or None: no compiler."""
    out = os.path.join(folder, 'shim.so')
    if os.path.exists(out) or not shutil.which('cc'):
        return out if os.path.exists(out) else None
    subprocess.run(['cc', '-shared', '-fPIC', '-O1', '-o', out, os.path.join(HERE, 'shim.c')], check=True)
    return out


def _first(binary):
    """A sanitizer's runtime must be loaded before anything else."""
    needed = subprocess.run(['ldd', binary], capture_output=True, text=True).stdout
    return [line.split()[2] for line in needed.splitlines() if 'libasan' in line and '=>' in line]


def env(library, n):
    """For the healer of a node: its machine idles, its clock and its disk are the test's to change."""
    with open(n.path('proc-stat'), 'w') as f:
        f.write(IDLE)
    return {'LD_PRELOAD': ':'.join(_first(n.cluster.binary) + [library]), 'SHIM_STAT': n.path('proc-stat'), 'SHIM_CLOCK': n.path('clock-shift'),
            'SHIM_READONLY': n.path('disk-is-read-only')}


def shift_clock(n, seconds):
    with open(n.path('clock-shift.new'), 'w') as f:
        f.write('%d\n' % seconds)
    os.rename(n.path('clock-shift.new'), n.path('clock-shift'))


def disk(n, writable):
    path = n.path('disk-is-read-only')
    if writable:
        os.unlink(path)
    else:
        open(path, 'w').close()
