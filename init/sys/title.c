#include "sys/title.h"

#include <bsd/unistd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

extern char **environ;

/* Where the kernel put argv: the last NUL of it, and its length. setproctitle(3bsd) leaves a
 * dot there behind a shorter title, to be taken away. */
static struct {
    char *end;
    size_t room;
} args;

void title_init(int argc, char **argv) {
    if (argc > 0) {
        args.end = argv[argc - 1] + strlen(argv[argc - 1]);
        args.room = (size_t)(args.end - argv[0]);
    }
    setproctitle_init(argc, argv, environ);
}

void title_set(const char *what) {
    char title[64], name[16];
    int n = snprintf(title, sizeof title, "pinnace: %s", what);
    (void)snprintf(name, sizeof name, "pinnace:%s", what);
    (void)prctl(PR_SET_NAME, name);
    setproctitle("-%s", title); /* "-": without the program's name in front */
    if (args.end && (size_t)n < args.room)
        *args.end = '\0';
}
