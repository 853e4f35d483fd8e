#!/bin/sh
# Makes an authority and the certificates that docker-compose.tls.yml uses:
#
#   deploy/tls/certificates.sh [DIRECTORY]      default: deploy/tls/certificates
#
# What is there already is kept. The keys are readable by everybody on this host, since containers run as
# users of their own: in production give each host its own, mode 0400, owned by who uses it.
set -eu
directory=${1:-$(dirname "$0")/certificates}
days=${DAYS:-365}
mkdir -p "$directory"
cd "$directory"

key() {
    openssl ecparam -name prime256v1 -genkey -noout -out "$1-key.pem"
    chmod 0644 "$1-key.pem"
}

# certificate NAME USES [NAMES]: the common name is what etcd takes for its user.
certificate() {
    [ -e "$1.pem" ] && return
    key "$1"
    {
        echo "basicConstraints = critical, CA:FALSE"
        echo "keyUsage = critical, digitalSignature"
        echo "extendedKeyUsage = $2"
        [ -z "${3:-}" ] || echo "subjectAltName = $3"
    } >"$1.ext"
    openssl req -new -key "$1-key.pem" -subj "/CN=$1" |
        openssl x509 -req -sha256 -days "$days" -CA ca.pem -CAkey ca-key.pem -CAcreateserial \
            -extfile "$1.ext" -out "$1.pem" 2>/dev/null
    rm "$1.ext"
}

if [ ! -e ca.pem ]; then
    key ca
    chmod 0600 ca-key.pem
    openssl req -new -x509 -sha256 -days "$days" -key ca-key.pem -subj "/CN=leaderd test authority" \
        -addext "basicConstraints = critical, CA:TRUE" -addext "keyUsage = critical, keyCertSign, cRLSign" \
        -out ca.pem
fi
# Members are clients of one another, and of themselves.
for number in 1 2 3; do
    certificate "etcd-$number" "serverAuth, clientAuth" \
        "DNS:etcd-$number, DNS:localhost, IP:10.78.0.1$number, IP:127.0.0.1"
done
certificate leaderd clientAuth
certificate root clientAuth
