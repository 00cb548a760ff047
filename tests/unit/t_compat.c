#include "compat/compat.h"
#include "tests/unit/tap.h"

/* clang-format off */
static const struct { const char *argv0; int kind; } cases[] = {
    { "tini", COMPAT_TINI },
    { "/sbin/tini", COMPAT_TINI },
    { "/sbin/docker-init", COMPAT_TINI },
    { "tini-static", COMPAT_TINI },
    { "tini-muslc-amd64", COMPAT_TINI },
    { "./dumb-init", COMPAT_DUMB_INIT },
    { "dumb-init_1.2.5_x86_64", COMPAT_DUMB_INIT },
    { "/usr/libexec/podman/catatonit", COMPAT_CATATONIT },
    { "/run/podman-init", COMPAT_CATATONIT },
    { "pinnace", -1 },
    { "/opt/tini/pinnace", -1 },
    { "tiniest", -1 },
    { "tin", -1 },
    { "xtini", -1 },
    { "dumb", -1 },
    { "tini/", -1 },
    { "", -1 },
    { NULL, -1 },
};
/* clang-format on */

int main(void) {
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum compat_kind kind = COMPAT_TINI;
        bool known = compat_name(cases[i].argv0, &kind);
        int got = known ? (int)kind : -1;
        OK(got == cases[i].kind, "'%s' is %d", cases[i].argv0 ? cases[i].argv0 : "(null)",
           cases[i].kind);
    }
    return tap_end();
}
