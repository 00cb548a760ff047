#include "sys/title.h"

#include <bsd/unistd.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

extern char **environ;

void title_init(int argc, char **argv) { setproctitle_init(argc, argv, environ); }

void title_set(const char *what) {
    char name[16];
    (void)snprintf(name, sizeof name, "pinnace:%s", what);
    (void)prctl(PR_SET_NAME, name);
    setproctitle("-pinnace: %s", what); /* "-": without the program's name in front */
}
