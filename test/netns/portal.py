"""Answers every TLS handshake with a certificate of its own, and tells of whatever is sent to it: python3 portal.py IP PORT CERTIFICATE"""
import socket
import ssl
import sys

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[3] + '.crt', sys.argv[3] + '.key')
server = socket.create_server((sys.argv[1], int(sys.argv[2])), reuse_port=True)
print('listening', flush=True)
while True:
    plain = server.accept()[0]
    try:
        plain.settimeout(2)
        with context.wrap_socket(plain, server_side=True) as tls:
            data = tls.recv(4096)
            if data:
                print('request: %r' % data, flush=True)
                tls.sendall(b'HTTP/1.1 302 Found\r\nLocation: http://portal/\r\nContent-Length: 0\r\n\r\n')
    except (OSError, ssl.SSLError):
        plain.close()
