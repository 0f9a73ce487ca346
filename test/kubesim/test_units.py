"""Patches, selectors, quantities, YAML: the pure parts."""
import asyncio
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import patch
import quantity
import selection
import yaml_lite
from errors import ApiError
from harness import TestCase
from waiting import within


class Waiting(TestCase):
    def test_a_limit(self):
        async def late():
            await within(asyncio.sleep(10), 0.01)

        async def soon():
            await asyncio.sleep(0)
            return 7
        with self.assertRaises(TimeoutError):
            asyncio.run(late())
        self.assertEqual(asyncio.run(within(soon(), 10)), 7)

    def test_no_cancellation_is_lost(self):
        """A loop such as the controllers' is cancelled so many steps after what it waits for has come."""
        async def ends(steps):
            wake = asyncio.Event()

            async def loop():
                while True:
                    wake.clear()
                    await within(wake.wait(), 10)
            task = asyncio.ensure_future(loop())
            await asyncio.sleep(0.01)
            wake.set()
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            done, _ = await asyncio.wait({task}, timeout=0.5)
            task.cancel()
            return bool(done)
        for steps in range(6):
            self.assertTrue(asyncio.run(ends(steps)), 'cancelled %d steps later it goes on' % steps)


class Patches(TestCase):
    def test_merge(self):
        self.assertEqual(patch.merge_patch({'a': {'b': 1, 'c': 2}, 'l': [1]}, {'a': {'b': None, 'd': 3}, 'l': [2]}), {'a': {'c': 2, 'd': 3}, 'l': [2]})

    def test_strategic_lists(self):
        old = {'spec': {'containers': [{'name': 'a', 'image': '1', 'env': [{'name': 'X', 'value': 'y'}]}, {'name': 'b', 'image': '2'}]}}
        new = patch.strategic(old, {'spec': {'containers': [{'name': 'a', 'image': '3'}, {'name': 'b', '$patch': 'delete'}, {'name': 'c'}]}})
        self.assertEqual(new['spec']['containers'], [{'name': 'a', 'image': '3', 'env': [{'name': 'X', 'value': 'y'}]}, {'name': 'c'}])

    def test_strategic_directives(self):
        self.assertEqual(patch.strategic({'a': {'x': 1}}, {'a': {'$patch': 'replace', 'y': 2}}), {'a': {'y': 2}})
        self.assertEqual(patch.strategic({'finalizers': ['a', 'b']}, {'$deleteFromPrimitiveList/finalizers': ['a'], 'finalizers': ['c']})['finalizers'], ['b', 'c'])
        self.assertEqual(patch.strategic({'a': 1, 'b': 2}, {'$retainKeys': ['a'], 'a': 3}), {'a': 3})
        old = {'taints': [{'key': 'a', 'effect': 'NoSchedule'}, {'key': 'b'}]}
        self.assertEqual(patch.strategic(old, {'taints': [{'$patch': 'replace'}, {'key': 'c'}]}), {'taints': [{'key': 'c'}]})
        ordered = patch.strategic({'env': [{'name': 'b'}, {'name': 'a'}]}, {'$setElementOrder/env': [{'name': 'a'}, {'name': 'b'}]})
        self.assertEqual([e['name'] for e in ordered['env']], ['a', 'b'])

    def test_json(self):
        doc = {'a': [1, 2], 'b': {'c/d': 1}}
        ops = [{'op': 'add', 'path': '/a/-', 'value': 3}, {'op': 'remove', 'path': '/a/0'}, {'op': 'replace', 'path': '/b/c~1d', 'value': 9},
               {'op': 'copy', 'from': '/a/0', 'path': '/e'}, {'op': 'move', 'from': '/e', 'path': '/f'}, {'op': 'test', 'path': '/f', 'value': 2}]
        self.assertEqual(patch.json_patch(doc, ops), {'a': [2, 3], 'b': {'c/d': 9}, 'f': 2})
        self.assertEqual(doc['a'], [1, 2])
        with self.assertRaises(ApiError):
            patch.json_patch(doc, [{'op': 'remove', 'path': '/nope'}])


class Selectors(TestCase):
    def test_labels(self):
        labels = {'a': '1', 'b': '2'}
        for text, want in (('a=1', True), ('a==1,b!=3', True), ('a in (0,1)', True), ('a notin (1)', False), ('c notin (1)', True), ('a', True), ('!a', False),
                           ('!c', True), ('a=', False), ('', True)):
            with self.subTest(text):
                self.assertEqual(selection.matches(selection.parse_labels(text), labels), want)
        for text in ('a===b', 'a in 1', '=x', 'a=b=c'):
            with self.subTest(text), self.assertRaises(ApiError):
                selection.parse_labels(text)

    def test_taints(self):
        taint = {'key': 'k', 'value': 'v', 'effect': 'NoSchedule'}
        for toleration, ok in (({'operator': 'Exists'}, True), ({'key': 'k', 'operator': 'Exists'}, True), ({'key': 'k', 'value': 'v'}, True),
                               ({'key': 'k', 'value': 'w'}, False), ({'key': 'k', 'operator': 'Exists', 'effect': 'NoExecute'}, False)):
            self.assertEqual(bool(selection.toleration_for([toleration], taint)), ok, toleration)

    def test_quantities(self):
        self.assertEqual([quantity.milli('100m'), quantity.milli('2'), quantity.milli('0.1')], [100, 2000, 100])
        self.assertEqual([quantity.units('1Ki'), quantity.units('1k'), quantity.units('1.5Gi')], [1024, 1000, 1610612736])
        with self.assertRaises(ValueError):
            quantity.parse('ten')
        spec = {'containers': [{'resources': {'requests': {'cpu': '100m'}}}, {'resources': {'limits': {'cpu': '1'}}}],
                'initContainers': [{'resources': {'requests': {'cpu': '2'}}}]}
        self.assertEqual(quantity.pod_requests(spec)[0], 2000)
        self.assertEqual(quantity.qos_class(spec), 'Burstable')


class Yaml(TestCase):
    def test_kubeconfig(self):
        text = '''
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: LS0tLS1CRUdJTg==
    server: https://127.0.0.1:6443   # the address
    tls-server-name: "kind: x"
  name: kind-kind
contexts:
- context: {cluster: kind-kind, user: 'kind''s'}
  name: kind-kind
current-context: kind-kind
preferences: {}
users:
-
  name: kind's
  user:
    client-key-data: >-
      abc
    args: ["a", 1, true, null]
    script: |
      one
        two
'''
        doc = yaml_lite.load(text)
        self.assertEqual(doc['clusters'][0]['cluster'], {'certificate-authority-data': 'LS0tLS1CRUdJTg==', 'server': 'https://127.0.0.1:6443', 'tls-server-name': 'kind: x'})
        self.assertEqual(doc['contexts'], [{'context': {'cluster': 'kind-kind', 'user': "kind's"}, 'name': 'kind-kind'}])
        self.assertEqual(doc['users'][0]['user'], {'client-key-data': 'abc', 'args': ['a', 1, True, None], 'script': 'one\n  two\n'})
        self.assertEqual(doc['preferences'], {})

    def test_refusals(self):
        for text in ('a: &x 1', 'a:\n\tb: 1', 'a: [1', 'just text\nand: more'):
            with self.subTest(text), self.assertRaises(ValueError):
                yaml_lite.load(text)
