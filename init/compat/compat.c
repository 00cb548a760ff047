#include "compat/compat.h"

#include <string.h>

#include "base/str.h"
#include "compat/persona.h"

/* clang-format off */
static const struct {
    const char *name;
    enum compat_kind kind;
    int (*run)(int argc, char **argv);
} personas[] = {
    { "tini",        COMPAT_TINI,      tini_main },
    { "docker-init", COMPAT_TINI,      tini_main },
    { "dumb-init",   COMPAT_DUMB_INIT, dumb_init_main },
    { "catatonit",   COMPAT_CATATONIT, catatonit_main },
    { "podman-init", COMPAT_CATATONIT, catatonit_main },
};
/* clang-format on */
enum { NPERSONAS = sizeof personas / sizeof personas[0] };

bool compat_name(const char *argv0, enum compat_kind *kind) {
    if (!argv0)
        return false;
    const char *slash = strrchr(argv0, '/');
    const char *base = slash ? slash + 1 : argv0;
    for (size_t i = 0; i < NPERSONAS; i++) {
        size_t n = strlen(personas[i].name);
        bool ends = has_prefix(base, personas[i].name) && strchr("-_", base[n]);
        if (!ends) /* strchr finds the NUL too, so an exact name ends here */
            continue;
        *kind = personas[i].kind;
        return true;
    }
    return false;
}

int compat_main(enum compat_kind kind, int argc, char **argv) {
    for (size_t i = 0; i < NPERSONAS; i++)
        if (personas[i].kind == kind)
            return personas[i].run(argc, argv);
    return 1;
}
