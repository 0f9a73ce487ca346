"""Accepts connections on an address and never answers: python3 silent.py IP PORT"""
import socket
import sys

server = socket.create_server((sys.argv[1], int(sys.argv[2])), family=socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, backlog=64)
print('listening', flush=True)
kept = []
while True:
    kept.append(server.accept()[0])
