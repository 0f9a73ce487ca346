#!/bin/sh
# certs.sh DIR: a CA and certificates for the TLS tests, made afresh each time
#   ca.crt other-ca.crt; NAME.crt NAME.key for good, expired, wrong-name, client, stranger (signed by other-ca)
set -eu
cd "$1"
key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }
ca() {
	key "$1.key"
	openssl req -x509 -new -key "$1.key" -subj "/CN=$1" -days 2 -out "$1.crt"
}
# cert NAME CA DAYS SUBJECT-ALTERNATIVE-NAMES
cert() {
	key "$1.key"
	openssl req -new -key "$1.key" -subj "/CN=$1" -out "$1.csr"
	printf 'subjectAltName=%s\n' "$4" > "$1.ext"
	openssl x509 -req -in "$1.csr" -CA "$2.crt" -CAkey "$2.key" -days "$3" -extfile "$1.ext" -out "$1.crt" 2>/dev/null
}
ca ca
ca other-ca
cert good ca 2 IP:127.0.0.1,DNS:localhost
cert expired ca -1 IP:127.0.0.1
cert wrong-name ca 2 DNS:api.example.org
cert client ca 2 DNS:client
cert stranger other-ca 2 DNS:client
