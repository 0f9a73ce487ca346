#!/usr/bin/env python3
"""Runs the end-to-end tests: without --kubeconfig against kubesim; with one, the same tests against that control plane."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'rig'))
from suite import Suite  # noqa: E402

if __name__ == '__main__':
    Suite(__file__, __doc__).run()
