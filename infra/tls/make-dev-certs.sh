#!/bin/sh
# A CA and certificates for development and tests: for the platform's processes (mutual TLS between them, and as clients
# of Kafka) and for a broker. Not for production: the CA's key lies beside them, unprotected.
#
#   infra/tls/make-dev-certs.sh FOLDER [HOST…]     # the hosts that the certificates name, beside localhost
#
# Writes ca.pem, process.pem + process.key, broker.pem + broker.key and broker-keystore.pem (both of the broker's in one file,
# as Kafka wants them with ssl.keystore.type=PEM). A CA that is there already is used again.
set -eu

[ $# -ge 1 ] || { echo "usage: $0 FOLDER [HOST…]" >&2; exit 2; }
folder=$1
shift
days=825

mkdir -p "$folder"
cd "$folder"
umask 077

names="DNS:localhost,IP:127.0.0.1,IP:::1"
for host in "$@"; do
    case $host in
        *[!0-9.]*) names="$names,DNS:$host" ;;
        *) names="$names,IP:$host" ;;
    esac
done

key() {
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"
}

if [ ! -f ca.pem ]; then
    key ca.key
    openssl req -x509 -new -key ca.key -sha256 -days "$days" -subj "/CN=Roomlog development CA" \
        -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign" -out ca.pem
fi

for who in process broker; do
    key "$who.key"
    printf '%s\n' "basicConstraints=CA:FALSE" "keyUsage=digitalSignature" \
        "extendedKeyUsage=serverAuth,clientAuth" "subjectAltName=$names" >"$who.ext"
    openssl req -new -key "$who.key" -subj "/CN=roomlog-$who" |
        openssl x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial -sha256 -days "$days" -extfile "$who.ext" \
            -out "$who.pem" 2>/dev/null
    rm "$who.ext"
done
cat broker.key broker.pem >broker-keystore.pem
