"""kubelet's serving certificate: signed by itself, as a kubelet makes it when nobody gave it one, and kept in <root>/pki."""
import os
import ssl
import subprocess
import time


def make(folder, name):
    """kubelet.crt and kubelet.key in `folder`, unless they are there: CN=NAME@TIME, and NAME as the DNS name."""
    crt, key = (os.path.join(folder, 'kubelet.' + end) for end in ('crt', 'key'))
    if not (os.path.exists(crt) and os.path.exists(key)):
        os.makedirs(folder, exist_ok=True)
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '365',
                        '-keyout', key, '-out', crt, '-subj', '/CN=%s@%d' % (name, time.time()), '-addext', 'subjectAltName=DNS:' + name],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return crt, key


def context(root, name):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(*make(os.path.join(root, 'pki'), name))
    return c
