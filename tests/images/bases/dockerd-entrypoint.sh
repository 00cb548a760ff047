#!/bin/sh
# What a base image made here has in place of docker:dind's script of that name. The contract is the
# same: without arguments, or with flags alone, it makes certificates in $DOCKER_TLS_CERTDIR and adds
# the hosts; `dockerd ...` is executed as it is; a user other than root gets it inside rootlesskit.
set -eu

# sign NAME EXTENSION: $DOCKER_TLS_CERTDIR/NAME/{key,cert,ca}.pem
sign() {
    mkdir -p "$certs/$1"
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=dind $1" \
        -keyout "$certs/$1/key.pem" -out "$certs/$1/csr.pem" 2>/dev/null
    echo "$2" >"$certs/$1/extensions"
    openssl x509 -req -in "$certs/$1/csr.pem" -days 30 -extfile "$certs/$1/extensions" \
        -CA "$certs/ca/cert.pem" -CAkey "$certs/ca/key.pem" -CAcreateserial \
        -out "$certs/$1/cert.pem" 2>/dev/null
    cp "$certs/ca/cert.pem" "$certs/$1/ca.pem"
}

make_certificates() {
    mkdir -p "$certs/ca"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj '/CN=dind CA' \
        -days 30 -keyout "$certs/ca/key.pem" -out "$certs/ca/cert.pem" 2>/dev/null
    addresses=$(ip -o address | awk '{ sub("/.*", "", $4); printf ",IP:%s", $4 }')
    sign server "subjectAltName = DNS:localhost,DNS:docker$addresses"
    sign client 'extendedKeyUsage = clientAuth'
}

uid=$(id -u)
[ "$uid" = 0 ] || export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-/run/user/$uid}"
published=
case ${1:--} in
-*)
    socket=unix:///var/run/docker.sock
    [ "$uid" = 0 ] || socket=unix://$XDG_RUNTIME_DIR/docker.sock
    certs=${DOCKER_TLS_CERTDIR:-}
    if [ -n "$certs" ]; then
        make_certificates
        published=2376
        set -- --tlsverify "--tlscacert=$certs/server/ca.pem" "--tlscert=$certs/server/cert.pem" \
            "--tlskey=$certs/server/key.pem" "$@"
    else
        published=2375
    fi
    set -- dockerd "--host=$socket" "--host=tcp://0.0.0.0:$published" "$@"
    ;;
esac

if [ "$1" = dockerd ] && [ "$uid" != 0 ]; then
    mkdir -p "$XDG_RUNTIME_DIR" "$HOME/.local/share/docker"
    # shellcheck disable=SC2086
    exec rootlesskit --net="${DOCKERD_ROOTLESS_ROOTLESSKIT_NET:-slirp4netns}" \
        --mtu="${DOCKERD_ROOTLESS_ROOTLESSKIT_MTU:-1500}" --disable-host-loopback \
        --port-driver=builtin --copy-up=/etc --copy-up=/run \
        ${published:+-p 0.0.0.0:$published:$published/tcp} \
        ${DOCKERD_ROOTLESS_ROOTLESSKIT_FLAGS:-} "$@"
fi
exec "$@"
