"""What a test may ask of a simulated kubelet: lines on the Unix socket DIR/control, each answered with `ok` or `error: …`.

  vanish NAMESPACE NAME   the pod's containers are gone and the kubelet does not bring them back
  return NAMESPACE NAME   now it does
  stiffen NAMESPACE NAME  the freezer does not get the pod to stand still, as one that waits in the kernel for a dead disk
  relax NAMESPACE NAME    now it does
"""
import asyncio
import os


def _obey(workers, words):
    if len(words) != 3 or words[0] not in ('vanish', 'return', 'stiffen', 'relax'):
        return 'error: vanish|return|stiffen|relax NAMESPACE NAME'
    was = ('vanished',) if words[0] == 'return' else ('starting', 'running')
    w = next((w for w in workers.workers.values() if w.key == (words[1], words[2]) and w.state in was), None)
    if w is None:
        return 'error: no such pod in state %s' % ' or '.join(was)
    if words[0] == 'return':
        workers.bring_back(w)
    elif words[0] == 'stiffen':
        workers.folders.stiff.add(w.uid)
    elif words[0] == 'relax':
        workers.folders.stiff.discard(w.uid)
    else:
        workers.vanish(w)
    return 'ok'


async def serve(path, workers):
    async def answer(reader, writer):
        while True:
            line = await reader.readline()
            if not line:
                break
            writer.write(_obey(workers, line.decode('utf-8', 'replace').split()).encode() + b'\n')
        writer.close()
    if os.path.exists(path):
        os.unlink(path)
    await asyncio.start_unix_server(answer, path)
