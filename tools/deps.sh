#!/bin/sh
# deps.sh - fetch and build what pinnace links: musl, kernel headers, libmd, libbsd, inih, yyjson,
# zlib.
#
#   tools/deps.sh sysroot [ARCH]   musl and the libraries, static, in build/ARCH/sysroot
#   tools/deps.sh glibc            libmd and libbsd for this machine's libc, in build/glibc
#   tools/deps.sh sources          ini.c, yyjson.c and zlib's with their headers, in build/src
#   tools/deps.sh fetch            only fill the download cache, build/dl
#   tools/deps.sh verify           compare the cache with tools/deps.lock
#
#   DEPS_MIRROR=URL   archive root to try first (a Debian mirror or a copy of its pool/)
#   DEPS_OFFLINE=1    never touch the network
#   BUILD=DIR         instead of build
#
# Every archive is named by pool path and sha256 in tools/deps.lock and comes from the archive
# that this machine's apt is configured with; without apt, give DEPS_MIRROR. Needs no root and
# reads or writes no apt state. What is built is kept until this script, the lock or the
# compiler changes.
set -eu
umask 022
LC_ALL=C SOURCE_DATE_EPOCH=0
export LC_ALL SOURCE_DATE_EPOCH

HERE=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
LOCK=${DEPS_LOCK:-$HERE/deps.lock}
OFFLINE=${DEPS_OFFLINE:-0}
APT_HELPER=${APT_HELPER:-/usr/lib/apt/apt-helper}
JOBS=$(nproc 2>/dev/null || echo 1)
NATIVE=$(uname -m)

say() { printf 'deps: %s\n' "$*" >&2; }
die() {
    say "error: $*"
    exit 1
}
sha_ok() { [ -f "$1" ] && printf '%s  %s\n' "$2" "$1" | sha256sum -c --status 2>/dev/null; }
each_archive() { grep -v -e '^#' -e '^$' "$LOCK"; }

# ---- fetch

mirrors() {
    [ -z "${DEPS_MIRROR:-}" ] || printf '%s\n' "$DEPS_MIRROR"
    command -v apt-get >/dev/null || return 0
    apt-get update --print-uris 2>/dev/null |
        sed -n "s/^'\([^']*\)\/dists\/.*InRelease'.*/\1/p" | awk '!seen[$0]++'
}

# download URL FILE SHA256
download() {
    if [ -x "$APT_HELPER" ]; then
        "$APT_HELPER" -qq download-file "$1" "$2" "SHA256:$3" >/dev/null 2>&1
    elif command -v curl >/dev/null; then
        curl -fsSL --retry 3 -o "$2" "$1"
    else
        wget -q -O "$2" "$1"
    fi
}

# get SHA256 POOLPATH
get() {
    file=$CACHE/$(basename "$2")
    ! sha_ok "$file" "$1" || return 0
    [ "$OFFLINE" != 1 ] || die "$(basename "$2"): not in $CACHE, and DEPS_OFFLINE=1"
    url=$(printf %s "$2" | sed 's/+/%2b/g; s/~/%7e/g')
    for mirror in ${MIRRORS:=$(mirrors)}; do
        rm -f "$file.tmp"
        say "get $(basename "$2")"
        if download "$mirror/$url" "$file.tmp" "$1" && sha_ok "$file.tmp" "$1"; then
            mv "$file.tmp" "$file"
            return 0
        fi
    done
    rm -f "$file.tmp"
    die "$(basename "$2"): no archive delivers it with sha256 $1 (DEPS_MIRROR names another one)"
}

fetch() {
    each_archive >"$CACHE/.wanted"
    while read -r sha path; do get "$sha" "$path"; done <"$CACHE/.wanted"
}

verify() {
    each_archive | {
        bad=0
        while read -r sha path; do
            state=ok
            sha_ok "$CACHE/$(basename "$path")" "$sha" || { state=BAD; bad=1; }
            printf '%-4s %s\n' "$state" "$(basename "$path")"
        done
        exit $bad
    }
}

# unpack GLOB DIR: the cached archive, verified again right before it is used
unpack() {
    line=$(each_archive | grep "/$1 *\$") || die "nothing in $LOCK matches $1"
    archive=$CACHE/$(basename "${line#* }")
    sha_ok "$archive" "${line%% *}" || die "$archive: does not match the lock"
    rm -rf "$2"
    mkdir -p "$2"
    tar -xf "$archive" -C "$2" --strip-components=1 --no-same-owner
}

# ---- build

CFLAGS_LIB="-Os -g0 -pipe -ffunction-sections -fdata-sections \
 -fno-asynchronous-unwind-tables -fno-unwind-tables -fstack-protector-strong \
 -ftrivial-auto-var-init=zero"
# inih: one line is one value, "#" and ";" inside it are data, the first error ends parsing.
INI_DEFS="HANDLER_LINENO=1 STOP_ON_FIRST_ERROR=1 CALL_HANDLER_ON_NEW_SECTION=1 ALLOW_MULTILINE=0 \
 ALLOW_INLINE_COMMENTS=0 USE_STACK=0 ALLOW_REALLOC=1 INITIAL_ALLOC=256 MAX_LINE=4096"
# yyjson: strict RFC 8259 only, and without the large tables of its fast number printer.
YYJSON_DEFS="DISABLE_UTILS=1 DISABLE_NON_STANDARD=1 DISABLE_FAST_FP_CONV=1"
# zlib: only streams in memory, and only its fastest level.
ZLIB_FILES="adler32 crc32 deflate inffast inflate inftrees trees zutil"
ZLIB_DEFS="FASTEST=1"

# prepare ROOT CC: where the following steps install, and what their result depends on
prepare() {
    ROOT=$1
    command -v "$2" >/dev/null || die "$2 not found"
    mkdir -p "$ROOT/.work" "$ROOT/lib" "$ROOT/include" "$ROOT/licenses"
    ROOT=$(CDPATH='' cd -- "$ROOT" && pwd)
    WORK=$ROOT/.work
    STAMP=$(cat "$HERE/deps.sh" "$LOCK" | sha256sum | cut -c1-16)-$("$2" -dumpfullversion)-$ROOT
}

# step NAME: run b_NAME in the work directory unless it was done with the same inputs
step() {
    [ "$(cat "$ROOT/.stamp-$1" 2>/dev/null)" != "$STAMP" ] || return 0
    say "build $1"
    set +e # a function in an || list would run with -e off
    (
        set -e
        cd "$WORK"
        "b_$1"
    ) >"$WORK/$1.log" 2>&1
    rc=$?
    set -e
    if [ $rc != 0 ]; then
        tail -20 "$WORK/$1.log" >&2
        die "$1 failed; all of it is in $WORK/$1.log"
    fi
    printf '%s\n' "$STAMP" >"$ROOT/.stamp-$1"
    rm -rf "${WORK:?}/$1"
}

b_musl() {
    unpack 'musl_.*\.orig\.tar\..*' musl
    unpack 'musl_.*\.debian\.tar\..*' musl/distro
    cd musl
    grep -v -e '^#' -e '^$' distro/patches/series | while read -r p; do
        patch -s -p1 <"distro/patches/$p" || exit 1
    done
    ./configure --target="$ARCH-linux-musl" --prefix="$ROOT" --syslibdir="$ROOT/lib" \
        --disable-shared --enable-wrapper=gcc CC="${CROSS}gcc" AR="${CROSS}ar" \
        RANLIB="${CROSS}ranlib" CFLAGS="-pipe -g0 $PIE"
    make -j"$JOBS"
    make install
    # A static program must never name an interpreter: with lld the stock specs do just that.
    sed -i 's/-dynamic-linker [^ ]*/%{!static:%{!static-pie:&}}/' "$ROOT/lib/musl-gcc.specs"
    cp COPYRIGHT "$ROOT/licenses/musl"
}

# Kernel headers go into musl's own include directory; nothing of glibc is on its path.
b_uapi() {
    inc=/usr/include
    for asm in "/usr/$ARCH-linux-gnu/include/asm" "$inc/$ARCH-linux-gnu/asm" "$inc/asm"; do
        [ ! -d "$asm" ] || break
    done
    if [ ! -d "$asm" ]; then die "kernel headers not found (linux-libc-dev)"; fi
    for d in linux asm-generic mtd misc; do
        [ ! -d "$inc/$d" ] || cp -RL "$inc/$d" "$ROOT/include/"
    done
    cp -RL "$asm" "$ROOT/include/"
}

# configure_in DIR: an autotools package, static, with the compiler of this root
configure_in() (
    cd "$1"
    # shellcheck disable=SC2086
    ./configure $CONFIGURE_HOST --prefix=/ --disable-shared --enable-static \
        --disable-dependency-tracking CC="$LIBCC" AR="${CROSS}ar" RANLIB="${CROSS}ranlib" \
        CFLAGS="$CFLAGS_LIB $PIE -ffile-prefix-map=$WORK=." CPPFLAGS="-I$ROOT/include" \
        LDFLAGS="$LIBLD -L$ROOT/lib"
)

b_libmd() {
    unpack 'libmd_.*' libmd
    configure_in libmd
    make -C libmd -j"$JOBS"
    make -C libmd/src DESTDIR="$ROOT" install
    make -C libmd/include DESTDIR="$ROOT" install
    rm -f "$ROOT/lib/libmd.la"
    cp libmd/COPYING "$ROOT/licenses/libmd"
}

b_libbsd() {
    unpack 'libbsd_.*' libbsd
    configure_in libbsd
    make -C libbsd/include -j"$JOBS"
    make -C libbsd/src -j"$JOBS" libbsd.la
    install -m 644 libbsd/src/.libs/libbsd.a "$ROOT/lib/libbsd.a"
    make -C libbsd/include DESTDIR="$ROOT" install
    cp libbsd/COPYING "$ROOT/licenses/libbsd"
}

# configured PREFIX DEFS HEADER: the header with its options in it, so that all users agree
configured() {
    for d in $2; do
        printf '#ifndef %s\n#define %s %s\n#endif\n' "$1${d%%=*}" "$1${d%%=*}" "${d#*=}"
    done
    cat "$3"
}
take_inih() { # DIR: ini.c and ini.h
    unpack 'libinih_.*' inih
    configured INI_ "$INI_DEFS" inih/ini.h >"$1/ini.h"
    cp inih/ini.c "$1/ini.c"
}
take_yyjson() { # DIR: yyjson.c and yyjson.h
    unpack 'yyjson_.*' yyjson
    configured YYJSON_ "$YYJSON_DEFS" yyjson/src/yyjson.h >"$1/yyjson.h"
    cp yyjson/src/yyjson.c "$1/yyjson.c"
}
take_zlib() { # DIR: zlib.h; what else of it is needed in DIR/zlib
    unpack 'zlib_.*' zlib.all
    rm -rf "$1/zlib"
    mkdir "$1/zlib"
    for f in $ZLIB_FILES; do cp "zlib.all/$f.c" "$1/zlib/"; done
    cp zlib.all/*.h "$1/zlib/"
    configured '' "$ZLIB_DEFS" zlib.all/zutil.h >"$1/zlib/zutil.h"
    mv "$1/zlib/zlib.h" "$1/zlib/zconf.h" "$1/"
}

# archive NAME SOURCE...: C files as a library of this root
archive() {
    lib=lib$1.a
    shift
    objects=
    for c in "$@"; do
        o=$(basename "$c" .c).o
        # shellcheck disable=SC2086
        "$LIBCC" $CFLAGS_LIB $PIE "-ffile-prefix-map=$WORK=." -I. -c "$c" -o "$o"
        objects="$objects $o"
    done
    rm -f "$lib"
    # shellcheck disable=SC2086
    "${CROSS}ar" rcsD "$lib" $objects
    mv "$lib" "$ROOT/lib/"
}

b_inih() {
    take_inih .
    archive inih ini.c
    mv ini.h "$ROOT/include/"
    cp inih/LICENSE.txt "$ROOT/licenses/inih"
}

b_yyjson() {
    take_yyjson .
    archive yyjson yyjson.c
    mv yyjson.h "$ROOT/include/"
    cp yyjson/LICENSE "$ROOT/licenses/yyjson"
}

b_zlib() {
    take_zlib .
    archive z zlib/*.c
    mv zlib.h zconf.h "$ROOT/include/"
    cp zlib.all/LICENSE "$ROOT/licenses/zlib"
    rm -rf zlib.all
}

# Everything links and runs, and does not ask for an interpreter.
b_smoke() {
    cat >smoke.c <<'C'
#define _GNU_SOURCE
#include <bsd/stdlib.h>
#include <bsd/sys/tree.h>
#include <ini.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/openat2.h>
#include <sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <yyjson.h>
#include <zlib.h>
static int seen(void *u, const char *s, const char *k, const char *v, int line) {
    (void)u, (void)s, (void)k, (void)v, (void)line;
    return 1;
}
static int zips(void) {
    unsigned char in[512] = "abc", packed[512], out[512];
    z_stream d = { .next_in = in, .avail_in = sizeof in, .next_out = packed, .avail_out = 512 };
    z_stream i = { .next_in = packed, .next_out = out, .avail_out = 512 };
    int good = deflateInit2(&d, 1, Z_DEFLATED, 31, 8, 0) == Z_OK && deflate(&d, Z_FINISH) == 1;
    i.avail_in = (unsigned)d.total_out;
    good = good && inflateInit2(&i, 31) == Z_OK && inflate(&i, Z_FINISH) == Z_STREAM_END;
    return good && deflateEnd(&d) == Z_OK && inflateEnd(&i) == Z_OK && out[2] == 'c';
}
int main(void) {
    char hex[SHA256_DIGEST_STRING_LENGTH];
    const char *why;
    SHA256Data((const void *)"abc", 3, hex);
    yyjson_doc *doc = yyjson_read("{\"a\":1}", 7, 0);
    int good = doc && strtonum("42", 0, 99, &why) == 42 && hex[0] == 'b' &&
               ini_parse_string("[a]\nb=c\n", seen, NULL) == 0 && zips();
    yyjson_doc_free(doc);
    return !good;
}
C
    "$LIBCC" -static -no-pie -Os -Wl,--gc-sections smoke.c -o smoke \
        -lyyjson -lbsd -lmd -linih -lz
    if readelf -lW smoke | grep INTERP; then exit 1; fi
    [ "$ARCH" != "$NATIVE" ] || ./smoke
}

sysroot() { # ARCH
    ARCH=$1 CROSS=
    [ "$ARCH" = "$NATIVE" ] || CROSS=$ARCH-linux-gnu-
    prepare "$BUILD/$ARCH/sysroot" "${CROSS}gcc"
    PIE=-fno-pie LIBCC=$ROOT/bin/musl-gcc LIBLD=-static CONFIGURE_HOST=--host=$ARCH-linux-musl
    for s in musl uapi libmd libbsd inih yyjson zlib smoke; do step $s; done
    touch "$ROOT/.ready"
}

glibc() {
    ARCH=$NATIVE CROSS='' PIE=-fPIE LIBCC=gcc LIBLD='' CONFIGURE_HOST=''
    prepare "$BUILD/glibc" gcc
    for s in libmd libbsd; do step $s; done
    touch "$ROOT/.ready"
}

sources() {
    mkdir -p "$BUILD/src"
    (
        cd "$BUILD/src"
        take_inih .
        take_yyjson .
        take_zlib .
        rm -rf inih yyjson zlib.all
        touch .ready
    )
}

cmd=${1:-}
case $cmd in
sysroot | glibc | sources | fetch | verify) ;;
*)
    sed -n '2,19s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
mkdir -p "${BUILD:=build}/dl"
BUILD=$(CDPATH='' cd -- "$BUILD" && pwd)
CACHE=$BUILD/dl
# One run at a time: two makes may want the same sysroot.
exec 9>"$BUILD/.deps.lock"
! command -v flock >/dev/null || flock 9
case $cmd in
verify | fetch) $cmd ;;
*)
    fetch
    $cmd "${2:-$NATIVE}"
    ;;
esac
