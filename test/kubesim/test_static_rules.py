#!/usr/bin/env python3
"""Holds static_rules.py against what a real kubelet did with each case of test/data/static-pods.json."""
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import static_rules
from harness import TestCase

NODE, ROOM = 'node1', (2000, 24683068 << 10, 110)  # the node of the recorded run


def cases():
    with open(os.path.join(HERE, '..', 'data', 'static-pods.json')) as f:
        return json.load(f)['cases']


def verdict(case):
    """(verdict, reason, message) by the rules; that run's kubelet had no labels for its node."""
    try:
        pod = static_rules.apply_defaults(case['pod'], '/manifests/%s.json' % case['case'], NODE)
        static_rules.check_file(pod)
    except static_rules.Refused as e:
        return 'file refused', None, str(e)
    try:
        static_rules.admit(pod, [], ROOM, {'kubernetes.io/hostname': NODE}, NODE)
    except static_rules.Denied as e:
        return 'denied at admission', e.reason, e.message
    if static_rules.missing_images(pod, []):
        return 'accepted, container does not start', None, None
    return 'runs', None, None


def expected(case):
    message = case.get('message')
    if message is not None:                        # recorded from a log line, so with its escapes
        message = message.replace('\\"', '"').replace('\\\\', '\\')
    return case['verdict'], case.get('reason'), message


class StaticRules(TestCase):
    def test_every_case(self):
        self.assertEqual(len(cases()), 39)
        for case in cases():
            with self.subTest(case['case']):
                self.assertEqual(verdict(case), expected(case))


def main():
    bad = 0
    for case in cases():
        here, real = verdict(case), expected(case)
        if here != real:
            bad += 1
            print('DIFF %s\n     real: %s\n     here: %s' % (case['case'], real, here))
    print('%d passed, %d failed' % (len(cases()) - bad, bad))
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
