/* compat.h — pinnace under another name: a plain init with that program's flags.
 *
 *     enum compat_kind kind;
 *     if (compat_name(argv[0], &kind))
 *         return compat_main(kind, argc, argv);
 *
 * Call it before anything that changes signal dispositions, masks or descriptors: the
 * program that is run must find them as we did.
 */
#ifndef COMPAT_COMPAT_H
#define COMPAT_COMPAT_H

#include <stdbool.h>

enum compat_kind { COMPAT_TINI, COMPAT_DUMB_INIT, COMPAT_CATATONIT };

/* Is the base name of `argv0` (may be NULL) one of ours? Pure. Knows tini, docker-init,
 * dumb-init, catatonit, podman-init, each also with a release suffix (tini-static-amd64,
 * dumb-init_1.2.5_x86_64). */
bool compat_name(const char *argv0, enum compat_kind *kind);

/* Runs the program named in `argv` until it ends. Returns the exit status. */
int compat_main(enum compat_kind kind, int argc, char **argv);

#endif
